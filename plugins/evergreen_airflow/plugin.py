"""The Airflow plugin. Every component imports this module: heavy imports belong inside functions."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class EvergreenPlugin(AirflowPlugin):
    """Evergreen's place in the Airflow UI."""

    name = "evergreen"
