"""Judge the snapshot by the model's expectations before anything is trained on it."""

from __future__ import annotations

import logging

from evergreen.failpoints import failpoint
from evergreen.results import Snapshot, ValidationReport
from evergreen.steps.memory import holding, need, recall, record, retrain_of
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


def validate(workspace: Workspace, run_key: str) -> ValidationReport:
    """Return the run's validation report; `passed` says whether the data may be trained on.

    Raises:
        DataUnusable: an expectation that cannot be judged on this data.
        ArtefactDamaged: the snapshot is not what was written.
        StoreUnavailable: quarantine or report could not be written.
    """
    found = recall(workspace, "validation", run_key, ValidationReport)
    if found is not None:
        return found
    retrain = retrain_of(workspace, run_key)
    snapshot = need(workspace, "snapshot", run_key, Snapshot)
    spec = retrain.model.spec
    with holding(workspace, run_key, "validate") as lease:
        rows = workspace.snapshots.read(snapshot, snapshot.window, spec.data.time_column)
        report = workspace.validator.validate(
            spec.name, snapshot, rows, retrain.model.suite, spec.data.key
        )
        failpoint("validate.judged")
        record(workspace, "validation", run_key, report, lease)
    log.info(
        "passed=%s errors=%d warnings=%d quarantined_rows=%d",
        report.passed,
        len(report.errors),
        len(report.warnings),
        report.quarantined_rows,
    )
    return report
