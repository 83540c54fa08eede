"""Make the challenger, or find the one that the same data, model file and code made before."""

from __future__ import annotations

import logging

from evergreen.canonical import digest_of
from evergreen.entry_keys import entry_key
from evergreen.errors import DataUnusable
from evergreen.failpoints import failpoint
from evergreen.ports import Lease
from evergreen.results import Candidate, Retrain, Snapshot, ValidationReport, from_json, to_json
from evergreen.steps.memory import holding, need, recall, record, retrain_of
from evergreen.window import Window
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


def candidate_key(retrain: Retrain, snapshot: Snapshot) -> str:
    """Return the digest of everything that decides what training gives."""
    windows = retrain.windows
    return digest_of(
        {
            "snapshot": snapshot.digest,
            "model": retrain.model.digest,
            "train": [windows.train.start.isoformat(), windows.train.end.isoformat()],
            "test": [windows.test.start.isoformat(), windows.test.end.isoformat()],
            "code": retrain.code_version,
        }
    )


def train(workspace: Workspace, run_key: str) -> Candidate:
    """Return the run's candidate, trained now, by an earlier try, or by an equal run.

    Raises:
        DataUnusable: rejected data, one class, no usable feature, too few rows.
        TrainingFailed: an unknown estimator or parameter, or the fit failed.
        StoreUnavailable: the tracking server did not answer.
    """
    found = recall(workspace, "candidate", run_key, Candidate)
    if found is not None:
        return found
    retrain = retrain_of(workspace, run_key)
    snapshot = need(workspace, "snapshot", run_key, Snapshot)
    with holding(workspace, run_key, "train") as lease:
        if not need(workspace, "validation", run_key, ValidationReport).passed:
            raise DataUnusable("the data was rejected by its expectations", where=f"run {run_key}")
        key = candidate_key(retrain, snapshot)
        candidate = train_once(workspace, run_key, retrain, lease, key, retrain.windows.train)
        failpoint("train.trained")
        record(workspace, "candidate", run_key, candidate, lease)
    log.info("run_id=%s rows=%d metrics=%s", candidate.run_id, candidate.rows_trained, candidate.metrics)
    return candidate


def train_once(
    workspace: Workspace,
    run_key: str,
    retrain: Retrain,
    lease: Lease,
    key: str,
    learn: Window,
    refit_of: Candidate | None = None,
) -> Candidate:
    """Return the candidate of `key`, trained on the rows of `learn` unless the ledger knows it."""
    spec, windows = retrain.model.spec, retrain.windows
    snapshot = need(workspace, "snapshot", run_key, Snapshot)
    trained = entry_key("trained", f"{spec.name}/{key}")

    def remember(candidate: Candidate) -> None:
        workspace.ledger.append("trained", trained, to_json(candidate), lease)

    known = workspace.ledger.find(trained)
    if known is not None:
        candidate = from_json(Candidate, known.body)
        workspace.trainer.finish(candidate)
        return candidate
    return workspace.trainer.train(
        key,
        retrain,
        snapshot,
        workspace.snapshots.read(snapshot, learn, spec.data.time_column),
        workspace.snapshots.read(snapshot, windows.test, spec.data.time_column),
        remember,
        refit_of,
    )
