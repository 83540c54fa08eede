"""The one place where ports meet adapters: opens a workspace from settings and connections.

Each name maps to the module that implements it, imported only when it is used. Adding a source or a
release target is one adapter file and one row here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from evergreen.code_version import code_version
from evergreen.connections import Connections
from evergreen.errors import BadConfiguration
from evergreen.ports import DataSource, Deployer, Ledger
from evergreen.results import PinnedModel
from evergreen.settings import Settings
from evergreen.source_spec import FilesSource, SqlSource
from evergreen.workspace import Workspace

ADAPTERS = {
    "file store": "evergreen.adapters.file_store:SmallFiles",
    "files source": "evergreen.adapters.files_source:FileRows",
    "local target": "evergreen.adapters.local_target:LocalTarget",
    "prediction log": "evergreen.adapters.prediction_log:ParquetLog",
    "registry": "evergreen.adapters.mlflow_registry:MlflowRegistry",
    "scorer": "evergreen.adapters.child_scorer:ChildScorer",
    "snapshots": "evergreen.adapters.parquet_store:ParquetStore",
    "sql source": "evergreen.adapters.sql_source:SqlRows",
    "trainer": "evergreen.adapters.mlflow_trainer:MlflowTrainer",
    "validator": "evergreen.adapters.gx_validator:GxValidator",
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
        scoring_source_for=lambda model: source_for(model, connections),
        predictions=predictions,
        logged_for=lambda model, _: predictions.rows(model.spec.name, model.spec.data.time_column),
        files=_adapter("file store")(settings.store_uri, options),
    )


def source_for(model: PinnedModel, connections: Connections) -> DataSource:
    """Return the data source that a model file names.

    Raises:
        BadConfiguration: its connection is missing or is to something else.
    """
    source, where = model.spec.data.source, f"model {model.spec.name}, data.source"
    rows: DataSource
    match source:
        case SqlSource():
            url = (
                connections(source.connection).sqlalchemy_url()
                if source.connection
                else make_url(source.url or "")
            )
            if model.query is None:
                raise BadConfiguration("the query was not loaded", where=where)
            rows = _adapter("sql source")(url, model.query, model.spec.data, where)
        case FilesSource():
            options = connections(source.connection).storage_options() if source.connection else {}
            rows = _adapter("files source")(source, Path(model.folder), model.spec.data, options)
    return rows


def _local_target(settings: Settings) -> Deployer:
    target: Deployer = _adapter("local target")(settings.releases)
    return target


def _adapter(name: str) -> Any:
    module, _, attribute = ADAPTERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
