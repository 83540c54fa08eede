"""The processes of a fleet's world, each started again when it ends, unless a fault keeps it down."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.waiting import wait_until

LOOK_EVERY_SECONDS = 0.5


@dataclass
class Server:
    """A process that is wanted, as it is started each time.

    Where it is `whole`, its children die with it, as in a container; those of a scheduler live on.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    user: str | None = None
    pid: int | None = None
    starts: int = 0
    whole: bool = False

    def start(self) -> None:
        """Start the process; it leads a session of its own."""
        who = pwd.getpwnam(self.user) if self.user else None
        run_as = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []} if who else {}
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **run_as,
            )
        process.returncode = 0  # `Servers` looks after it
        self.pid = process.pid
        self.starts += 1

    def runs(self) -> bool:
        """Return whether the process is alive; one that has ended is reaped."""
        with suppress(ChildProcessError):
            if self.pid is not None and os.waitpid(self.pid, os.WNOHANG)[0] == self.pid:
                return False
        try:
            return self.pid is not None and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def end(self, how: signal.Signals, wait_seconds: float = 30) -> None:
        """Send a signal and wait for the end of the process."""
        self.send(how)
        if not wait_until(lambda: not self.runs(), wait_seconds, every_seconds=0.05):
            self.send(signal.SIGKILL)

    def send(self, how: signal.Signals) -> None:
        """Send a signal to the process, where there is one."""
        if self.pid is None:
            return
        with suppress(ProcessLookupError):
            (os.killpg if self.whole else os.kill)(self.pid, how)


@dataclass
class Servers:
    """Looks after servers in a thread, as an init system does."""

    all: dict[str, Server] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def add(self, server: Server) -> None:
        """Look after one more server."""
        with self._lock:
            self.all[server.name] = server

    def __enter__(self) -> Servers:
        self._thread = threading.Thread(target=self._look_after, name="servers")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def kill(self, name: str) -> int | None:
        """Kill a server's process; it is started again at once. None: it was not alive."""
        with self._lock:
            server = self.all[name]
            if not server.runs():
                return None
            pid = server.pid
            server.send(signal.SIGKILL)
            return pid

    def away(self, name: str, seconds: float, how: signal.Signals) -> None:
        """End a server and start it again after a while. Whole only when this returns."""
        with self._lock:
            self.down.add(name)
            self.all[name].end(how)
        self._over.wait(seconds)
        with self._lock:
            self.down.discard(name)

    def _look_after(self) -> None:
        while not self._over.wait(LOOK_EVERY_SECONDS):
            with self._lock:
                for name, server in self.all.items():
                    if name not in self.down and not server.runs():
                        server.start()


def python_module(*arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", *arguments]
