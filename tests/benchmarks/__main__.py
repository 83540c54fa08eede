"""Runs benchmarks, each in a process of its own, and writes their pages in docs/reference."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
IMAGES = ROOT / "docs" / "images"
TIMES, GATE, WATCH = "benchmarks", "gate-benchmarks", "watch-benchmarks"
ALERTS, RELIABILITY, SCALE = "alerts-benchmarks", "reliability-benchmarks", "scale-benchmarks"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A module of this package, the page that its section stands on, and how it is run.

    `picture` says what its plot shows; a benchmark without has no plot.
    """

    title: str
    page: str = TIMES
    arguments: tuple[str, ...] = ()
    picture: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of figures: its title and what a reader should know first."""

    title: str
    words: str
    packages: tuple[str, ...]


PAGES = {
    TIMES: Page(
        "Benchmarks",
        "Written by `make bench`; run it to get your own. The machine is shared, so read ratios, which "
        "compare peers of the same run, before seconds. What the gate decides is measured on "
        f"[a page of its own]({GATE}.md), and so is [what the watch sees]({WATCH}.md).",
        ("apache-airflow", "mlflow", "scikit-learn", "pyarrow", "sqlalchemy", "dag-factory"),
    ),
    GATE: Page(
        "Benchmarks of the gate",
        "How often the gate is wrong, what it sees, and what it costs, beside the usual rules and the "
        f"classical tests. Written by `python -m tests.benchmarks {GATE}`; seeds are fixed, so your "
        "rates are these. Each claim says whether it holds. How fast the rest is stands on "
        f"[its own page]({TIMES}.md).",
        ("numpy", "scipy", "scikit-learn", "statsmodels", "mlflow"),
    ),
    WATCH: Page(
        "Benchmarks of the watch",
        "How often the watch is wrong, what it sees and how soon, what its retrains are worth, and what "
        "it costs, beside Evidently and NannyML on the same data in the same run. Written by `python -m "
        f"tests.benchmarks {WATCH}`; seeds are fixed, so your rates are these, and ratios are to be "
        "read before seconds. Each claim says whether it holds.",
        ("numpy", "scipy", "scikit-learn", "pyarrow", "evidently"),
    ),
    ALERTS: Page(
        "Benchmarks of messages",
        "How soon people are told, how many events a minute become messages, and what random kills do "
        f"to them. Written by `python -m tests.benchmarks {ALERTS}`. The machine is shared.",
        ("apache-airflow", "sqlalchemy", "httpx"),
    ),
    RELIABILITY: Page(
        "Under the knife",
        "What was killed, cut off, forged or fed rubbish, and what came of it. Written by `python -m "
        f"tests.benchmarks {RELIABILITY}`; seeds are fixed. What the words mean, and what is not "
        "promised, is told in [reliability](../explanation/reliability.md).",
        ("apache-airflow", "mlflow", "sqlalchemy", "pyarrow", "hypothesis"),
    ),
    SCALE: Page(
        "Beyond one machine",
        "What Celery, object storage and a thousand models cost. Written by `python -m "
        f"tests.benchmarks {SCALE}`. The machine is shared: read ratios before seconds.",
        ("apache-airflow", "celery", "s3fs", "pyarrow", "sqlalchemy"),
    ),
}
BENCHMARKS = {
    "parse": Benchmark("Parsing model files"),
    "orchestration": Benchmark("A retrain, with and without Airflow"),
    "ingest": Benchmark("Reading rows into a snapshot", arguments=("--rows", "1000000", "10000000")),
    "ledger": Benchmark("The ledger"),
    "gate_null": Benchmark(
        "Equally good models", GATE, picture="Wrong promotions of equally good models, by rule"
    ),
    "gate_clustered": Benchmark(
        "Rows that are alike", GATE, picture="Wrong promotions where rows of a day are alike, by rule"
    ),
    "gate_slices": Benchmark("Slices", GATE, picture="False alarms of slices, by rule"),
    "gate_worse": Benchmark(
        "Models that are worse", GATE, picture="Chance of shipping a worse model within a year, by rule"
    ),
    "gate_power": Benchmark(
        "Models that are better", GATE, picture="Power of the gate and of the classical tests"
    ),
    "gate_coverage": Benchmark(
        "Intervals", GATE, picture="Share of intervals that hold the truth, by metric"
    ),
    "gate_flights": Benchmark(
        "A year of real flights", GATE, picture="Log-loss of the served champion, by policy and month"
    ),
    "gate_speed": Benchmark("Speed", GATE, picture="Seconds of CPU for a million rows"),
    "watch_budget": Benchmark(
        "The budget is kept", WATCH, picture="False alarms a quarter without any drift, by watch"
    ),
    "watch_delay": Benchmark(
        "Delay at an equal rate of false alarms", WATCH, picture="Share of drifts found, by watch"
    ),
    "watch_loss": Benchmark(
        "The loss test", WATCH, picture="False alarms of the loss test by kind of days, and what it sees"
    ),
    "watch_policy": Benchmark(
        "When to retrain", WATCH, picture="Loss and number of retrains, by policy and stream"
    ),
    "watch_speed": Benchmark("Speed of a check", WATCH, picture="Seconds for a million rows, by watch"),
    "watch_pushdown": Benchmark("Counting in the database", WATCH),
    "alerts_airflow": Benchmark("From a failure to its message", ALERTS),
    "alerts": Benchmark("Through the outbox", ALERTS),
    "scale_celery": Benchmark("Celery beside LocalExecutor", SCALE),
    "simulation": Benchmark("Years of many models, simulated", RELIABILITY),
    "knife": Benchmark("Every system call, cut off", RELIABILITY, arguments=("--most", "1")),
    "chaos": Benchmark("The whole Airflow under faults", RELIABILITY),
    "hostile_input": Benchmark("Hostile input", RELIABILITY),
    "ledger_mutations": Benchmark("The ledger, forged", RELIABILITY),
    "ingest_s3": Benchmark(
        "Ten million rows to object storage", SCALE, arguments=("--rows", "1000000", "10000000")
    ),
    "many_models": Benchmark("A thousand models in the dag-processor", SCALE),
    "month": Benchmark("A month of a thousand models", SCALE),
}


def main() -> None:
    """Measure and write the pages of what ran."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    names = ", ".join([*BENCHMARKS, *PAGES])
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"of {names}")
    asked = parser.parse_args().only or list(PAGES)
    unknown = sorted(set(asked) - {*BENCHMARKS, *PAGES})
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {names}")
    chosen = [name for name, one in BENCHMARKS.items() if name in asked or one.page in asked]
    with tempfile.TemporaryDirectory() as folder:
        sections = {name: measured(name, Path(folder)) for name in chosen}
        for page in PAGES:
            write(page, sections, Path(folder))


