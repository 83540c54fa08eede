"""Killed at any request, before it arrives or before its answer does, and repeated: as never killed.

The first request is tried both ways, then every third, which in turn does not arrive or has no answer.
With EVERGREEN_EVERY_KILL set each is tried both ways.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import evergreen.objects
from evergreen.adapters.parquet_store import ParquetStore
from evergreen.adapters.prediction_log import ParquetLog
from evergreen.errors import BadConfiguration
from evergreen.results import Snapshot
from tests.contracts.data_source import MARCH
from tests.contracts.prediction_log import batches as logged_batches
from tests.contracts.prediction_log import hours, logged
from tests.integration.s3 import Bucket
from tests.integration.s3_process import LARGE, ROWS, WORK
from tests.integration.s3_proxy import Asked, S3Proxy, honest, refusal, s3_proxy

PART_BYTES = 64 * 1024
MOST_REQUESTS = 80
EVERY = bool(os.environ.get("EVERGREEN_EVERY_KILL"))


class Killed:
    """A process that does the work through the proxy, killed at the N-th request."""

    def __init__(self, process: subprocess.Popen[str], proxy: S3Proxy, options: dict[str, Any]) -> None:
        self.process, self.proxy = process, proxy
        self.options = {**options, "endpoint_url": proxy.endpoint}

    def run(self, what: str, url: str, at: int, arrives: bool) -> bool:
        """Return whether the process was killed; False: it came to its end before."""

        def kill(asked: Asked, forward):
            if asked.number == at:
                if arrives:
                    forward()
                os.kill(int(re.search(r"process/(\d+)", asked.headers["user-agent"])[1]), signal.SIGKILL)
                return None
            return forward()

        self.proxy.asked.clear()
        self.proxy.rule = kill
        order = {"what": what, "url": url, "options": self.options, "part_bytes": PART_BYTES}
        print(json.dumps(order), file=self.process.stdin, flush=True)
        code = json.loads(self.process.stdout.readline())["code"]
        self.proxy.rule = honest
        assert code in (0, -signal.SIGKILL)
        return code != 0


@pytest.fixture(scope="module")
def killed(s3_endpoint: str) -> Iterator[Any]:
    """A process that waits for orders, and the proxy between it and the store."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.s3_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert json.loads(process.stdout.readline())["ready"]
    with s3_proxy(s3_endpoint) as proxy:
        yield lambda options: Killed(process, proxy, options)
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both sides take parts that are small enough for a test."""
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    monkeypatch.setattr(evergreen.objects, "PART_BYTES", PART_BYTES)


def before(what: str, url: str, options: dict[str, Any]) -> None:
    if what == "log":
        old = logged(hours(0, 24), version=1)
        ParquetLog(f"{url}/log", options).replace("m", hours(0, 24), logged_batches(old), "at")


def seen(bucket: Bucket, prefix: str) -> dict[str, str]:
    """Return what any reader of the bucket sees: names and ETags."""
    pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=prefix)
    found = (entry for page in pages for entry in page.get("Contents", []))
    return {entry["Key"].removeprefix(prefix): entry["ETag"] for entry in found}


def check_midway(what: str, bucket: Bucket, url: str, last: Snapshot | str) -> None:
    """Whatever is there now is whole: old or new."""
    if what.endswith("snapshot"):
        names = seen(bucket, url.removeprefix(f"{bucket.url}/") + "/")
        if any(name.endswith("manifest.json") for name in names):
            kept = Snapshot(
                f"{url}/snapshots/m/{last.digest}",
                last.digest,
                last.window,
                last.rows,
                last.columns,
                last.artefacts,
            )
            found = ParquetStore(url, bucket.options).read(kept, MARCH, "at")
            assert len(found) == (LARGE if what.startswith("large") else ROWS)
    if what == "log":
        read = ParquetLog(f"{url}/log", bucket.options).rows("m", "at").read(hours(0, 72))
        times = [time for batch in read for time in batch.column("at").to_pylist()]
        assert len(times) == len(set(times)) >= 24 * 4


@pytest.mark.parametrize("what", WORK)
def test_killed_at_any_request_and_repeated_is_as_never_killed(what, killed, s3_bucket, small_parts):
    never = f"{s3_bucket.url}/never"
    before(what, never, s3_bucket.options)
    last = WORK[what](never, s3_bucket.options)
    expected = seen(s3_bucket, "never/")
    ended = []
    for number, arrives in points():
        url = f"{s3_bucket.url}/{number}-{arrives}"
        before(what, url, s3_bucket.options)
        ended.append(not killed(s3_bucket.options).run(what, url, number, arrives))
        check_midway(what, s3_bucket, url, last)
        again = WORK[what](url, s3_bucket.options)
        told = json.dumps(last, default=vars_of).replace(never, url)
        assert json.dumps(again, default=vars_of) == told
        assert seen(s3_bucket, f"{number}-{arrives}/") == expected
        if ended[-1]:
            break
    assert ended[:2] == [False, False]
    assert ended[-1], "it never came to an end"


def points() -> Iterator[tuple[int, bool]]:
    """Yield which request is the last one, and whether it arrives."""
    for number in range(1, MOST_REQUESTS, 1 if EVERY else 3):
        both = EVERY or number == 1
        yield from ((number, arrives) for arrives in (False, True) if both or arrives == number % 2)


def vars_of(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)


def test_a_large_file_goes_in_parts_and_one_that_is_refused_leaves_none(killed, s3_bucket, small_parts):
    with s3_proxy(s3_bucket.options["endpoint_url"]) as proxy:
        options = {**s3_bucket.options, "endpoint_url": proxy.endpoint}
        url = f"{s3_bucket.url}/large"
        kept = WORK["large_snapshot"](url, options)
        posts = [one for one in proxy.asked if one.method == "POST"]
        assert len(posts) == 2, "begun and completed"
        assert posts[1].headers["if-none-match"] == "*"
        assert len(ParquetStore(url, options).read(kept, MARCH, "at")) == LARGE

        def denied(asked, forward):
            completes = asked.method == "POST" and "uploadId=" in asked.path
            return refusal(403, "AccessDenied") if completes else forward()

        proxy.rule = denied
        with pytest.raises(BadConfiguration, match="denied"):
            WORK["large_snapshot"](f"{s3_bucket.url}/refused", options)
    assert seen(s3_bucket, "refused/") == {}
    assert not s3_bucket.client.list_multipart_uploads(Bucket=s3_bucket.name).get("Uploads")
