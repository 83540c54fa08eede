"""Score challenger, champion and baseline on the same rows and ask the gate."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from evergreen.errors import ArtefactDamaged, DataUnusable, ModelRefused
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
from evergreen.steps.settle import settle
from evergreen.window import Window
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
        DataUnusable: a model cannot be scored on these rows: the data has lost a column, say.
    """
    retrain = retrain_of(workspace, run_key)
    with holding(workspace, run_key, "evaluate") as lease:
        settle(workspace, model_of(run_key), lease)
        champion = workspace.ledger.last(model_of(run_key), "release")
        found = recall(workspace, "comparison", run_key, Comparison)
        if found is not None and (
            found.champion_seq == (champion.seq if champion else None)
            or last_entry(workspace, "release_intended", run_key) is not None
        ):
            return found
        comparison = _compare(workspace, run_key, retrain, champion)
        record_next(workspace, "comparison", run_key, comparison, lease)
    log.info("promote=%s reasons=%s", comparison.promote, "; ".join(comparison.reasons))
    return comparison


def _compare(workspace: Workspace, run_key: str, retrain: Retrain, champion: Entry | None) -> Comparison:
    from evergreen import gate  # imports scipy, which a DAG file must not
    from evergreen.losses import row_losses
    from evergreen.training.labels import labelled, labels_of

    data, rule = retrain.model.spec.data, retrain.model.spec.gate
    candidate = need(workspace, "candidate", run_key, Candidate)
    snapshot = need(workspace, "snapshot", run_key, Snapshot)
    serving = None if champion is None else from_json(Release, champion.body)
    opponent, notes = _opponent(serving, retrain)
    window, cut = _unseen(workspace, retrain.windows.test, opponent)
    rows = labelled(workspace.snapshots.read(snapshot, window, data.time_column), data.label.column)
    if not rows.num_rows:
        raise DataUnusable("no row is left to compare on", where=f"window {window}")
    labels = labels_of(rows, data.label.column, rule.task)

    def losses(model: Candidate) -> np.ndarray:
        return row_losses(rule.metric, labels, workspace.scorer.predict(model, rows), model.classes)

    comparison = gate.compare(
        rule,
        losses(candidate),
        None if opponent is None else _champion_losses(opponent, candidate, losses),
        row_losses(rule.metric, labels, _baseline(candidate, len(rows)), candidate.classes),
        _days(rows, data.time_column),
    )
    return gate.never_over_newer(
        replace(
            comparison,
            champion_version=None if serving is None else serving.version.number,
            champion_seq=None if champion is None else champion.seq,
            notes=(*notes, *cut),
        ),
        retrain.windows.as_of,
        None if serving is None else serving.as_of,
    )


def _opponent(serving: Release | None, retrain: Retrain) -> tuple[Release | None, tuple[str, ...]]:
    """Return the champion to compare with, and why not where there is none to compare with."""
    if serving is None:
        return None, ()
    number = serving.version.number
    if serving.as_of > retrain.windows.as_of:
        return None, (f"not compared with version {number}: that has seen these rows in training",)
    if retrain.release == "unopposed":
        return None, (f"not compared with version {number}, as asked",)
    return serving, ()


def _unseen(
    workspace: Workspace, test: Window, champion: Release | None
) -> tuple[Window, tuple[str, ...]]:
    """Return the part of the test window that the champion was not trained on, and a note of a cut.

    The windows of one model file never overlap so; a test window that was lengthened since does.
    """
    begun = None if champion is None else recall(workspace, "run_started", champion.run_key, Retrain)
    learnt_until = test.start if begun is None else begun.windows.train.end
    if learnt_until <= test.start:
        return test, ()
    cut = Window(min(learnt_until, test.end), test.end)
    return cut, (f"compared on {cut} only: the champion was trained on the rows before",)


def _champion_losses(
    champion: Release, challenger: Candidate, losses: Callable[[Candidate], np.ndarray]
) -> np.ndarray:
    number, known = champion.version.number, set(champion.candidate.classes)
    way_out = (
        "or replace the champion: a run with release=unopposed releases a challenger that beats the "
        "baseline without this comparison"
    )
    try:
        if champion.candidate.task != challenger.task:
            raise DataUnusable(
                "it answers another kind of question",
                got=f"a challenger for {challenger.task}",
                allowed=champion.candidate.task,
                fix="give the changed model a file and a name of its own",
            )
        if known and challenger.classes and known.isdisjoint(challenger.classes):
            raise DataUnusable(
                "the label's classes are others than those it was trained on",
                got=", ".join(challenger.classes),
                allowed=", ".join(sorted(known)),
                fix="write the label as before in the query",
            )
        return losses(champion.candidate)
    except (ArtefactDamaged, DataUnusable, ModelRefused) as exc:
        raise type(exc)(
            f"the champion, version {number}, cannot be scored: {exc.what}",
            where=exc.where,
            got=exc.got,
            allowed=exc.allowed,
            fix=f"{exc.fix or 'mend the data or the store'}; {way_out}",
        ) from exc


def _baseline(candidate: Candidate, rows: int) -> np.ndarray:
    import numpy as np

    answer = np.array(candidate.baseline)
    return np.tile(answer, (rows, 1)) if candidate.classes else np.full(rows, answer[0])


def _days(rows: pa.Table, time_column: str) -> np.ndarray:
    """Return the UTC day of each row: rows of a day are alike (one storm delays all its flights)."""
    import numpy as np

    days: np.ndarray = rows.column(time_column).to_numpy().astype("datetime64[D]").astype(np.int64)
    return days
