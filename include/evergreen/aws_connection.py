"""What a connection of type `aws` says of object storage, as options of fsspec's `s3`.

It is read as Airflow's Amazon provider reads it. What cannot be heeded is refused by name: an entry
that is ignored is a bucket opened with another login, or without the check that somebody asked for.
Pure: no client is made here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from evergreen.errors import BadConfiguration
from evergreen.names import did_you_mean
from evergreen.redaction import redact

if TYPE_CHECKING:
    from evergreen.connections import Connection

ROLE = "assume_role"
"""The option that `storage.open_remote` turns into a session which takes on a role."""

_EXTRAS = (
    "assume_role_kwargs",
    "assume_role_method",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "config_kwargs",
    "endpoint_url",
    "profile_name",
    "region_name",
    "role_arn",
    "service_config",
    "verify",
)
_SERVICE_ENTRIES = {"s3": ("bucket_name", "endpoint_url"), "sts": ("endpoint_url", "region_name")}
"""Of a bucket's name there is no need here: each URI names its own."""
_UNSIGNED = "unsigned"
_HOST_LABEL = re.compile("[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
"""What botocore takes between the dots of a host's name: no underscore, which Docker would allow."""


def s3_options(connection: Connection) -> dict[str, Any]:
    """Return the options; values may be None. Without any login, botocore looks for one by itself.

    Raises:
        BadConfiguration: an entry that cannot be heeded here.
    """
    where = f"connection {connection.id!r}"
    extra = {name: value for name, value in connection.extra.items() if value not in (None, "", {})}
    _known(extra, _EXTRAS, where)
    for name in ("host", "port", "schema"):
        if getattr(connection, name):
            raise BadConfiguration(
                f"the {name} of a connection to AWS has no meaning",
                where=where,
                fix="a store of your own is named by endpoint_url in the connection's extra",
            )
    s3, sts = (_service(extra, name, where) for name in ("s3", "sts"))
    config = _mapping(extra, "config_kwargs", where)
    anonymous = config.pop("signature_version", None) if _is_unsigned(config) else None
    key, secret = _login(connection, extra, where)
    region = _region(extra, where)
    client = {"region_name": region, "verify": _verify(extra, where)}
    return {
        "anon": True if anonymous else None,
        "key": key,
        "secret": secret,
        "token": extra.get("aws_session_token"),
        "profile": extra.get("profile_name"),
        "endpoint_url": s3.get("endpoint_url") or _endpoint(extra, where),
        "client_kwargs": {name: value for name, value in client.items() if value is not None} or None,
        "config_kwargs": config or None,
        ROLE: _role(extra, sts, region, where),
    }


def _login(
    connection: Connection, extra: Mapping[str, Any], where: str
) -> tuple[str | None, str | None]:
    """Return the access key and its secret: login and password, or else those of the extra."""
    key, secret = connection.login, connection.password
    if not (key or secret):
        key, secret = extra.get("aws_access_key_id"), extra.get("aws_secret_access_key")
    if bool(key) != bool(secret) or (extra.get("aws_session_token") and not key):
        raise BadConfiguration(
            "the login is not whole",
            where=where,
            got=f"{'an' if key else 'no'} access key, {'a' if secret else 'no'} secret",
            allowed="both, with or without aws_session_token, or none of the three",
            fix="without any, the machine's own role, profile or environment counts",
        )
    return key or None, secret or None


def _role(
    extra: Mapping[str, Any], sts: Mapping[str, Any], region: str | None, where: str
) -> dict[str, Any] | None:
    arn = extra.get("role_arn")
    method = extra.get("assume_role_method", "assume_role")
    arguments = _mapping(extra, "assume_role_kwargs", where)
    if arn is None:
        if arguments or method != "assume_role":
            raise BadConfiguration(
                "there is no role to take on",
                where=where,
                got="assume_role_method or assume_role_kwargs without role_arn",
                fix="name the role by role_arn, or leave them out",
            )
        return None
    if method != "assume_role":
        raise BadConfiguration(
            "this way of taking on a role is not known here",
            where=where,
            got=f"assume_role_method {method!r}",
            allowed="assume_role",
            fix="leave role_arn out and set AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, which count "
            "by themselves; or name a profile that does it, by profile_name",
        )
    if "SerialNumber" in arguments or "TokenCode" in arguments:
        raise BadConfiguration(
            "nobody is there to type a one-time code",
            where=where,
            got="SerialNumber or TokenCode in assume_role_kwargs",
            fix="take on a role that asks for none",
        )
    return {"role_arn": arn, "arguments": arguments, "region_name": region, **sts}


def _service(extra: Mapping[str, Any], service: str, where: str) -> dict[str, Any]:
    """Return what the connection says of one service; of others it may say what it likes."""
    entries = _mapping(_mapping(extra, "service_config", where), service, where)
    where = f"{where}, service_config.{service}"
    _known(entries, _SERVICE_ENTRIES[service], where)
    _endpoint(entries, where)
    _region(entries, where)
    return entries


def _endpoint(holder: Mapping[str, Any], where: str) -> str | None:
    """Return the address of a store of your own."""
    value = holder.get("endpoint_url")
    if value in (None, ""):
        return None
    if isinstance(value, str) and _is_address(value):
        return value
    raise BadConfiguration(
        "endpoint_url cannot be used",
        where=where,
        got=redact(value.rpartition("@")[2]) if isinstance(value, str) else type(value).__name__,
        allowed="an http or https URL whose host has letters, digits, - and .",
        fix="write it as https://store.example.com:9000, or leave it out for AWS",
    )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        return False
    return ":" in host or all(map(_HOST_LABEL.fullmatch, host.removesuffix(".").split(".")))


def _region(holder: Mapping[str, Any], where: str) -> str | None:
    value = holder.get("region_name")
    if value in (None, ""):
        return None
    if isinstance(value, str):
        return value
    raise BadConfiguration(
        "region_name cannot be used",
        where=where,
        got=type(value).__name__,
        allowed="text",
        fix="write it as eu-west-1",
    )


def _verify(extra: Mapping[str, Any], where: str) -> bool | str | None:
    value = extra.get("verify")
    if isinstance(value, str) and value.lower() in ("true", "false"):  # a URI holds text only
        return value.lower() == "true"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and Path(value).is_file():
        return value
    raise BadConfiguration(
        "verify cannot be used",
        where=where,
        got=value,
        allowed="true, false, or the path of a file of certificates on this machine",
        fix="correct it, or leave it out",
    )


def _is_unsigned(config: Mapping[str, Any]) -> bool:
    return config.get("signature_version") == _UNSIGNED


def _mapping(holder: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    value = holder.get(name) or {}
    if not isinstance(value, Mapping):
        raise BadConfiguration(
            f"{name} of the connection's extra cannot be read",
            where=where,
            got=type(value).__name__,
            allowed="a JSON object",
            fix="write the connection as JSON: a URI holds text only",
        )
    return dict(value)


def _known(entries: Iterable[str], known: tuple[str, ...], where: str) -> None:
    for name in sorted(map(str, set(entries) - set(known))):
        raise BadConfiguration(
            "the connection's extra has an entry that would have no effect here",
            where=where,
            got=name,
            allowed=", ".join(known),
            fix=did_you_mean(name, known) or "leave it out",
        )
