"""Write under a lease that is held for the moment of one entry: a person's answer or deed, or a notice.

All writers of a model share one holder, so nobody waits, and one that was killed keeps nobody out. Who
was overtaken in between looks again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from evergreen.errors import KeyConflict, LeaseLost
from evergreen.ports import Duty, Lease, Ledger

_T = TypeVar("_T")

MOST_TRIES = 50


def briefly(ledger: Ledger, model: str, duty: Duty, write: Callable[[Lease], _T]) -> _T:
    """Return what `write` returns under the model's lease for a duty; it is called anew when overtaken.

    Raises:
        LeaseLost: others were sooner again and again.
    """

    def once() -> _T:
        lease = ledger.acquire(model, f"{model}/{duty}", duty)
        try:
            return write(lease)
        finally:
            ledger.free(lease)

    overtaken = retry_if_exception_type((LeaseLost, KeyConflict))
    try:
        return Retrying(retry=overtaken, stop=stop_after_attempt(MOST_TRIES), reraise=True)(once)
    except (LeaseLost, KeyConflict) as exc:
        raise LeaseLost(
            "others decide about this model at the same time",
            where=model,
            got=f"{MOST_TRIES} tries in vain",
            fix="nothing was written; say again",
        ) from exc
