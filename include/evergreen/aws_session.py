"""A botocore session that takes on a role and renews its credentials before they expire.

botocore does both; it only has no way to be told of a role but by a profile. Made once per role, as
fsspec keeps one file system per session.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from evergreen.errors import BadConfiguration
from evergreen.redaction import redact

SESSION_NAME = "evergreen"

BOUNDS: Mapping[str, Any] = {
    "connect_timeout": 10,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 3},
}
"""How long a request may take, in seconds, and how often botocore makes it; a connection's
`config_kwargs` may say otherwise."""

_LOGIN = ("key", "secret", "token", "profile")


def with_role(options: Mapping[str, Any], role: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return options of s3fs by which it acts in a role; their own login only asks for the role.

    Raises:
        BadConfiguration: AWS would not understand what is asked for.
    """
    _check(role, where)
    login = {name: options[name] for name in _LOGIN if name in options}
    verify = options.get("client_kwargs", {}).get("verify")
    rest = {name: value for name, value in options.items() if name not in _LOGIN}
    return {**rest, "session": _session(json.dumps([login, dict(role), verify], sort_keys=True))}


def _check(role: Mapping[str, Any], where: str) -> None:
    """Refuse what AWS would: later, it would look like a fault of the first file that is opened."""
    from botocore.validate import ParamValidator

    asked = {"RoleArn": role["role_arn"], "RoleSessionName": SESSION_NAME, **role["arguments"]}
    report = ParamValidator().validate(asked, _shape_of_a_request())
    if report.has_errors():
        raise BadConfiguration(
            "the role of the connection cannot be asked for",
            where=where,
            got=redact(report.generate_report()),
            fix="correct role_arn and assume_role_kwargs in the connection's extra",
        )


@cache
def _shape_of_a_request() -> Any:
    from botocore.session import Session

    return Session().get_service_model("sts").operation_model("AssumeRole").input_shape


@cache
def _session(described: str) -> Any:
    from aiobotocore.config import AioConfig
    from aiobotocore.credentials import (
        AioAssumeRoleCredentialFetcher,
        AioCredentials,
        AioDeferredRefreshableCredentials,
    )
    from aiobotocore.session import AioSession
    from fsspec.asyn import get_loop, sync

    login, role, verify = json.loads(described)
    source = AioSession(profile=login.get("profile"))
    if login.get("key"):
        own = AioCredentials(login["key"], login["secret"], login.get("token"))
    else:
        own = sync(get_loop(), source.get_credentials)
    if own is None:
        from botocore.exceptions import NoCredentialsError

        raise NoCredentialsError
    fetcher = AioAssumeRoleCredentialFetcher(
        partial(
            source.create_client,
            region_name=role.get("region_name"),
            endpoint_url=role.get("endpoint_url"),
            verify=verify,
            config=AioConfig(**BOUNDS),
        ),
        own,
        role["role_arn"],
        extra_args={"RoleSessionName": SESSION_NAME, **role["arguments"]},
    )
    session = AioSession(profile=login.get("profile"))
    session._credentials = AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    return session
