"""The services of docker-compose.yaml as processes of this machine, started with what the file says.

The file is read, not repeated: each service's command, environment, secrets and health check are its
own. Only what a container would have given is put in its place: hosts and ports, paths, and the few
values of `QUICKER`. PostgreSQL, the store and the mail catcher are stood in for by Debian's server, moto
and aiosmtpd; Redis, MLflow and Airflow run by the very commands of the file.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tenacity
import yaml

from evergreen.demo.airflow_home import TOKEN_VARIABLE

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yaml"
PATIENCE_SECONDS = 240
QUICKER: Mapping[str, str] = {
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
}
"""What is set otherwise than in the file: how often something is looked at."""

_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?P<how>:[-?])?(?P<word>[^}]*)\})")


@dataclass(frozen=True, slots=True)
class Service:
    """What the file says about a service; `command` is its entrypoint and command as one."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    check: tuple[str, ...]
    secrets: tuple[str, ...]
    needs: Mapping[str, str]


def interpolated(text: str, environ: Mapping[str, str]) -> str:
    """Return a text of the file as compose reads it.

    Raises:
        KeyError: a variable that must be set is not; its words say what to do.
    """

    def value(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        given = environ.get(found["name"])
        if not given and found["how"] == ":?":
            raise KeyError(f"{found['name']} {found['word']}")
        return given or (found["word"] if found["how"] == ":-" else "")

    return _VARIABLE.sub(value, text)


def read(path: Path = FILE) -> dict[str, Any]:
    """Return the file as it is written."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def services(environ: Mapping[str, str], path: Path = FILE) -> dict[str, Service]:
    """Return the services of the file, in its order."""
    return {name: _service(name, what, environ) for name, what in read(path)["services"].items()}


def _service(name: str, what: Mapping[str, Any], environ: Mapping[str, str]) -> Service:
    def words(listed: Sequence[str]) -> tuple[str, ...]:
        return tuple(interpolated(str(word), environ) for word in listed)

    check = words(what.get("healthcheck", {}).get("test", ()))
    return Service(
        name,
        words([*what.get("entrypoint", ()), *what.get("command", ())]),
        {key: interpolated(str(value), environ) for key, value in what.get("environment", {}).items()},
        ("/bin/sh", "-c", check[1]) if check[:1] == ("CMD-SHELL",) else check[1:],
        tuple(what.get("secrets", ())),
        {other: how["condition"] for other, how in what.get("depends_on", {}).items()},
    )


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Deployment:
    """Processes of services, all under one token by which each is found again.

    `places` says by what each text of a container is replaced, the most particular first.
    """

    folder: Path
    token: str
    places: Mapping[str, str]
    secrets: Path
    more: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def here(self, text: str, name: str) -> str:
        """Return a text of a service as it is on this machine."""
        local = {
            **self.places,
            "/run/secrets": str(self.folder / name / "secrets"),
            "/opt/airflow": str(self.folder / name),
        }
        pattern = "|".join(re.escape(place) for place in local)
        return re.sub(pattern, lambda found: local[found[0]], text)

    def environment(self, service: Service, name: str, **more: str) -> dict[str, str]:
        """Return what a service's process is given: nothing of this one's but the way to programs."""
        own = {key: self.here(value, name) for key, value in service.environment.items()}
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "LANG": "C.UTF-8",
            **own,
            **QUICKER,
            **self.more,
            **more,
            "HOSTNAME": name,
            # Process titles must not overwrite the environment in which the token stands.
            "SPT_NOENV": "1",
            "PYTHONUNBUFFERED": "1",
            TOKEN_VARIABLE: self.token,
        }

    def _home(self, service: Service, name: str) -> Path:
        """Return a service's own folder, with the secret files that it is given."""
        home = self.folder / name
        given = home / "secrets"
        given.mkdir(parents=True, exist_ok=True)
        for secret in service.secrets:
            text = self.here((self.secrets / secret).read_text(encoding="utf-8"), name)
            (given / secret).touch(mode=0o600)
            (given / secret).write_text(text, encoding="utf-8")
        return home

    def run(self, service: Service) -> None:
        """Run a service that ends by itself, and hold that it ended well."""
        home = self._home(service, service.name)
        done = subprocess.run(
            [self.here(word, service.name) for word in service.command],
            env=self.environment(service, service.name),
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
        (self.folder / f"{service.name}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
        assert done.returncode == 0, done.stderr[-4000:]

    def start(
        self, service: Service, name: str | None = None, extra: Sequence[str] = (), **more: str
    ) -> subprocess.Popen[bytes]:
        """Start a service in a session of its own; a second one of it needs a `name` of its own."""
        name = name or service.name
        home = self._home(service, name)
        with (self.folder / f"{name}.log").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [*(self.here(word, name) for word in service.command), *extra],
                env=self.environment(service, name, **more),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.processes[name]

    def wait_until_healthy(self, service: Service, name: str | None = None) -> None:
        """Ask as the file's health check asks, until it says yes."""
        name = name or service.name
        for attempt in tenacity.Retrying(
            stop=tenacity.stop_after_delay(PATIENCE_SECONDS),
            wait=tenacity.wait_fixed(0.5),
            retry=tenacity.retry_if_exception_type(subprocess.CalledProcessError),
        ):
            with attempt:
                log = self.folder / f"{name}.log"
                assert self.processes[name].poll() is None, log.read_text(errors="replace")[-4000:]
                subprocess.run(
                    [self.here(word, name) for word in service.check],
                    env=self.environment(service, name),
                    cwd=self.folder / name,
                    capture_output=True,
                    check=True,
                )

    def logs(self) -> Iterator[Path]:
        """Yield everything that the processes wrote down."""
        yield from (path for path in self.folder.rglob("*.log") if path.is_file())
