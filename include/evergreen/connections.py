"""Connections by id: the only place credentials come from. Model files hold ids, never secrets.

Inside Airflow the resolver asks Airflow; outside, `AIRFLOW_CONN_<ID>` is read in the same two forms
that Airflow reads: JSON or a URI.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sqlalchemy import URL

from evergreen.aws_connection import s3_options
from evergreen.errors import BadConfiguration, NoConnection
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

URL_EXTRAS: Mapping[str, frozenset[str]] = {
    "postgresql+psycopg": frozenset(
        {"sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "options", "application_name"}
    ),
    "mysql+pymysql": frozenset({"charset", "ssl_ca", "ssl_cert", "ssl_key"}),
    "snowflake": frozenset({"warehouse", "role"}),
}
"""Entries of a connection's extra that its URL carries on; others mean something to Airflow only."""

_SECRET_WORDS = (
    "auth",
    "connection_string",
    "credential",
    "key",
    "passphrase",
    "passw",
    "private",
    "sas",
    "secret",
    "signature",
    "token",
)


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
        if self.password:
            hide(self.password)
        for secret in _secrets(self.extra, within_secret=False):
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
        query = {
            name: str(value)
            for name, value in self.extra.items()
            if name in URL_EXTRAS.get(dialect, ()) and value is not None
        }
        return URL.create(
            dialect, self.login, self.password, self.host, self.port, self.schema, query=query
        )

    def storage_options(self) -> dict[str, Any]:
        """Return what fsspec needs to open the object storage that this connection is to.

        Raises:
            BadConfiguration: a connection type that is no object storage known here, or one that says
                what cannot be heeded.
        """
        options = _STORAGE.get(self.conn_type)
        if options is None:
            raise BadConfiguration(
                "the connection is not to object storage known here",
                where=f"connection {self.id!r}",
                got=self.conn_type,
                allowed=", ".join(sorted(_STORAGE)),
                fix="change the connection's type",
            )
        return {name: value for name, value in options(self).items() if value is not None}


Connections = Callable[[str], Connection]


def _secrets(value: object, *, within_secret: bool) -> Iterator[str]:
    """Yield the texts that stand, at any depth, under a name that sounds like a secret."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            sounds = any(word in str(name).lower() for word in _SECRET_WORDS)
            yield from _secrets(inner, within_secret=within_secret or sounds)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner, within_secret=within_secret)
    elif within_secret and isinstance(value, str):
        yield value
        yield from _secrets(_parts(value), within_secret=False)
    elif within_secret and isinstance(value, int) and not isinstance(value, bool):
        yield str(value)


def _parts(text: str) -> Mapping[str, Any]:
    """Return the values by name that a text holds, as JSON or as NAME=VALUE;NAME=VALUE; else nothing."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, Mapping) else {}
    return dict(part.split("=", 1) for part in text.split(";") if "=" in part) if ";" in text else {}


def _gcs(connection: Connection) -> dict[str, Any]:
    extra = connection.extra
    keys = _keys_of_google(extra.get("keyfile_dict"), f"connection {connection.id!r}")
    return {"token": keys or extra.get("key_path"), "project": extra.get("project")}


def _keys_of_google(given: object, where: str) -> Mapping[str, Any] | None:
    """Return the contents of a key file, which may be given as text."""
    if given in (None, ""):
        return None
    try:
        keys = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        keys = None  # refused below, out of this block: a cause would hold the text, which is a secret
    if not isinstance(keys, Mapping):
        raise BadConfiguration(
            "keyfile_dict of the connection's extra cannot be read",
            where=where,
            allowed="the contents of a key file: a JSON object, or the text of one",
            fix="write the path of a key file as key_path instead",
        )
    return keys


def _azure(connection: Connection) -> dict[str, Any]:
    extra = connection.extra
    return {
        "account_name": connection.login,
        "account_key": connection.password,
        "sas_token": extra.get("sas_token"),
        "connection_string": extra.get("connection_string"),
    }


_STORAGE: Mapping[str, Callable[[Connection], dict[str, Any]]] = {
    "aws": s3_options,
    "s3": s3_options,
    "google_cloud_platform": _gcs,
    "wasb": _azure,
    "adls": _azure,
}


def from_environment(connection_id: str, environ: Mapping[str, str] | None = None) -> Connection:
    """Return the connection that `AIRFLOW_CONN_<ID>` describes.

    Raises:
        NoConnection: no such variable.
        BadConfiguration: one that cannot be read.
    """
    env = os.environ if environ is None else environ
    variable = f"AIRFLOW_CONN_{connection_id.upper()}"
    text = env.get(variable)
    if not text:
        raise NoConnection(
            "no such connection",
            where=f"connection {connection_id!r}",
            allowed=f"looked in the environment variable {variable}",
            fix=f"set {variable} to the connection as JSON, or as a URI such as postgres://user@host/db",
        )
    try:
        return _parse(connection_id, text)
    except (ValueError, TypeError, AttributeError):
        hide(text)
        raise BadConfiguration(
            f"{variable} is neither a connection URI nor connection JSON",
            where=f"connection {connection_id!r}",
            fix="write TYPE://LOGIN@HOST:PORT/SCHEMA, each part URL-encoded; a password follows LOGIN:",
        ) from None  # the cause quotes parts of the text, which may be a secret


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
    extra = dict(parse_qsl(parts.query))
    return Connection(
        connection_id,
        conn_type=parts.scheme.replace("-", "_"),
        host=unquote(parts.hostname) if parts.hostname else None,
        login=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        port=parts.port,
        schema=path[1:] or None if parts.scheme != "sqlite" else path.removeprefix("/") or None,
        extra=json.loads(extra["__extra__"]) if "__extra__" in extra else extra,
    )
