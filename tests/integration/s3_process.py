"""Imports everything once, then forks a process for each piece of work on object storage.

Reads one JSON line for each from standard input: what, url, options and part_bytes; answers with one,
{"code": ...}. The process says who it is in each request's user agent, so that a proxy can kill it.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from typing import Any

import pyarrow as pa

import evergreen.objects
from evergreen.adapters.file_store import SmallFiles
from evergreen.adapters.parquet_store import ParquetStore
from evergreen.adapters.prediction_log import ParquetLog
from evergreen.quarantine import Folder
from tests.contracts.data_source import MARCH, data, rows
from tests.contracts.prediction_log import batches as logged_batches
from tests.contracts.prediction_log import hours, logged
from tests.contracts.snapshot_store import batches

ROWS, LARGE = 200, 6_000


@cache
def large_rows() -> pa.Table:
    """Rows that do not compress: more than two parts."""
    noise = pa.array([f"{(number * 2654435761) % 2**64:x}{number**7:x}" for number in range(LARGE)])
    return rows(LARGE, noise=noise)


def snapshot(url: str, options: dict[str, Any]) -> Any:
    return ParquetStore(url, options).write("m", MARCH, batches(rows(ROWS)), data())


def large_snapshot(url: str, options: dict[str, Any]) -> Any:
    return ParquetStore(url, options).write("m", MARCH, batches(large_rows()), data())


def small_file(url: str, options: dict[str, Any]) -> Any:
    return SmallFiles(url, options).put("watch/m", "profile.json", b"counts")


def quarantine(url: str, options: dict[str, Any]) -> Any:
    return Folder(url, options, "quarantine/m/a/b").write("rows.parquet", b"rows that failed")


def log(url: str, options: dict[str, Any]) -> Any:
    """Score two half days: one is new, of one the other half stays."""
    window = hours(12, 36)
    batches = logged_batches(logged(window, version=2))
    return ParquetLog(f"{url}/log", options).replace("m", window, batches, "at")


WORK = {work.__name__: work for work in (snapshot, large_snapshot, small_file, quarantine, log)}


def main() -> None:
    """Serve until standard input ends."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                evergreen.objects.PART_BYTES = order["part_bytes"]
                options = order["options"]
                options.setdefault("config_kwargs", {})["user_agent_extra"] = f"process/{os.getpid()}"
                WORK[order["what"]](order["url"], options)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
