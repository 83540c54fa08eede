"""The workspace of a replay: everything that is written lies in one throw-away folder or in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from evergreen.canonical import digest_of
from evergreen.connections import Connections
from evergreen.ports import DataSource, Ledger
from evergreen.replay.champions import RegistryInMemory, TargetInMemory
from evergreen.replay.models import ModelsInMemory
from evergreen.replay.remembered import RememberedLog, RememberedSource
from evergreen.results import PinnedModel
from evergreen.settings import Settings
from evergreen.wiring import fill, open_ledger, source_for
from evergreen.workspace import Workspace


@dataclass(frozen=True)
class Scratch:
    """What the policies of one replay share: models, snapshots and the rows read so far.

    Each policy has a ledger, a prediction log, a registry and a target of its own.
    """

    folder: Path
    settings: Settings
    connections: Connections
    models: ModelsInMemory = field(default_factory=ModelsInMemory)
    sources: dict[str, RememberedSource] = field(default_factory=dict)

    @contextmanager
    def workspace(self, policy: str) -> Iterator[Workspace]:
        """Open the workspace of one policy; `policy` names its folder."""
        home = self.folder / policy
        home.mkdir()
        settings = replace(
            self.settings,
            home=home,
            ledger_url=f"sqlite:///{home / 'ledger.db'}",
            store_uri=str(self._store),
            store_connection=None,
            tracking_uri=f"sqlite:///{home / 'no-mlflow.db'}",
            artifact_uri=(home / "artifacts").as_uri(),
            releases=home / "releases",
            prediction_log=str(home / "predictions"),
            airflow_connection=None,
            checkpoints=(),
        )
        with open_ledger(settings) as ledger:
            yield self._filled(settings, ledger)

    def _filled(self, settings: Settings, ledger: Ledger) -> Workspace:
        """Return a workspace wired like the real one, with models, registry and target in memory.

        What the watch looks at is the replay's own log even where the team logs predictions itself:
        those are of versions that this replay does not have.
        """
        wired = fill(settings, self.connections, ledger)
        predictions = RememberedLog(wired.predictions)
        return replace(
            wired,
            source_for=self._source_for,
            scoring_source_for=lambda model: self._scoring_source_for(model, wired),
            trainer=self.models,
            scorer=self.models,
            registry=RegistryInMemory(),
            deployer=TargetInMemory(),
            predictions=predictions,
            logged_for=lambda model, _: predictions.rows(model.spec.name, model.spec.data.time_column),
        )

    @cached_property
    def _store(self) -> Path:
        return self.folder / "store"

    def _source_for(self, model: PinnedModel) -> DataSource:
        source = model.spec.data.source
        return self._remembered(
            source_for(model, self.connections), model, [source.model_dump(mode="json"), model.query]
        )

    def _scoring_source_for(self, model: PinnedModel, wired: Workspace) -> DataSource:
        score = model.spec.score
        if score is None or score.source is None:
            return self._source_for(model)
        named = ["scoring", score.source.model_dump(mode="json"), model.score_query]
        return self._remembered(wired.scoring_source_for(model), model, named)

    def _remembered(self, source: DataSource, model: PinnedModel, named: Sequence[object]) -> DataSource:
        """Return the source that another policy, or an earlier step, may have read already."""
        data = model.spec.data
        name = digest_of([*named, model.folder, data.time_column, data.time_zone, data.key])[:16]
        if name not in self.sources:
            self.sources[name] = RememberedSource(source, self.folder / "rows" / name, data.time_column)
        return self.sources[name]


@contextmanager
def scratch(settings: Settings, connections: Connections) -> Iterator[Scratch]:
    """Give a scratch folder that only this user can read, removed at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="evergreen-replay-") as folder:
        yield Scratch(Path(folder), settings, connections)
