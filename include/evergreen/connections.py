"""Connections by id: the only place credentials come from. Model files hold ids, never secrets.

Inside Airflow the resolver asks Airflow; outside, `AIRFLOW_CONN_<ID>` is read in the same two forms
that Airflow reads: JSON or a URI.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sqlalchemy import URL

from evergreen.errors import BadConfiguration
from evergreen.redaction import hide

DIALECTS: Mapping[str, str] = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "sqlite": "sqlite",
    "mysql": "mysql+pymysql",
    "snowflake": "snowflake",
    "redshift": "redshift+redshift_connector",
    "mssql": "mssql+pymssql",
}


@dataclass(frozen=True, slots=True, repr=False)
class Connection:
    """What a connection id stands for; never printed."""

    id: str
    conn_type: str
    host: str | None = None
    login: str | None = None
    password: str | None = None
    port: int | None = None
    schema: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for secret in (self.password, *self.extra.values()):
            if isinstance(secret, str):
                hide(secret)

    def sqlalchemy_url(self) -> URL:
        """Return the database URL.

        Raises:
            BadConfiguration: a connection type that is no database known here.
        """
        dialect = DIALECTS.get(self.conn_type)
        if dialect is None:
            raise BadConfiguration(
                "the connection is not to a database known here",
                where=f"connection {self.id!r}",
                got=self.conn_type,
                allowed=", ".join(sorted(DIALECTS)),
                fix="change the connection's type",
            )
        if dialect == "sqlite":
            return URL.create("sqlite", database=self.host or self.schema)
        return URL.create(dialect, self.login, self.password, self.host, self.port, self.schema)


Connections = Callable[[str], Connection]


def from_environment(connection_id: str, environ: Mapping[str, str] | None = None) -> Connection:
    """Return the connection that `AIRFLOW_CONN_<ID>` describes.

    Raises:
        BadConfiguration: no such variable, or one that cannot be read.
    """
    env = os.environ if environ is None else environ
    variable = f"AIRFLOW_CONN_{connection_id.upper()}"
    text = env.get(variable)
    if not text:
        raise BadConfiguration(
            "no such connection",
            where=f"connection {connection_id!r}",
            allowed=f"looked in the environment variable {variable}",
            fix=f"set {variable}, for example to sqlite:////data/warehouse.db",
        )
    try:
        return _parse(connection_id, text)
    except (ValueError, TypeError, AttributeError) as exc:
        hide(text)
        raise BadConfiguration(
            f"{variable} is neither a connection URI nor connection JSON",
            where=f"connection {connection_id!r}",
            fix="write TYPE://LOGIN:PASSWORD@HOST:PORT/SCHEMA",
        ) from exc


def _parse(connection_id: str, text: str) -> Connection:
    if text.lstrip().startswith("{"):
        fields = json.loads(text)
        extra = fields.pop("extra", None) or {}
        return Connection(
            connection_id,
            extra=json.loads(extra) if isinstance(extra, str) else extra,
            **{key: value for key, value in fields.items() if key != "description"},
        )
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError("no scheme")
    path = unquote(parts.path)
    return Connection(
        connection_id,
        conn_type=parts.scheme.replace("-", "_"),
        host=unquote(parts.hostname) if parts.hostname else None,
        login=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        port=parts.port,
        schema=path[1:] or None if parts.scheme != "sqlite" else path.removeprefix("/") or None,
        extra=dict(parse_qsl(parts.query)),
    )