def write(page: str, sections: dict[str, str], pictures: Path) -> None:
    """Print the sections of a page, and write it where none is missing.

    Sections that did not run are those of the page as it is, if that was made on this day, on this
    machine and with these versions.
    """
    wanted = [name for name, one in BENCHMARKS.items() if one.page == page]
    found = [name for name in wanted if name in sections]
    if not found:
        return
    top, path = head(PAGES[page]), REFERENCE / f"{page}.md"
    print("\n\n".join([top, *(sections[name] for name in found)]))
    kept = {} if found == wanted else sections_of(path, top)
    whole = [sections.get(name) or kept.get(BENCHMARKS[name].title) for name in wanted]
    if not all(whole):
        print(f"{path.name} is left as it is: not all of its benchmarks ran", file=sys.stderr)
        return
    text = "\n\n".join([top, *(section or "" for section in whole)])
    path.write_text(text + "\n", encoding="utf-8")
    for name in found:
        if BENCHMARKS[name].picture:
            shutil.copyfile(pictures / picture_of(name), IMAGES / picture_of(name))


def sections_of(path: Path, top: str) -> dict[str, str]:
    """Return the sections of a page by title; none where the page begins otherwise than with `top`."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not text.startswith(top):
        return {}
    parts = text.removeprefix(top).rstrip().split("\n\n## ")[1:]
    return {part.partition("\n")[0]: f"## {part}" for part in parts}


def head(page: Page) -> str:
    """Return what was measured where, when and with what."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in page.packages)
    return (
        f"# {page.title}\n\n{page.words}\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}; {versions}."
    )


def picture_of(name: str) -> str:
    """Return the file name of a benchmark's plot."""
    return f"{name.replace('_', '-')}.png"


def measured(name: str, pictures: Path) -> str:
    """Run one benchmark and return its section; its plot goes to the folder."""
    print(f"measuring {name} …", file=sys.stderr)
    one = BENCHMARKS[name]
    arguments: Sequence[str] = one.arguments
    shown = ""
    if one.picture:
        arguments = (*arguments, "--picture", str(pictures / picture_of(name)))
        shown = f"\n\n![{one.picture}](../images/{picture_of(name)})"
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    docstring = __import__(f"tests.benchmarks.{name}", fromlist=["__doc__"]).__doc__ or ""
    return f"## {one.title}\n\n{docstring.strip()}\n\n{done.stdout.strip()}{shown}"


if __name__ == "__main__":
    main()
