"""A process that may be killed or stopped between any two things it does to the world.

It reaches the world through ports only, so each call of a port is passed twice: before it is made and
after it is done. At each pass the process may die (it does nothing more: no clean-up of its own reaches
the world) or stop, as by SIGSTOP, and go on when it is woken, having noticed nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from evergreen.errors import EvergreenError
from evergreen.workspace import Workspace

WATCHED = ("ledger", "snapshots", "validator", "trainer", "scorer", "registry", "deployer")
End = Literal["done", "failed", "killed", "stopped"]


class Killed(BaseException):
    """The process is gone: nothing of Evergreen catches it."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How a try ended. `stopped`: it has not; its process waits to be woken."""

    end: End
    value: Any = None
    error: EvergreenError | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return f"{type(self.error).__name__}: {self.error.what}"
        return self.end


class Process:
    """Does one piece of work, and dies or stops at its n-th pass where that is wished for."""

    def __init__(self, dies_at: int | None = None, stops_at: int | None = None) -> None:
        self.passes = 0
        self._dies_at, self._stops_at = dies_at, stops_at
        self._dead = False
        self._thread: threading.Thread | None = None
        self._here, self._go = threading.Semaphore(0), threading.Semaphore(0)
        self._tried: Tried | None = None
        self._bug: Exception | None = None

    def workspace(self, world: Workspace, leased: Callable[[Any], None]) -> Workspace:
        """Return the world as this process sees it; `leased` is told of every lease it takes."""
        return replace(world, **{name: Port(getattr(world, name), self, leased) for name in WATCHED})

    def passed(self) -> None:
        """Come by a place where the process may die or stop."""
        if self._dead:
            raise Killed
        self.passes += 1
        if self.passes == self._dies_at:
            self._dead = True
            raise Killed
        if self.passes == self._stops_at:
            self._here.release()
            self._go.acquire()
            if self._dead:
                raise Killed

    def run(self, work: Callable[[], Any]) -> Tried:
        """Do the work until it ends, dies or stops; whatever is no error of Evergreen's is raised."""
        if self._stops_at is None:
            self._try(work)
        else:
            self._thread = threading.Thread(target=self._try, args=(work,), daemon=True)
            self._thread.start()
            self._here.acquire()
        return self._found()

    def wake(self) -> Tried:
        """Let a stopped process go on to its end."""
        self._go.release()
        if self._thread is not None:
            self._thread.join()
        return self._found()

    def kill(self) -> None:
        """End a stopped process where it is."""
        self._dead = True
        self.wake()

    def _try(self, work: Callable[[], Any]) -> None:
        try:
            self._tried = Tried("done", work())
        except Killed:
            self._tried = Tried("killed")
        except EvergreenError as exc:
            self._tried = Tried("killed") if self._dead else Tried("failed", error=exc)
        except Exception as exc:  # noqa: BLE001 - raised in the caller's thread
            self._bug = exc
        self._here.release()

    def _found(self) -> Tried:
        if self._bug is not None:
            raise self._bug
        return self._tried or Tried("stopped")


class Port:
    """A port as one process sees it."""

    def __init__(self, port: Any, process: Process, leased: Callable[[Any], None]) -> None:
        self._port, self._process, self._leased = port, process, leased

    def __getattr__(self, name: str) -> Any:
        call, passed, leased = getattr(self._port, name), self._process.passed, self._leased

        def called(*args: Any, **kwargs: Any) -> Any:
            passed()
            result = call(*args, **kwargs)
            if name == "acquire":
                leased(result)
            passed()
            return result

        setattr(self, name, called)
        return called
