"""Runs every benchmark, each in a process of its own, and writes docs/reference/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
BENCHMARKS = {
    "parse": "Parsing model files",
    "orchestration": "A retrain, with and without Airflow",
    "ingest": "Reading rows into a snapshot",
    "ledger": "The ledger",
}
ARGUMENTS = {"ingest": ["--rows", "1000000", "10000000"]}
PACKAGES = ("apache-airflow", "mlflow", "scikit-learn", "pyarrow", "sqlalchemy", "dag-factory")


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    chosen = parser.parse_args().only or list(BENCHMARKS)
    unknown = sorted(set(chosen) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    sections = [measured(name) for name in chosen]
    text = "\n\n".join([head(), *sections]) + "\n"
    if set(chosen) == set(BENCHMARKS):
        PAGE.write_text(text, encoding="utf-8")
    print(text)


def head() -> str:
    """Return what was measured where, when and with what."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        "# Benchmarks\n\n"
        "Written by `make bench`; run it to get your own. The machine is shared, so read ratios, which "
        "compare peers of the same run, before seconds.\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}; {versions}."
    )


def measured(name: str) -> str:
    """Run one benchmark and return its section."""
    print(f"measuring {name} …", file=sys.stderr)
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *ARGUMENTS.get(name, [])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    docstring = __import__(f"tests.benchmarks.{name}", fromlist=["__doc__"]).__doc__ or ""
    return f"## {BENCHMARKS[name]}\n\n{docstring.strip()}\n\n{done.stdout.strip()}"


if __name__ == "__main__":
    main()
