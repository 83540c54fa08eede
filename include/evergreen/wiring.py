"""The one place where ports meet adapters: opens a workspace from settings and connections.

Each name maps to the module that implements it, imported only when it is used. Adding a source or a
release target is one adapter file and one row here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, make_url

from evergreen.airflow_links import run_url
from evergreen.code_version import code_version
from evergreen.connections import Connections
from evergreen.errors import BadConfiguration
from evergreen.fleet_file import fleet_channels
from evergreen.messenger import Messenger
from evergreen.outbox import AlertSink
from evergreen.ports import DataSource, Deployer, Ledger
from evergreen.results import Candidate, PinnedModel
from evergreen.settings import Settings
from evergreen.source_spec import FilesSource, Source, SqlSource
from evergreen.watch_ports import LoggedRows, PredictionLog
from evergreen.witness_ports import CheckpointPlace
from evergreen.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

ADAPTERS = {
    "checkpoints": "evergreen.adapters.checkpoint_place:CheckpointFiles",
    "file store": "evergreen.adapters.file_store:SmallFiles",
    "files source": "evergreen.adapters.files_source:FileRows",
    "local target": "evergreen.adapters.local_target:LocalTarget",
    "log sink": "evergreen.adapters.log_sink:LogSink",
    "logged source": "evergreen.adapters.logged_source:LoggedSource",
    "prediction log": "evergreen.adapters.prediction_log:ParquetLog",
    "registry": "evergreen.adapters.mlflow_registry:MlflowRegistry",
    "sample page": "evergreen.adapters.evidently_report:page",
    "scorer": "evergreen.adapters.child_scorer:ChildScorer",
    "slack sink": "evergreen.adapters.slack_sink:SlackSink",
    "smtp sink": "evergreen.adapters.smtp_sink:SmtpSink",
    "snapshots": "evergreen.adapters.parquet_store:ParquetStore",
    "sql counts": "evergreen.adapters.sql_counts:SqlCounts",
    "sql source": "evergreen.adapters.sql_source:SqlRows",
    "trainer": "evergreen.adapters.mlflow_trainer:MlflowTrainer",
    "validator": "evergreen.adapters.gx_validator:GxValidator",
    "webhook sink": "evergreen.adapters.webhook_sink:WebhookSink",
}


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Any]:
    """Open the ledger, migrated to this version; closed at the end of the block.

    Raises:
        LedgerUnavailable: its database did not answer.
    """
    from evergreen.ledger import open_ledger as open_sql_ledger

    ledger = open_sql_ledger(settings.ledger_url, settings.lease_seconds)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def open_workspace(settings: Settings, connections: Connections) -> Iterator[Workspace]:
    """Open everything a run works with; closed at the end of the block.

    Raises:
        BadConfiguration: a setting or connection is missing.
        LedgerUnavailable: the ledger's database did not answer.
    """
    with open_ledger(settings) as ledger:
        yield fill(settings, connections, ledger)


def fill(settings: Settings, connections: Connections, ledger: Ledger) -> Workspace:
    """Return the workspace of these settings around an open ledger."""
    options = (
        connections(settings.store_connection).storage_options() if settings.store_connection else {}
    )
    predictions = _adapter("prediction log")(settings.prediction_log_uri, options)
    return Workspace(
        ledger=ledger,
        source_for=lambda model: source_for(model, connections),
        snapshots=_adapter("snapshots")(settings.store_uri, options),
        validator=_adapter("validator")(settings.store_uri, options),
        trainer=_adapter("trainer")(
            settings.tracking_uri, settings.artifact_uri, settings.trusted_types
        ),
        scorer=_adapter("scorer")(settings.tracking_uri, settings.trusted_types),
        registry=_adapter("registry")(settings.tracking_uri),
        deployer=_local_target(settings),
        code_version=code_version,
        scoring_source_for=lambda model: scoring_source_for(model, connections),
        predictions=predictions,
        logged_for=lambda model, candidate: logged_for(model, candidate, connections, predictions),
        files=_adapter("file store")(settings.store_uri, options),
        sample_page=_sample_page,
        checkpoints=checkpoint_places(settings, connections),
    )


@contextmanager
def open_messenger(settings: Settings, connections: Connections) -> Iterator[Messenger]:
    """Open everything that telling people works with; closed at the end of the block.

    Raises:
        LedgerUnavailable: the ledger's database did not answer.
    """
    with open_ledger(settings) as ledger:
        yield messenger_around(ledger, settings, connections)


def messenger_around(ledger: Any, settings: Settings, connections: Connections) -> Messenger:
    """Return the messenger of these settings around an open ledger."""
    return Messenger(
        ledger=ledger,
        outbox=ledger.outbox,
        sink=cache(lambda kind: _sink(kind, connections)),
        fleet=cache(lambda: fleet_channels(settings.alerts)),
        run_url=lambda run_key: run_url(settings.airflow_url, run_key),
        checkpoints=checkpoint_places(settings, connections),
    )


def checkpoint_places(
    settings: Settings, connections: Connections, only: Sequence[str] = ()
) -> tuple[CheckpointPlace, ...]:
    """Return the places of the settings that keep checkpoints, or only those named."""

    def options() -> Mapping[str, Any]:
        connection = settings.checkpoints_connection
        return connections(connection).storage_options() if connection else {}

    return tuple(_adapter("checkpoints")(uri, options) for uri in only or settings.checkpoints)


def _sink(kind: str, connections: Connections) -> AlertSink:
    sink: AlertSink = _adapter("smtp sink" if kind == "email" else f"{kind} sink")(connections)
    return sink


def source_for(model: PinnedModel, connections: Connections) -> DataSource:
    """Return the data source that a model file names.

    Raises:
        BadConfiguration: its connection is missing or is to something else.
    """
    return _rows(model, connections, model.spec.data.source, model.query, "data.source")


def scoring_source_for(model: PinnedModel, connections: Connections) -> DataSource:
    """Return where the rows to score come from; they need no label.

    Raises:
        BadConfiguration: its connection is missing or is to something else.
    """
    score, data = model.spec.score, model.spec.data
    if score is None or score.source is None:
        return _rows(model, connections, data.source, model.query, "data.source", labelled=False)
    return _rows(model, connections, score.source, model.score_query, "score.source", labelled=False)


def logged_for(
    model: PinnedModel, candidate: Candidate, connections: Connections, predictions: PredictionLog
) -> LoggedRows:
    """Return the rows that the watch looks at: the prediction log's, or those the team logs itself.

    Rows in a database are counted there.

    Raises:
        BadConfiguration: the connection of monitor.source is missing or is to something else.
        DataUnusable: monitor.source names other classes than the champion's.
    """
    monitor, data = model.spec.monitor, model.spec.data
    if monitor is None or monitor.source is None:
        return predictions.rows(model.spec.name, data.time_column)
    section, logged = "monitor.source.source", monitor.source
    rows = _rows(model, connections, logged.source, model.monitor_query, section, labelled=False)
    where = f"model {model.spec.name}, monitor.source"
    pulled: LoggedRows = _adapter("logged source")(
        rows, data.time_column, logged, candidate.classes, where
    )
    if not isinstance(logged.source, SqlSource):
        return pulled
    counted: LoggedRows = _adapter("sql counts")(
        pulled,
        _database(logged.source, connections),
        model.monitor_query,
        data,
        logged,
        candidate.classes,
        where,
    )
    return counted


def _rows(
    model: PinnedModel,
    connections: Connections,
    source: Source,
    query: str | None,
    section: str,
    *,
    labelled: bool = True,
) -> DataSource:
    data, where = model.spec.data, f"model {model.spec.name}, {section}"
    rows: DataSource
    match source:
        case SqlSource():
            if query is None:
                raise BadConfiguration("the query was not loaded", where=where)
            url = _database(source, connections)
            rows = _adapter("sql source")(url, query, data, where, labelled=labelled)
        case FilesSource():
            options = connections(source.connection).storage_options() if source.connection else {}
            rows = _adapter("files source")(
                source, Path(model.folder), data, options, section=section, labelled=labelled
            )
    return rows


def _database(source: SqlSource, connections: Connections) -> URL:
    if source.connection:
        return connections(source.connection).sqlalchemy_url()
    return make_url(source.url or "")


def _sample_page(
    before: pa.Table, after: pa.Table, columns: Sequence[str], title: str, seconds: float
) -> bytes:
    page: bytes = _adapter("sample page")(before, after, columns, title, seconds)
    return page


def _local_target(settings: Settings) -> Deployer:
    target: Deployer = _adapter("local target")(settings.releases)
    return target


def _adapter(name: str) -> Any:
    module, _, attribute = ADAPTERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
