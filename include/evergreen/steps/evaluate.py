"""Score challenger, champion and baseline on the same rows and ask the gate."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from evergreen.ports import Entry
from evergreen.results import Candidate, Comparison, Release, Retrain, Snapshot, from_json
from evergreen.steps.memory import (
    holding,
    last_entry,
    model_of,
    need,
    recall,
    record_next,
    retrain_of,
)
from evergreen.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

log = logging.getLogger(__name__)


def evaluate(workspace: Workspace, run_key: str) -> Comparison:
    """Return the comparison with the champion of now.

    A comparison that was made against another champion than now's is made again, unless this run has
    already begun to release on it.

    Raises:
        ArtefactDamaged: a model or the snapshot is not what the ledger recorded.
        ModelRefused: a model holds a type that is not trusted.
        DataUnusable: the champion needs a column that the data has lost.
    """
    champion = workspace.ledger.last(model_of(run_key), "release")
    found = recall(workspace, "comparison", run_key, Comparison)
    if found is not None and (
        found.champion_seq == (champion.seq if champion else None)
        or last_entry(workspace, "release_intended", run_key) is not None
    ):
        return found
    retrain = retrain_of(workspace, run_key)
    with holding(workspace, run_key, "evaluate") as lease:
        comparison = _compare(workspace, run_key, retrain, champion)
        record_next(workspace, "comparison", run_key, comparison, lease)
    log.info("promote=%s reasons=%s", comparison.promote, "; ".join(comparison.reasons))
    return comparison


def _compare(workspace: Workspace, run_key: str, retrain: Retrain, champion: Entry | None) -> Comparison:
    from evergreen import gate  # imports scipy, which a DAG file must not
    from evergreen.losses import row_losses
    from evergreen.training.labels import labelled, labels_of

    spec = retrain.model.spec
    candidate = need(workspace, "candidate", run_key, Candidate)
    snapshot = need(workspace, "snapshot", run_key, Snapshot)
    rows = workspace.snapshots.read(snapshot, retrain.windows.test, spec.data.time_column)
    rows = labelled(rows, spec.data.label.column)
    serving = None if champion is None else from_json(Release, champion.body)
    labels = labels_of(rows, spec.data.label.column, spec.gate.task)

    def losses(model: Candidate) -> np.ndarray:
        predictions = workspace.scorer.predict(model, rows)
        return row_losses(spec.gate.metric, labels, predictions, model.classes)

    comparison = gate.compare(
        spec.gate,
        losses(candidate),
        None if serving is None else losses(serving.candidate),
        row_losses(spec.gate.metric, labels, _baseline(candidate, len(rows)), candidate.classes),
        _days(rows, spec.data.time_column),
    )
    return gate.never_over_newer(
        replace(
            comparison,
            champion_version=None if serving is None else serving.version.number,
            champion_seq=None if champion is None else champion.seq,
        ),
        retrain.windows.as_of,
        None if serving is None else serving.as_of,
    )


def _baseline(candidate: Candidate, rows: int) -> np.ndarray:
    import numpy as np

    answer = np.array(candidate.baseline)
    return np.tile(answer, (rows, 1)) if candidate.classes else np.full(rows, answer[0])


def _days(rows: pa.Table, time_column: str) -> np.ndarray:
    """Return the UTC day of each row: rows of a day are alike (one storm delays all its flights)."""
    import numpy as np

    days: np.ndarray = rows.column(time_column).to_numpy().astype("datetime64[D]").astype(np.int64)
    return days
