"""After a win, train once more on train and test window together, where the model file asks for it.

What was tested and what is released are two candidates then, and both stand in the ledger.
"""

from __future__ import annotations

import logging

from evergreen.canonical import digest_of
from evergreen.comparison import Comparison
from evergreen.failpoints import failpoint
from evergreen.ports import PROBED_ROWS
from evergreen.results import Candidate, Refit, Retrain, Snapshot
from evergreen.steps.memory import holding, need, recall, record, retrain_of
from evergreen.steps.train import train_once
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


def refit(workspace: Workspace, run_key: str) -> Refit | None:
    """Return what became of the refit; None where none was asked for or the champion was kept.

    A refitted model that is not fit to serve is not released, and neither is the tested one.

    Raises:
        DataUnusable: the rows cannot be trained on.
        TrainingFailed: the fit failed.
        StoreUnavailable: the tracking server did not answer.
    """
    found = recall(workspace, "refit", run_key, Refit)
    if found is not None:
        return found
    retrain = retrain_of(workspace, run_key)
    if not retrain.model.spec.train.refit:
        return None
    if not need(workspace, "comparison", run_key, Comparison).promote:
        return None
    with holding(workspace, run_key, "refit") as lease:
        tested = need(workspace, "candidate", run_key, Candidate)
        candidate = train_once(
            workspace, run_key, retrain, lease, refit_key(tested), retrain.windows.whole, tested
        )
        failpoint("refit.trained")
        result = _judged(workspace, run_key, retrain, tested, candidate)
        record(workspace, "refit", run_key, result, lease)
    log.info("accepted=%s %s", result.accepted, result.words)
    return result


def refit_key(tested: Candidate) -> str:
    """Return the key of the candidate that refitting a tested one gives."""
    return digest_of({"refit": tested.key})


def shipped(workspace: Workspace, run_key: str) -> Candidate | None:
    """Return the candidate that a run which won releases: the refitted one where there is one.

    None where the refitted model is not fit to serve.
    """
    made = refit(workspace, run_key)
    if made is None:
        return need(workspace, "candidate", run_key, Candidate)
    return made.candidate if made.accepted else None


def _judged(
    workspace: Workspace, run_key: str, retrain: Retrain, tested: Candidate, candidate: Candidate
) -> Refit:
    from evergreen import gate
    from evergreen.training.labels import labelled

    data = retrain.model.spec.data
    snapshot = need(workspace, "snapshot", run_key, Snapshot)
    test = workspace.snapshots.read(snapshot, retrain.windows.test, data.time_column)
    rows = labelled(test, data.label.column).slice(0, PROBED_ROWS)
    serving = workspace.scorer.probe(candidate, rows)
    check = gate.fit_to_serve(retrain.model.spec.gate.serving, serving)
    return Refit(tested.key, candidate, serving, check.verdict == "passed", check.words)
