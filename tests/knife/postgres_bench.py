"""A bench whose ledger lies in PostgreSQL, where connections, processes and the server are cut off."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import psycopg
from sqlalchemy import make_url
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.integration.postgres import Postgres, _other_user, find_binary, start_postgres
from tests.knife.sweep import EXPIRED, Bench, Stage, Tried, ended_words
from tests.knife.wire import Harm, Where, Wire

Deed = Literal["cut", "kill", "terminate", "stop"]
HARMS: tuple[tuple[Deed, Where], ...] = (
    ("cut", "before"),
    ("cut", "after"),
    ("kill", "before"),
    ("kill", "after"),
    ("terminate", "before"),
)
AT_COMMIT: tuple[tuple[Deed, Where], ...] = (("stop", "before"), ("stop", "after"))
"""The whole server is stopped at commits only: that takes a second each time."""


class PostgresBench(Bench):
    """Runs parts against a server of its own, through a wire that does harm."""

    def __init__(self, scenario: str, folder: Path) -> None:
        self._starting = start_postgres()
        self._server: Postgres = self._starting.__enter__()
        self._running = self._server.process
        self.wire = Wire("127.0.0.1", int(self._server.url.port or 0))
        self._kept: dict[Path, dict[str, bytes]] = {}
        super().__init__(scenario, folder)
        self._stack.callback(self._end_server)
        self._stack.callback(self.wire.close)

    def ledger_url(self, home: Path) -> str:
        url = self._server.url.set(port=self.wire.port)
        return url.render_as_string(hide_password=False)

    @property
    def name(self) -> str:
        return f"{self.scenario}, PostgreSQL"

    @property
    def ledger(self) -> str:
        return self._server.url.render_as_string(hide_password=False)

    def clear(self) -> None:
        super().clear()
        self._put_tables({})

    def keep(self) -> Path:
        kept = super().keep()
        self._kept[kept] = self._tables()
        return kept

    def put_back(self, kept: Path) -> None:
        self.wire.arm(None)
        super().put_back(kept)
        self._put_tables(self._kept[kept])

    def let_leases_expire(self) -> None:
        with self._connected() as connection:
            connection.execute(EXPIRED)

    def rounds(self, stage: Stage) -> list[str]:
        """Return the round trips of a part."""
        self.put_back(stage.before)
        self.must_run(stage.part)
        return list(self.wire.rounds)

    def harms(self, stage: Stage) -> Iterator[tuple[int, str, Deed, Where]]:
        """Yield every harm that can be done to a part: the number and words of a round, and what."""
        for number, words in enumerate(self.rounds(stage), 1):
            for deed, where in HARMS:
                yield number, words, deed, where
            if "COMMIT" in words:
                for deed, where in AT_COMMIT:
                    yield number, words, deed, where

    def try_harm(self, stage: Stage, number: int, words: str, deed: Deed, where: Where) -> Tried:
        """Do harm at a round, try again once, and hold what is left against the undisturbed."""
        began = time.monotonic()
        self.put_back(stage.before)
        process = self.forks.begin(stage.part, self.place, stopped=True)
        harm = Harm(number, where, self._doing(deed, process))
        self.wire.arm(harm)
        os.kill(process, signal.SIGCONT)
        code = self.forks.end()
        met = harm.came_to_pass()
        broken = [*self._after_cut(stage, code), *self._after_retry(stage, crashes=1)]
        return Tried(
            *(self.name, stage.part, f"{deed} {where}", f"round {number} {words}"),
            *(met, ended_words(code), time.monotonic() - began, tuple(broken)),
        )

    def _doing(self, deed: Deed, process: int) -> Callable[[], bool]:
        def kill() -> bool:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            return False

        def terminate() -> bool:
            with self._connected() as connection:
                connection.execute(_END_OTHERS)
            return True

        def stop() -> bool:
            self._stop_at_once_and_start()
            return False

        return {"cut": lambda: False, "kill": kill, "terminate": terminate, "stop": stop}[deed]

    def _stop_at_once_and_start(self) -> None:
        user = _other_user()
        run_as = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
        folder = self._server.folder
        stop = [find_binary("pg_ctl"), "-D", folder / "data", "-m", "immediate", "stop"]
        subprocess.run(stop, check=True, capture_output=True, cwd=folder, **run_as)
        self._running.wait()
        with (folder / "log").open("ab") as log:
            self._running = subprocess.Popen(
                self._server.process.args, stdout=log, stderr=log, cwd=folder, **run_as
            )
        self._connected().close()

    def _end_server(self) -> None:
        if self._running is not self._server.process:
            self._running.send_signal(signal.SIGINT)
            self._running.wait()
        self._starting.__exit__(None, None, None)

    def _tables(self) -> dict[str, bytes]:
        """Return the rows of every table."""
        with self._connected() as connection:
            names = [row[0] for row in connection.execute(_TABLES)]
            return {name: _rows(connection, name) for name in names}

    def _put_tables(self, rows: Mapping[str, bytes]) -> None:
        """Let the database hold these rows, or no table at all; whoever is still connected is not."""
        with self._connected() as connection:
            connection.execute(_END_OTHERS)
            if not rows:
                connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
                return
            connection.execute("SET session_replication_role = replica")  # the ledger refuses deletes
            connection.execute(f"TRUNCATE {', '.join(rows)}")
            for name, content in rows.items():
                with connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
                    copy.write(content)

    @retry(
        retry=retry_if_exception_type(psycopg.OperationalError),
        stop=stop_after_delay(60),
        wait=wait_fixed(0.05),
        reraise=True,
    )
    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        url = make_url(self._server.url).set(drivername="postgresql")
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def _rows(connection: psycopg.Connection[tuple[Any, ...]], table: str) -> bytes:
    with connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:
        return b"".join(bytes(part) for part in copy)
