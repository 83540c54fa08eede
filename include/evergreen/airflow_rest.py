"""Signs in to Airflow's public REST API, as the user of a connection of the operator's choosing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import quote

from evergreen.connections import Connection
from evergreen.errors import BadConfiguration
from evergreen.redaction import hide

if TYPE_CHECKING:
    import httpx

PATIENCE_SECONDS = 10.0


@contextmanager
def signed_in(connection: Connection) -> Iterator[httpx.Client]:
    """Give a client that is signed in, closed at the end of the block.

    Raises:
        BadConfiguration: the connection names no host, or httpx is not installed.
        httpx.HTTPError: no answer, or one that lets nobody in.
    """
    with http_library().Client(base_url=_base_url(connection), timeout=PATIENCE_SECONDS) as client:
        client.headers["Authorization"] = f"Bearer {_token(client, connection)}"
        yield client


def http_library() -> ModuleType:
    """Return httpx.

    Raises:
        BadConfiguration: it is not installed.
    """
    try:
        import httpx
    except ImportError as exc:
        raise BadConfiguration(
            "httpx is not installed, by which Airflow's API is asked",
            fix="pip install 'airflow-provider-evergreen[alerts]'",
        ) from exc
    return httpx


def run_path(dag_id: str, run_id: str) -> str:
    """Return the path of a run.

    >>> run_path("churn__retrain", "manual__2013-06-01T00:00:00+00:00")
    '/api/v2/dags/churn__retrain/dagRuns/manual__2013-06-01T00%3A00%3A00%2B00%3A00'
    """
    return f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"


def _base_url(connection: Connection) -> str:
    """Return where the API answers.

    Raises:
        BadConfiguration: the connection names no host.
    """
    host = connection.host
    if not host:
        raise BadConfiguration(
            "the connection to Airflow's API names no host",
            where=f"connection {connection.id!r}",
            fix="set its host, such as https://airflow.example.com",
        )
    base = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    return f"{base}:{connection.port}" if connection.port else base


def _token(client: httpx.Client, connection: Connection) -> str:
    """Return the token that the connection holds, or one that its login is given."""
    if token := connection.extra.get("token"):
        return str(token)
    login = {"username": connection.login, "password": connection.password}
    token = client.post("/auth/token", json=login).raise_for_status().json()["access_token"]
    hide(str(token))
    return str(token)
