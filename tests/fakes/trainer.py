"""A trainer that trains nothing and answers the same candidate for the same key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.errors import DataUnusable, EvergreenError
from evergreen.gate_spec import Gate
from evergreen.ports import REFERENCE_ROWS
from evergreen.results import Artefact, Candidate, ColumnType, ModelArtefact, Retrain, Snapshot
from evergreen.spec import ModelSpec


@dataclass(frozen=True)
class Learnt:
    """What a training was given."""

    spec: ModelSpec
    train: pa.Table
    test: pa.Table


class FakeTrainer:
    """`finished` lists the candidates whose run was closed, `attached` holds files by run, `learnt` what
    each key was trained with.

    `trainings` counts per key how often a training was really done. `failure`, where set, is raised
    by the next training and then forgotten.
    """

    def __init__(self) -> None:
        self.trainings: dict[str, int] = {}
        self.failure: EvergreenError | None = None
        self.finished: list[Candidate] = []
        self.attached: dict[str, dict[str, bytes]] = {}
        self.learnt: dict[str, Learnt] = {}

    def train(
        self,
        key: str,
        retrain: Retrain,
        snapshot: Snapshot,
        train: pa.Table,
        test: pa.Table,
        remember: Callable[[Candidate], None],
        refit_of: Candidate | None = None,
    ) -> Candidate:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        spec = retrain.model.spec
        for window, rows in (("train", train), ("test", test)):
            if rows.num_rows < spec.data.min_rows:
                raise DataUnusable(f"too few rows in the {window} window", got=rows.num_rows)
        label, windows = spec.data.label.column, retrain.windows
        labels = train.column(label).drop_null()
        self.trainings[key] = self.trainings.get(key, 0) + 1
        trained_on = windows.train if refit_of is None else windows.whole
        period = max(trained_on.start, trained_on.end - (windows.test.end - windows.test.start))
        time = pc.field(spec.data.time_column)
        last = train.filter((time >= period) & (time < trained_on.end)).column(label).drop_null()
        classes = _classes(labels) if spec.gate.task == "classification" else ()
        if refit_of is not None and classes != refit_of.classes:
            raise DataUnusable("a refit would be another model than the one that was tested")
        candidate = Candidate(
            key=key,
            run_id=_digest(f"run {key}")[:32],
            task=spec.gate.task,
            model=_model(key),
            features=refit_of.features if refit_of else _features(retrain, train),
            classes=classes,
            baseline=_constant(labels, spec.gate, classes),
            rows_trained=train.num_rows,
            rows_tested=0 if refit_of else test.num_rows,
            metrics={} if refit_of else {spec.gate.metric_name: 0.5},
            last_period=_constant(last, spec.gate, classes) if len(last) else (),
            trained_on=trained_on,
            reference_rows=min(REFERENCE_ROWS, len(test.column(label).drop_null())),
            refit_of=refit_of.key if refit_of else None,
        )
        self.learnt[key] = Learnt(spec, train, test)
        remember(candidate)
        self.finish(candidate)
        return candidate

    def attach(self, candidate: Candidate, files: Mapping[str, bytes]) -> None:
        self.attached.setdefault(candidate.run_id, {}).update(files)

    def finish(self, candidate: Candidate) -> None:
        if candidate not in self.finished:
            self.finished.append(candidate)


def _model(key: str) -> ModelArtefact:
    artefacts = (Artefact("model.skops", _digest(f"file {key}"), 1),)
    return ModelArtefact(f"fake:/{key}", _digest(f"model {key}"), artefacts)


def _features(retrain: Retrain, rows: pa.Table) -> tuple[ColumnType, ...]:
    data = retrain.model.spec.data
    no_features = {data.key, data.time_column, data.label.column, data.weight, *data.exclude}
    return tuple(ColumnType(f.name, str(f.type)) for f in rows.schema if f.name not in no_features)


def _classes(labels: pa.ChunkedArray) -> tuple[str, ...]:
    classes = tuple(sorted(map(str, labels.unique().to_pylist())))
    if len(classes) < 2:
        raise DataUnusable("the label has one class only", got=classes)
    return classes


def _constant(labels: pa.ChunkedArray, gate: Gate, classes: tuple[str, ...]) -> tuple[float, ...]:
    if gate.metric.type == "absolute_error":
        return (float(np.median(labels.to_numpy())),)
    if gate.task == "regression":
        return (float(pc.mean(labels).as_py()),)
    text = [str(label) for label in labels.to_pylist()]
    return tuple(text.count(name) / len(text) for name in classes)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
