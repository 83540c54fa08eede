"""Opens the file systems that a URI names, with bounds to time, tries and memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec

from evergreen.aws_connection import ROLE
from evergreen.aws_session import BOUNDS, with_role
from evergreen.errors import BadConfiguration
from evergreen.storage_errors import store_answers

PART_BYTES = 16 * 1024 * 1024
"""Files of twice this size and more are moved in parts of it, so many at once:"""
PARTS_AT_ONCE = 4
TRIES = 2
"""How often s3fs begins a request anew after botocore gave it up, or a body that broke off."""

REMOTE_SCHEMES = ("abfs", "abfss", "az", "gcs", "gs", "memory", "s3", "s3a")

_EXTRAS: Mapping[str, str] = {
    "s3": "s3fs (the extra 's3')",
    "s3a": "s3fs (the extra 's3')",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}

_S3 = ("s3", "s3a")


def local_path(uri: str) -> Path | None:
    """Return the path that a URI names on this machine, or None for object storage.

    >>> local_path("s3://bucket/store") is None
    True
    >>> local_path("file:///data/store").as_posix()
    '/data/store'
    """
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if "://" in uri else Path(uri)


def open_remote(uri: str, options: Mapping[str, Any], where: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URI on object storage, and the path on it.

    Raises:
        BadConfiguration: a scheme that is not known, or whose library is not installed.
    """
    scheme = uri.partition("://")[0]
    if scheme not in REMOTE_SCHEMES or "::" in uri:
        raise BadConfiguration(
            "not a kind of storage known here",
            where=where,
            got=uri,
            allowed="a path, or a URL that begins with "
            + ", ".join(f"{name}://" for name in REMOTE_SCHEMES),
        )
    if scheme in _S3:
        with store_answers(where):
            options = _s3(options, where)
    try:
        system, path = fsspec.core.url_to_fs(uri, **options)
    except ImportError as exc:
        raise BadConfiguration(
            f"{scheme}:// needs a library that is not installed",
            where=where,
            got=str(exc),
            fix=f"install {_EXTRAS.get(scheme, scheme)}",
        ) from exc
    if scheme in _S3:
        system.retries = TRIES
    return system, path


def _s3(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return s3fs's options: bounded, without a memory of listings, in a role where one is named."""
    try:
        from aiobotocore.config import AioConfig

        config = {**BOUNDS, **options.get("config_kwargs", {})}
        AioConfig(**config)
    except ImportError:  # s3fs, which needs it, says so when it is opened
        return dict(options)
    except Exception as exc:
        raise BadConfiguration(
            "botocore does not take the connection's config_kwargs",
            where=where,
            got=str(exc),
            fix="see the arguments of botocore.config.Config",
        ) from exc
    bounded = {
        **{name: value for name, value in options.items() if name != ROLE},
        "config_kwargs": config,
        "use_listings_cache": False,
        "default_block_size": PART_BYTES,
        "max_concurrency": PARTS_AT_ONCE,
    }
    return with_role(bounded, options[ROLE], where) if ROLE in options else bounded
