"""Evergreen keeps production machine-learning models fresh.

This package is the library: it never imports Airflow. `evergreen_airflow` holds the thin adapters.
"""

__version__ = "0.1.0"
