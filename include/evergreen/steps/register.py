"""Make a challenger that won a version of the model."""

from __future__ import annotations

import logging

from evergreen.comparison import Comparison
from evergreen.failpoints import failpoint
from evergreen.results import Version
from evergreen.steps.memory import holding, need, recall, record, retrain_of
from evergreen.steps.refit import shipped
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


def register(workspace: Workspace, run_key: str) -> Version | None:
    """Return the run's version; None where the champion was kept or a refit is not fit to serve.

    Raises:
        StoreUnavailable: the registry did not answer.
    """
    found = recall(workspace, "version", run_key, Version)
    if found is not None:
        return found
    comparison = need(workspace, "comparison", run_key, Comparison)
    if not comparison.promote:
        return None
    retrain = retrain_of(workspace, run_key)
    candidate = shipped(workspace, run_key)
    if candidate is None:
        return None
    tags = {
        "evergreen.run_key": run_key,
        "evergreen.as_of": retrain.windows.as_of.isoformat(),
        "evergreen.reason": retrain.reason,
        "evergreen.digest": candidate.model.digest,
    }
    if candidate.refit_of is not None:
        tags["evergreen.tested_candidate"] = candidate.refit_of
    with holding(workspace, run_key, "register") as lease:
        version = workspace.registry.register(retrain.model.spec.name, candidate, tags)
        failpoint("register.registered")
        record(workspace, "version", run_key, version, lease)
    log.info("version=%d digest=%s", version.number, version.model.digest)
    return version
