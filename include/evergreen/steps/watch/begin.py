"""Begin a check: pin the model file, derive the window, and find whom the check is about."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from evergreen.errors import BadConfiguration, DataUnusable
from evergreen.monitor_spec import Monitor
from evergreen.ports import Lease
from evergreen.results import PinnedModel
from evergreen.steps.champions import champion_at
from evergreen.steps.memory import holding, recall, record
from evergreen.watch_results import Check
from evergreen.window import Window
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


@contextmanager
def checking(workspace: Workspace, run_key: str, step: str) -> Iterator[Lease]:
    """Hold the model's lease for checks while the block runs, and give it back however that ends.

    A check needs no lease between its steps: another check may go on with its own meanwhile.
    """
    with holding(workspace, run_key, step, "monitor") as lease:
        try:
            yield lease
        finally:
            workspace.ledger.free(lease)


def monitor_of(model: PinnedModel) -> Monitor:
    """Return the model file's section `monitor`.

    Raises:
        BadConfiguration: there is none.
    """
    monitor = model.spec.monitor
    if monitor is None:
        raise BadConfiguration(
            "this model is not watched",
            where=f"model {model.spec.name}",
            fix="add a section monitor to its file",
        )
    return monitor


def begin(
    workspace: Workspace,
    run_key: str,
    model: PinnedModel,
    as_of: datetime,
    reason: str,
    lease: Lease,
) -> Check:
    """Return the check, begun now or by an earlier try: the model file as it stood then is pinned.

    Raises:
        BadConfiguration: the model file has no section monitor.
        DataUnusable: the window would begin before the year 1.
    """
    begun = recall(workspace, "check_started", run_key, Check)
    if begun is not None:
        return begun
    as_of = as_of.astimezone(UTC)
    length = monitor_of(model).window
    try:
        window = Window(length.before(as_of), as_of)
    except (ValueError, OverflowError) as exc:
        raise DataUnusable(
            f"no window can be derived: {exc}",
            where=f"model {model.spec.name}",
            got=f"as-of {as_of.isoformat()}",
            fix="choose a later as-of or another monitor.window",
        ) from exc
    release = champion_at(workspace, model.spec.name, as_of)
    check = Check(
        run_key=run_key,
        model=model,
        as_of=as_of,
        window=window,
        version=None if release is None else release.version.number,
        release_key=None if release is None else release.run_key,
        reason=reason,
    )
    record(workspace, "check_started", run_key, check, lease)
    log.info("as_of=%s window=%s version=%s reason=%s", as_of, window, check.version, reason)
    return check
