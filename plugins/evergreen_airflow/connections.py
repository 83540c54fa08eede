"""Connection ids resolved by Airflow: its secrets backends, environment and metadata database."""

from __future__ import annotations

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from evergreen.connections import Connection
from evergreen.errors import BadConfiguration


def from_airflow(connection_id: str) -> Connection:
    """Return the connection that Airflow knows under this id.

    Raises:
        BadConfiguration: Airflow knows none.
    """
    try:
        found = BaseHook.get_connection(connection_id)
    except AirflowNotFoundException as exc:
        raise BadConfiguration(
            "no such connection",
            where=f"connection {connection_id!r}",
            allowed="looked in Airflow's secrets backend, the environment variable "
            f"AIRFLOW_CONN_{connection_id.upper()} and Airflow's connections",
            fix=f"add it in the UI (Admin, Connections) or by: airflow connections add {connection_id}",
        ) from exc
    return Connection(
        connection_id,
        conn_type=found.conn_type or "",
        host=found.host or None,
        login=found.login or None,
        password=found.password or None,
        port=found.port,
        schema=found.schema or None,
        extra=found.extra_dejson,
    )
