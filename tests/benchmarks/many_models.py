"""A thousand model files in the real dag-processor at its default settings: what a cycle costs.

    python -m tests.benchmarks.many_models [--models 1000] [--cycles 2]

Each model has a retrain, a scoring and a monitor. The files lie in twenty team folders, each with a
loader of its own, as the docs advise; beside that all in one folder, which is one DAG file to Airflow.
The database is SQLite and the dag-processor the only process of Airflow, so that what is measured is its
work alone: reading, building, serialising and storing. The first cycle stores every DAG; in later ones
nothing has changed. Airflow ends the parsing of a file after 50 s, and with it all DAGs of that file.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.airflow.conftest import model_text
from tests.benchmarks.parse import _OURS, names
from tests.benchmarks.trials import table, verdict
from tests.waiting import wait_until

TEAMS = 20
LIMIT_SECONDS = 50.0
PATIENCE_SECONDS = 900.0
DAGS_EACH = 3
SERVED = """\
score: {schedule: "H H * * *", window: 1 day}
monitor: {schedule: "H H * * *", window: 7 days}
"""


@dataclass(frozen=True, slots=True)
class Cycles:
    """What the dag-processor did.

    Attributes:
        dags: How many DAGs it stored.
        seconds: Of each cycle, from the beginning (or the first file's end) to the last file's end.
        slowest: Seconds of the file that took longest, over all cycles.
        bytes: Most memory of the process and its children together.
        problems: Files that could not be read, or not in time.
    """

    dags: int
    seconds: list[float]
    slowest: float
    bytes: int
    problems: int


def write_teams(folder: Path, models: int, teams: int) -> None:
    """Write the model files of all teams, each with its loader."""
    for team in range(teams):
        models_of = folder / f"team_{team:02}" / "models"
        models_of.mkdir(parents=True)
        (models_of.parent / "evergreen_models.py").write_text(_OURS)
        for name in names(models)[team::teams]:
            text = model_text(name).replace('"0 6 1 * *"', '"H H(0-5) 1 * *"')
            (models_of / f"{name}.yaml").write_text(text + SERVED)


@contextmanager
def dag_processor(root: Path, dags: Path) -> Iterator[psutil.Process]:
    """Run a real dag-processor whose settings are Airflow's own defaults."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(root / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    airflow = [sys.executable, "-m", "airflow"]
    subprocess.run([*airflow, "db", "migrate"], env=environment, check=True, capture_output=True)
    with (root / "processor.log").open("wb") as log:
        process = psutil.Popen(
            [*airflow, "dag-processor"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        children = process.children(recursive=True)
        process.terminate()
        psutil.wait_procs([process], timeout=20)
        for one in (process, *children):
            with suppress(psutil.Error):
                one.kill()


def measure(models: int, teams: int, cycles: int) -> Cycles:
    """Let the dag-processor read all files so often, and return what it took."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_teams(root / "dags", models, teams)
        since, most, seconds, slowest = time.time(), 0, [], 0.0
        with dag_processor(root, root / "dags") as process:
            database = root / "home" / "airflow.db"
            for _ in range(cycles):
                parsed, memory = _one_cycle(process, database, teams, since)
                seconds.append(max((at for at, _ in parsed), default=time.time()) - since)
                since += seconds[-1]
                slowest = max([slowest, *(took for _, took in parsed)])
                most = max(most, memory)
            problems = _count(database, "import_error") + teams - len(parsed)
            return Cycles(_count(database, "dag"), seconds, slowest, most, problems)


def _one_cycle(
    process: psutil.Process, database: Path, teams: int, since: float
) -> tuple[list[tuple[float, float]], int]:
    """Wait until every file was read since then; return what `_parsed` says, and the most memory."""
    memory, parsed = 0, []

    def all_are_read() -> bool:
        nonlocal memory, parsed
        memory = max(memory, _memory(process))
        parsed = [one for one in _parsed(database) if one[0] > since + 0.001]
        return len(parsed) >= teams

    wait_until(all_are_read, PATIENCE_SECONDS)
    return parsed, memory


def _parsed(database: Path) -> list[tuple[float, float]]:
    """Return of each DAG file when it was last stored, as Unix time, and how long its parsing took."""
    asked = (
        "SELECT (julianday(min(last_parsed_time)) - 2440587.5) * 86400.0, max(last_parse_duration) "
        "FROM dag GROUP BY relative_fileloc"
    )
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        return [(at, took or 0.0) for at, took in connection.execute(asked)]


def _count(database: Path, name: str) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
    return int(count)


def _memory(process: psutil.Process) -> int:
    total = 0
    with suppress(psutil.Error):
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_info().rss
    return total


def markdown(models: int, found: dict[str, Cycles]) -> str:
    """Return the section."""
    rows = [
        (
            name,
            f"{one.dags:,}",
            f"{one.seconds[0]:.0f} s",
            f"{min(one.seconds[1:], default=one.seconds[0]):.0f} s",
            f"{one.slowest:.1f} s",
            f"{one.bytes / 2**20:,.0f} MiB",
            str(one.problems),
        )
        for name, one in found.items()
    ]
    head = (
        "files",
        "DAGs",
        "first cycle",
        "later ones",
        "slowest file",
        "memory",
        "in error or too late",
    )
    split = found["20 folders"]
    claim = verdict(
        split.dags == DAGS_EACH * models and not split.problems and split.slowest < LIMIT_SECONDS,
        f"{models:,} model files in {TEAMS} folders are read without a timeout at default settings",
    )
    return f"{table(head, rows)}\n\n{claim}"


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--cycles", type=int, default=2)
    asked = parser.parse_args()
    found = {
        f"{teams} folders" if teams > 1 else "one folder": measure(asked.models, teams, asked.cycles)
        for teams in (TEAMS, 1)
    }
    print(markdown(asked.models, found))


if __name__ == "__main__":
    main()
