"""The way to MLflow: quiet, bounded in time, and with errors of ours.

Everything that talks to a tracking server or registry opens its client here.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.artefacts import sync_folder
from evergreen.errors import BadConfiguration, EvergreenError, StoreUnavailable, bounded
from evergreen.failpoints import failpoint
from evergreen.file_lock import locked
from evergreen.redaction import redact

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow's own defaults wait for minutes; here the task's retries wait, visibly.
_DEFAULTS: Mapping[str, str] = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_CONNECT_SECONDS = 10
_PERMANENT = frozenset(
    {
        "ENDPOINT_NOT_FOUND",
        "INVALID_PARAMETER_VALUE",
        "PERMISSION_DENIED",
        "RESOURCE_DOES_NOT_EXIST",
        "UNAUTHENTICATED",
    }
)
_VENDORS = ("azure.", "boto3.", "botocore.", "google.", "requests.", "urllib3.", "s3transfer.")


def open_client(tracking_uri: str) -> MlflowClient:
    """Return a client of the tracking server and registry at `tracking_uri`.

    Raises:
        StoreUnavailable: a database that does not answer. A server is first asked by the first call.
    """
    with answering(tracking_uri):
        import_mlflow()
        from mlflow import MlflowClient

        _probe(tracking_uri)
        return MlflowClient(tracking_uri, registry_uri=tracking_uri)


def import_mlflow() -> None:
    """Import MLflow for the first time: quiet, without telemetry, with bounded waits."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401 - read its settings now

    logging.getLogger("mlflow").setLevel(logging.WARNING)


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn the errors of MLflow and of what lies behind it into ours; drop its warnings.

    Raises:
        BadConfiguration: MLflow understood the call and refuses it for good, or the URI names no way
            to it.
        StoreUnavailable: everything else it may raise; a later try may succeed.
    """
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except EvergreenError:
        raise
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as exc:
        raise BadConfiguration(
            f"MLflow cannot be reached this way: {_reason(exc)}",
            where=redact(uri),
            allowed="an http(s) address, or the SQLAlchemy URL of a database whose driver is installed",
            fix="correct EVERGREEN_TRACKING",
        ) from exc
    except (OSError, SQLAlchemyError) as exc:
        raise _unavailable(uri, exc) from exc
    except Exception as exc:
        code = getattr(exc, "error_code", None)
        if code in _PERMANENT:
            raise BadConfiguration(
                f"MLflow refused the call: {_reason(exc)}",
                where=redact(uri),
                fix="look at EVERGREEN_TRACKING and at the rights there",
            ) from exc
        if code is None and not type(exc).__module__.startswith(_VENDORS):
            raise
        raise _unavailable(uri, exc) from exc


def _unavailable(uri: str, exc: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"MLflow or its artifact store did not answer: {_reason(exc)}",
        where=redact(uri),
        fix="it may answer later; else look at EVERGREEN_TRACKING and EVERGREEN_ARTIFACTS",
    )


def _reason(exc: Exception) -> str:
    return bounded(redact(f"{type(exc).__name__}: {exc}"))


def _probe(tracking_uri: str) -> None:
    """Connect once to a database, which MLflow itself would try for 100 seconds."""
    if "://" not in tracking_uri or tracking_uri.startswith(("http:", "https:", "file:", "databricks")):
        return
    import sqlalchemy

    url = sqlalchemy.make_url(tracking_uri)
    options: dict[str, object] = {"connect_timeout": _CONNECT_SECONDS}
    if url.get_backend_name() == "sqlite":
        options = {"timeout": _CONNECT_SECONDS}
        if url.database and url.database != ":memory:":
            _make_database(Path(url.database))
    elif url.get_backend_name() not in {"postgresql", "mysql"}:
        options = {}
    engine = sqlalchemy.create_engine(url, connect_args=options, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    finally:
        engine.dispose()


def _make_database(file: Path) -> None:
    """Make MLflow's SQLite file where there is none: whole, or not at all.

    MLflow migrates a new file in place, without a lock: two processes that meet there both fail, and a
    process killed there leaves a file that no later one can open.
    """
    from mlflow import MlflowClient

    if file.exists():
        return
    with locked(file.with_name(f".{file.name}.lock")):
        if file.exists():
            return
        new = file.with_name(f".{file.name}.new")
        new.unlink(missing_ok=True)
        store: Any = MlflowClient(f"sqlite:///{new}")._tracking_client.store
        store.engine.dispose()
        failpoint("tracking.migrated")
        new.replace(file)
        sync_folder(file.parent)
