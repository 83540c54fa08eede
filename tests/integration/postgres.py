"""A real PostgreSQL for tests, thrown away afterwards.

`postgres_url` is the server's own database; `postgres_database` is an empty database for one test.
Both skip where PostgreSQL is not installed, and fail there when the environment variable CI is set.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. `process` may be stopped and killed by a test that starts its own."""

    url: URL
    folder: Path
    process: subprocess.Popen[bytes]


def find_binary(name: str) -> Path | None:
    """Return a PostgreSQL program: the one on PATH, else the newest Debian keeps elsewhere."""
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path)
    found = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    return max(found, key=lambda path: float(path.parts[-3]), default=None)


def _other_user() -> str | None:
    """Return whom the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise LookupError(f"PostgreSQL refuses root, and there is no user of {UNPRIVILEGED}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def start_postgres() -> Iterator[Postgres]:
    """Start a server on a free port of this machine, with a password, and end it with its files.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    initdb, postgres = find_binary("initdb"), find_binary("postgres")
    if initdb is None or postgres is None:
        raise FileNotFoundError("no initdb and postgres on PATH or in /usr/lib/postgresql/*/bin")
    user = _other_user()
    folder = Path(tempfile.mkdtemp(prefix="evergreen-pg-"))
    try:
        password = secrets.token_hex(16)
        password_file = folder / "password"
        password_file.write_text(password)
        if user:
            shutil.chown(password_file, user)
            shutil.chown(folder, user)
        run_as = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
        subprocess.run(
            [
                initdb,
                "-D",
                folder / "data",
                "-U",
                "evergreen",
                "-A",
                "scram-sha-256",
                "--no-sync",
                f"--pwfile={password_file}",
                "-E",
                "UTF8",
                "--locale=C",
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **run_as,
        )
        port = _free_port()
        settings = {"port": port, "unix_socket_directories": folder, "listen_addresses": "127.0.0.1"}
        settings |= {"fsync": "off", "full_page_writes": "off", "max_connections": 50}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [postgres, "-D", folder / "data", *options], stdout=log, stderr=log, cwd=folder, **run_as
            )
        try:
            url = URL.create("postgresql+psycopg", "evergreen", password, "127.0.0.1", port, "postgres")
            _wait_until_it_answers(url, process, folder / "log")
            yield Postgres(url, folder, process)
        finally:
            process.send_signal(signal.SIGINT)  # a fast shutdown: clients are cut off
            process.wait()
    finally:
        shutil.rmtree(folder)


class _NotYet(Exception):
    pass


@retry(
    retry=retry_if_exception_type(_NotYet), stop=stop_after_delay(60), wait=wait_fixed(0.1), reraise=True
)
def _wait_until_it_answers(url: URL, process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        raise RuntimeError(f"PostgreSQL ended at once:\n{log.read_text()}")
    try:
        psycopg.connect(_libpq(url)).close()
    except psycopg.OperationalError as exc:
        raise _NotYet(log.read_text()) from exc


def _libpq(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The SQLAlchemy URL, with its password, of a server that all tests of the session share."""
    if find_binary("postgres") is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed, and in CI its tests must run")
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with start_postgres() as server:
        yield server.url.render_as_string(hide_password=False)


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database of the shared server, dropped after the test."""
    name = f"test_{uuid.uuid4().hex}"
    server = make_url(postgres_url)
    with psycopg.connect(_libpq(server), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield server.set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(_libpq(server), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
