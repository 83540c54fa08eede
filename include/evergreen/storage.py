"""Opens the file systems that a URI names, and says which exceptions mean that they did not answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from evergreen.errors import BadConfiguration, StoreUnavailable
from evergreen.redaction import redact

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
_VENDOR_ERRORS = (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError"))


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
    try:
        system, path = fsspec.core.url_to_fs(uri, **options)
    except ImportError as exc:
        raise BadConfiguration(
            f"{scheme}:// needs a library that is not installed",
            where=where,
            got=str(exc),
            fix=f"install {_EXTRAS.get(scheme, scheme)}",
        ) from exc
    return system, path


def storage_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions by which a disk or an object store says that it cannot.

    Vendors' own classes are among them only where their library is loaded: without it none is raised.
    """
    loaded = [getattr(sys.modules.get(module), name, None) for module, name in _VENDOR_ERRORS]
    return (OSError, *(kind for kind in loaded if kind is not None))


@contextmanager
def store_answers(where: str, what: str = "the store did not take or give a file") -> Iterator[None]:
    """Say of a disk or an object store that cannot, in one way, that it did not answer.

    Raises:
        StoreUnavailable: it said that it could not.
    """
    try:
        yield
    except storage_errors() as exc:
        raise StoreUnavailable(
            what,
            where=where,
            got=redact(f"{type(exc).__name__}: {exc}"),
            fix="is the disk full, the bucket there, and the login allowed to write?",
        ) from exc
