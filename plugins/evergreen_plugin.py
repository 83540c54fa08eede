"""Registers Evergreen's plugin where the package is used in place, from Airflow's plugins folder.

An installed wheel registers it through the entry point `airflow.plugins`; doing so twice would make
Airflow report "already registered", so this file then stays silent.
"""

from __future__ import annotations

from importlib.metadata import entry_points

if not any(point.name == "evergreen" for point in entry_points(group="airflow.plugins")):
    from evergreen_airflow.plugin import EvergreenPlugin

    __all__ = ["EvergreenPlugin"]
