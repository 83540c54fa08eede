"""Where this installation keeps its things: one folder, each part of which can live elsewhere."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from evergreen.errors import BadConfiguration
from evergreen.redaction import redact

VARIABLES: Mapping[str, str] = {
    "EVERGREEN_HOME": "folder of everything below (default ~/.evergreen)",
    "EVERGREEN_LEDGER": "SQLAlchemy URL of the ledger (default sqlite:///HOME/ledger.db)",
    "EVERGREEN_STORE": "URI of snapshots, quarantine and reports (default HOME/store)",
    "EVERGREEN_PREDICTION_LOG": "URI of the prediction log, on the same storage "
    "(default STORE/predictions)",
    "EVERGREEN_STORE_CONNECTION": "connection id for that store, where it needs one",
    "EVERGREEN_TRACKING": "MLflow tracking and registry URI (default sqlite:///HOME/mlflow.db)",
    "EVERGREEN_ARTIFACTS": "where MLflow keeps artifacts of new experiments (default HOME/artifacts; "
    "where EVERGREEN_TRACKING is a server, where that server keeps them)",
    "EVERGREEN_RELEASES": "folder of the pointers of local release targets (default HOME/releases)",
    "EVERGREEN_MODELS": "folder of the model files for the command line (default dags/models)",
    "EVERGREEN_LEASE_SECONDS": "how long a silent run keeps its model's lease (default 600)",
    "EVERGREEN_ALERTS": "file that says who is told of models whose own file has no `alerts` (default: "
    "the log)",
    "EVERGREEN_CHECKPOINTS": "comma-separated folders or URIs that keep checkpoints of the ledger, out "
    "of its owner's reach (default: none)",
    "EVERGREEN_CHECKPOINTS_CONNECTION": "connection id for those of them that are object storage",
    "EVERGREEN_AIRFLOW_URL": "base URL of Airflow's pages, for links to runs in messages",
    "EVERGREEN_TRUSTED_TYPES": "comma-separated further types that a model may hold",
    "EVERGREEN_AIRFLOW_CONNECTION": "connection id for Airflow's own REST API: where it is set, "
    "the task report writes the decision into the run's note",
}

_LONGEST_LEASE = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Settings:
    """The resolved settings. URLs may hold passwords: never log or store them."""

    home: Path
    ledger_url: str
    store_uri: str
    store_connection: str | None
    tracking_uri: str
    artifact_uri: str | None
    """None: the tracking server decides."""
    releases: Path
    models: Path
    lease_seconds: float
    trusted_types: tuple[str, ...]
    airflow_connection: str | None = None
    prediction_log: str | None = None
    alerts: Path | None = None
    airflow_url: str | None = None
    checkpoints: tuple[str, ...] = ()
    checkpoints_connection: str | None = None

    @property
    def prediction_log_uri(self) -> str:
        """The URI of the prediction log."""
        return self.prediction_log or f"{self.store_uri.rstrip('/')}/predictions"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from environment variables (`VARIABLES` names and explains them).

        Raises:
            BadConfiguration: a value that cannot be read.
        """
        env = os.environ if environ is None else environ
        home = Path(env.get("EVERGREEN_HOME") or Path.home() / ".evergreen").expanduser().absolute()
        tracking_uri = env.get("EVERGREEN_TRACKING") or f"sqlite:///{home / 'mlflow.db'}"
        return cls(
            home=home,
            ledger_url=env.get("EVERGREEN_LEDGER") or f"sqlite:///{home / 'ledger.db'}",
            store_uri=_anchored(env.get("EVERGREEN_STORE"), "EVERGREEN_STORE") or str(home / "store"),
            store_connection=env.get("EVERGREEN_STORE_CONNECTION") or None,
            tracking_uri=tracking_uri,
            artifact_uri=env.get("EVERGREEN_ARTIFACTS") or _artifacts(home, tracking_uri),
            releases=Path(env.get("EVERGREEN_RELEASES") or home / "releases").expanduser().absolute(),
            models=Path(env.get("EVERGREEN_MODELS") or "dags/models"),
            lease_seconds=_seconds(env, "EVERGREEN_LEASE_SECONDS", 600),
            trusted_types=tuple(
                name.strip()
                for name in env.get("EVERGREEN_TRUSTED_TYPES", "").split(",")
                if name.strip()
            ),
            airflow_connection=env.get("EVERGREEN_AIRFLOW_CONNECTION") or None,
            prediction_log=_anchored(env.get("EVERGREEN_PREDICTION_LOG"), "EVERGREEN_PREDICTION_LOG"),
            alerts=_path(env.get("EVERGREEN_ALERTS")),
            airflow_url=_page(env, "EVERGREEN_AIRFLOW_URL"),
            checkpoints=tuple(
                str(_anchored(place.strip(), "EVERGREEN_CHECKPOINTS"))
                for place in env.get("EVERGREEN_CHECKPOINTS", "").split(",")
                if place.strip()
            ),
            checkpoints_connection=env.get("EVERGREEN_CHECKPOINTS_CONNECTION") or None,
        )


def _anchored(uri: str | None, variable: str) -> str | None:
    """Return a store's URI; a path is made absolute, so that every process means the same folder."""
    if not uri:
        return None
    if "://" in uri:
        if not uri.partition("://")[2].strip("/"):
            raise BadConfiguration(
                "the setting names no bucket",
                where=variable,
                got=uri,
                allowed="a path, or a URI such as s3://bucket/prefix",
                fix="name one, or leave it out",
            )
        return uri
    return str(Path(uri).expanduser().absolute())


def _artifacts(home: Path, tracking_uri: str) -> str | None:
    """Return where artifacts go unless a setting says so: never a disk that only this process sees.

    Whoever asks a server may run on another machine than whoever trained (a pod each, say), and finds
    what the server itself keeps. A database as tracking store keeps no files, so they lie beside it.
    """
    if tracking_uri.lower().startswith(("http://", "https://")):
        return None
    return (home / "artifacts").as_uri()


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _page(env: Mapping[str, str], variable: str) -> str | None:
    """Return the address of a page that may stand in messages."""
    text = env.get(variable)
    if not text:
        return None
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and text.isprintable()
    except ValueError:
        usable = False
    if not usable or " " in text or "@" in parts.netloc or parts.query or parts.fragment:
        raise BadConfiguration(
            "the setting cannot be used",
            where=variable,
            got=redact(text),
            allowed="an http or https URL without user, password or question mark",
            fix="write it as https://airflow.example.com, or leave it out",
        )
    return text.rstrip("/")


def _seconds(env: Mapping[str, str], variable: str, default: float) -> float:
    text = env.get(variable) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= _LONGEST_LEASE:
        raise BadConfiguration(
            "the setting cannot be used",
            where=variable,
            got=text,
            allowed=f"seconds, from 1 to {_LONGEST_LEASE}",
            fix="correct it, or leave it out",
        )
    return seconds
