"""What a pass knows beside ledger and world: the time, its patience, and what the scheduler can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from evergreen.reconcile_results import WAKE_AFTER
from evergreen.watch_results import RetrainRequest

GRACE_LEASES = 6
STUCK_AFTER = timedelta(days=1)


def nothing_known(run_key: str) -> bool | None:  # noqa: ARG001 - as every such function
    """Say of a run that nobody knows whether it ended."""
    return None


def none_begins(model: str) -> bool:  # noqa: ARG001 - as every such function
    """Say of a model that no retrain of it is known to begin."""
    return False


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a pass goes by.

    `grace` is how long a run may be silent before it counts as gone where nobody knows better; longer
    than a lease, for a retry may still come. `wake_after` is how long a request may wait for the run
    that its event was to start, `stuck_after` how long for its end. `run_ended` says of a run's key
    whether the scheduler knows that it ended; None: it does not know the run. `begins` says of a model
    whether a retrain of it is about to run. `wake` wakes the retrain of a model for a request; None:
    there is nobody to wake one, for there is no scheduler.
    """

    now: datetime
    grace: timedelta
    wake_after: timedelta = WAKE_AFTER
    stuck_after: timedelta = STUCK_AFTER
    run_ended: Callable[[str], bool | None] = nothing_known
    begins: Callable[[str], bool] = none_begins
    wake: Callable[[RetrainRequest, str], None] | None = None


def grace_of(lease_seconds: float) -> timedelta:
    """Return how long a run may be silent where a lease lasts so long."""
    return timedelta(seconds=GRACE_LEASES * lease_seconds)
