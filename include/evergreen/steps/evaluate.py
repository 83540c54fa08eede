"""Measure challenger, champion and baseline on the same rows and ask the gate."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from evergreen.comparison import Comparison
from evergreen.failpoints import failpoint
from evergreen.names import file_name
from evergreen.ports import Entry, Lease
from evergreen.results import Candidate, Release, Retrain, from_json, to_json
from evergreen.steps.hand import forbidden_by_hand
from evergreen.steps.measure import measure
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
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)

COMPARISON_FILE = "comparison.json"
PICTURE_FILE = "gate.png"


def evaluate(workspace: Workspace, run_key: str) -> Comparison:
    """Return the comparison with the champion of now; it is kept on the challenger's MLflow run, too.

    A comparison that was made against another champion than now's is made again, unless this run has
    already begun to release on it.

    Raises:
        ArtefactDamaged: a model or the snapshot is not what the ledger recorded.
        ModelRefused: a model holds a type that is not trusted.
        DataUnusable: a model cannot be scored on these rows: the data has lost a column, say.
        StoreUnavailable: the tracking server did not answer.
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
        comparison = _compare(workspace, retrain, champion)
        _attach(workspace, retrain, comparison, lease)
        failpoint("evaluate.attached")
        record_next(workspace, "comparison", run_key, comparison, lease)
    log.info("promote=%s reasons=%s", comparison.promote, "; ".join(comparison.reasons))
    return comparison


def _attach(workspace: Workspace, retrain: Retrain, comparison: Comparison, lease: Lease) -> None:
    """Keep the comparison beside its model for people to read; the ledger's entry is what counts.

    Equal runs share a candidate and with it an MLflow run, so each has a folder of its own there.
    """
    candidate = need(workspace, "candidate", retrain.run_key, Candidate)
    folder = file_name(retrain.run_key.partition("/")[2])
    workspace.ledger.check(lease)
    workspace.trainer.attach(candidate, _Evidence(folder, retrain, comparison))


class _Evidence(Mapping[str, bytes]):
    """The files of a comparison, each made when it is asked for: who keeps none draws no picture."""

    def __init__(self, folder: str, retrain: Retrain, comparison: Comparison) -> None:
        self._names = {f"{folder}/{name}": name for name in (COMPARISON_FILE, PICTURE_FILE)}
        self._retrain = retrain
        self._comparison = comparison

    def __getitem__(self, name: str) -> bytes:
        if self._names[name] == COMPARISON_FILE:
            return json.dumps(to_json(self._comparison), sort_keys=True, indent=1).encode()
        from evergreen.evidence.picture import picture

        title = f"{self._retrain.model.spec.name} as of {self._retrain.windows.as_of:%Y-%m-%d %H:%M}"
        return picture(self._comparison, title)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _compare(workspace: Workspace, retrain: Retrain, champion: Entry | None) -> Comparison:
    from evergreen import gate  # imports scipy, which a DAG file must not

    spec = retrain.model.spec
    serving = None if champion is None else from_json(Release, champion.body)
    opponent = _opponent(workspace, serving, retrain)
    evidence, notes = measure(workspace, retrain, opponent.release, opponent.unseen_from)
    comparison = replace(
        gate.compare(spec.gate, spec.tier, evidence),
        champion_version=None if serving is None else serving.version.number,
        champion_seq=None if champion is None else champion.seq,
        notes=(*opponent.notes, *notes),
    )
    if opponent.refusal is not None:
        comparison = gate.refused(comparison, opponent.refusal)
    forbidden = forbidden_by_hand(workspace, retrain, serving)
    if forbidden is not None:
        return gate.refused(comparison, forbidden, "by_hand")
    return gate.never_over_newer(
        comparison, retrain.windows.as_of, None if serving is None else serving.as_of
    )


@dataclass(frozen=True, slots=True)
class _Opponent:
    """Whom to compare with, on the test rows from when on, and what is to be said of it.

    `refusal` is why the champion is kept whatever is measured.
    """

    release: Release | None
    unseen_from: datetime
    notes: tuple[str, ...] = ()
    refusal: str | None = None


def _opponent(workspace: Workspace, serving: Release | None, retrain: Retrain) -> _Opponent:
    """Return the champion to compare with, and why not where there is none to compare with.

    The windows of one model file do not overlap; those of a file whose test window was lengthened do,
    and a refitted champion has learnt from its own test window, too.
    """
    test = retrain.windows.test
    if serving is None:
        return _Opponent(None, test.start)
    number = serving.version.number
    if serving.trained_as_of > retrain.windows.as_of:
        note = f"not compared with version {number}: that has seen these rows in training"
        return _Opponent(None, test.start, (note,))
    if retrain.release == "unopposed":
        return _Opponent(None, test.start, (f"not compared with version {number}, as asked",))
    learnt_until = _learnt_until(workspace, serving)
    if learnt_until <= test.start:
        return _Opponent(serving, test.start)
    if learnt_until >= test.end:
        refusal = (
            f"kept: the champion has learnt from all rows of the test window (until "
            f"{learnt_until:%Y-%m-%d %H:%M}); a run with a later as-of has rows that are new to it"
        )
        return _Opponent(None, test.start, refusal=refusal)
    note = (
        f"compared on rows from {learnt_until:%Y-%m-%d %H:%M} only: the champion was trained on the "
        "rows before"
    )
    return _Opponent(serving, learnt_until, (note,))


def _learnt_until(workspace: Workspace, champion: Release) -> datetime:
    """Return the end of the champion's train window; its own run knows it where it does not say."""
    if champion.candidate.trained_on is not None:
        return champion.candidate.trained_on.end
    begun = recall(workspace, "run_started", champion.made_by, Retrain)
    return champion.trained_as_of if begun is None else begun.windows.train.end
