"""Read the run's window once and keep it as a snapshot."""

from __future__ import annotations

import logging

from evergreen.failpoints import failpoint
from evergreen.results import Snapshot
from evergreen.steps.memory import holding, recall, record, retrain_of
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


def ingest(workspace: Workspace, run_key: str) -> Snapshot:
    """Return the run's snapshot, made now or by an earlier try.

    Raises:
        DataUnusable: no rows, a missing column, duplicate keys, mixed types.
        SourceUnavailable: the source did not answer.
        StoreUnavailable: the store did not take the snapshot; nothing half is left.
    """
    found = recall(workspace, "snapshot", run_key, Snapshot)
    if found is not None:
        return found
    retrain = retrain_of(workspace, run_key)
    spec, window = retrain.model.spec, retrain.windows.whole
    with holding(workspace, run_key, "ingest") as lease:
        batches = workspace.source_for(retrain.model).read(window)
        snapshot = workspace.snapshots.write(spec.name, window, batches, spec.data)
        failpoint("ingest.written")
        record(workspace, "snapshot", run_key, snapshot, lease)
    log.info("rows=%d digest=%s uri=%s", snapshot.rows, snapshot.digest, snapshot.uri)
    return snapshot
