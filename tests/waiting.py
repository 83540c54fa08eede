"""Waiting for something to become true, for as long as a test or a measurement is willing to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

_T = TypeVar("_T")


def wait_until(found: Callable[[], _T], patience_seconds: float, every_seconds: float = 0.5) -> _T:
    """Ask until the answer is true, and return it; the last answer where patience ends before."""
    asking = tenacity.Retrying(
        stop=tenacity.stop_after_delay(patience_seconds),
        wait=tenacity.wait_fixed(every_seconds),
        retry=tenacity.retry_if_result(lambda answer: not answer),
        retry_error_callback=lambda last: last.outcome.result(),
    )
    answer: _T = asking(found)
    return answer
