"""Work that may hang, given up after a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

THREAD_NAME = "evergreen-bounded"

_T = TypeVar("_T")


def in_a_thread(work: Callable[[], _T], seconds: float) -> _T:
    """Run `work` in a thread of its own and return what it returns.

    The thread is not waited for any longer than that, not even at the end of the process; whoever calls
    sees to it that it ends.

    Raises:
        TimeoutError: it took longer.
        Exception: whatever `work` raises.
    """
    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as exc:  # noqa: BLE001 - it is raised where the outcome is asked for
            outcome.set_exception(exc)

    threading.Thread(target=run, name=THREAD_NAME, daemon=True).start()
    return outcome.result(seconds)
