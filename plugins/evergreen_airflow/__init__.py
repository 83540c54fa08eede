"""Thin Airflow adapters of Evergreen: they build DAGs and run steps. Nothing here decides."""
