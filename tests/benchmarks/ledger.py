"""How many entries a second the ledger takes and verifies: `python -m tests.benchmarks.ledger`.

Every append is acknowledged only once it is on disk, so the disk's fsync is most of an append. The
throw-away PostgreSQL of the tests runs with fsync off: its figures show the code, not a disk.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import string
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from evergreen.ledger import open_ledger
from tests.integration.postgres import find_binary, start_postgres

BODY_CHARACTERS = 1000
SEED = 7


def body(rng: random.Random) -> dict[str, object]:
    """Return a body of about the size that a step writes."""
    return {"n": rng.random(), "text": "".join(rng.choices(string.ascii_letters, k=BODY_CHARACTERS))}


def append(url: str, name: str, count: int, barrier, seconds) -> None:
    """Append `count` entries once every writer is ready; tell how long it took."""
    ledger = open_ledger(url, 600)
    lease = ledger.acquire(name, f"{name}/bench")
    rng = random.Random(SEED)
    bodies = [body(rng) for _ in range(count)]
    barrier.wait()
    began = time.perf_counter()
    for number, one in enumerate(bodies):
        ledger.append("snapshot", f"snapshot/{name}/{began}/{number}", one, lease)
    seconds.put(time.perf_counter() - began)
    ledger.close()


def measure(url: str, writers: int, count: int) -> float:
    """Return entries a second of `writers` processes that append `count` entries each."""
    context = get_context("spawn")
    barrier, seconds = context.Barrier(writers), context.Queue()
    processes = [
        context.Process(target=append, args=(url, f"m{n}", count, barrier, seconds))
        for n in range(writers)
    ]
    for process in processes:
        process.start()
    slowest = max(seconds.get(timeout=600) for _ in processes)
    for process in processes:
        process.join()
    return writers * count / slowest


def verify(url: str) -> tuple[int, float]:
    """Return how many entries stand and how many a second are verified."""
    ledger = open_ledger(url, 600)
    began = time.perf_counter()
    audit = ledger.verify()
    seconds = time.perf_counter() - began
    ledger.close()
    if not audit.ok:
        raise SystemExit(f"the chain does not verify: {audit}")
    return audit.count, audit.count / seconds


def main() -> None:
    """Print a Markdown table and, where asked to, write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="entries a writer appends")
    parser.add_argument("--out", type=Path, help="write the figures as JSON to this file")
    arguments = parser.parse_args()
    figures: dict[str, object] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "entries_per_writer": arguments.count,
        "body_characters": BODY_CHARACTERS,
    }
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        urls = {"SQLite": f"sqlite:///{folder}/ledger.db"}
        if find_binary("postgres"):
            server = stack.enter_context(start_postgres())
            urls["PostgreSQL (fsync off)"] = server.url.render_as_string(hide_password=False)
        print("| database | appends/s, 1 writer | appends/s, 4 writers | verified rows/s | rows |")
        print("|---|---:|---:|---:|---:|")
        for name, url in urls.items():
            one, four = measure(url, 1, arguments.count), measure(url, 4, arguments.count)
            rows, rate = verify(url)
            print(f"| {name} | {one:,.0f} | {four:,.0f} | {rate:,.0f} | {rows:,} |", flush=True)
            figures[name] = {
                "appends_per_second_1_writer": one,
                "appends_per_second_4_writers": four,
                "verified_rows_per_second": rate,
                "rows": rows,
            }
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
