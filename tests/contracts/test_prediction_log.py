"""Every prediction log keeps the contract; and what only one kind of storage can do."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from evergreen.adapters.prediction_log import ParquetLog
from evergreen.errors import ArtefactDamaged, BadConfiguration, SourceUnavailable, StoreUnavailable
from evergreen.failpoints import EXIT_CODE
from tests.contracts.prediction_log import PredictionLogContract, batches, hours, logged

DAMAGED = b"not these bytes"
PLACES = ["score.spooled", "score.staged", "score.published"]

REPLACE = """
import json, sys
from evergreen.adapters.prediction_log import ParquetLog
from tests.contracts.prediction_log import batches, hours, logged
window = hours(*json.loads(sys.argv[3]))
log = ParquetLog(sys.argv[1], json.loads(sys.argv[2]))
log.replace("m", window, batches(logged(window, version=2)) if window.end > window.start else (), "at")
"""
REMOVE = REPLACE.replace(
    "batches(logged(window, version=2)) if window.end > window.start else ()", "iter(())"
)


def killed_at(place: str, uri: str, options: dict, first: float, last: float, script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script, uri, json.dumps(options), json.dumps([first, last])],
        env={**os.environ, "PYTHONPATH": ".", "EVERGREEN_FAIL": place},
    )
    assert done.returncode == EXIT_CODE


class TestLocalLog(PredictionLogContract):
    @pytest.fixture
    def log(self, tmp_path) -> ParquetLog:
        self.folder = tmp_path / "log"
        return ParquetLog(str(self.folder), {})

    def place(self, day: date) -> Path:
        return self.folder / "m" / f"day={day.isoformat()}" / "rows.parquet"

    def damage(self, day: date) -> None:
        content = bytearray(self.place(day).read_bytes())
        content[len(content) // 3] ^= 1
        self.place(day).write_bytes(content)

    def files(self) -> list[str]:
        everything = self.folder.rglob("*") if self.folder.exists() else []
        return sorted(path.relative_to(self.folder).as_posix() for path in everything if path.is_file())

    @pytest.mark.parametrize("script", [REPLACE, REMOVE], ids=["replace", "remove"])
    @pytest.mark.parametrize("place", PLACES)
    def test_killed_at_any_point_and_repeated_is_as_never_killed(self, place, script):
        self.put(hours(0, 96))
        before = self.found()
        killed_at(place, str(self.folder), {}, 6, 78, script)
        left = self.found()  # whatever was published, no row is lost or doubled
        if script is REPLACE:
            assert left.keys() == before.keys()
        new = logged(hours(6, 78), version=2) if script is REPLACE else None
        self.log.replace("m", hours(6, 78), batches(new) if new else iter(()), "at")
        kept = {key: 1 for key in before if not 6 * 3600 <= key < 78 * 3600}
        assert self.found() == kept | dict.fromkeys(new.column("id").to_pylist() if new else [], 2)
        assert [name for name in self.files() if ".staging" not in name] == sorted(
            f"m/day=2013-04-0{day}/rows.parquet" for day in ([1, 2, 3, 4] if new else [1, 4])
        )

    def test_no_flipped_bit_or_cut_changes_what_is_read_without_a_word(self):
        self.put(hours(0, 24), logged(hours(0, 24), hours(0, 1).end - hours(0, 1).start))
        whole = self.place(date(2013, 4, 1)).read_bytes()
        windows = [(hours(0, 24), None), (hours(3, 9), 1), (hours(3, 9), 2)]

        def seen() -> list[pa.Table]:
            names = ["at", "id", "fare", "city", "evergreen__version"]
            return [
                pa.Table.from_batches(
                    [b.set_column(3, "city", b.column("city").dictionary_decode()) for b in read], schema
                )
                for window, version in windows
                for read in [list(self.rows.read(window, names, version))]
            ]

        schema = logged(hours(0, 1)).select(["at", "id", "fare", "city", "evergreen__version"]).schema
        right, dice = seen(), random.Random(2013)
        found = 0
        for trial in range(600):
            content = bytearray(whole)
            if trial % 10 == 9:
                del content[dice.randrange(len(content)) :]
            else:
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
            self.place(date(2013, 4, 1)).write_bytes(content)
            try:
                assert seen() == right
            except ArtefactDamaged:
                found += 1
        assert found > 450  # the rest lies where no reader looks

    @pytest.mark.parametrize("limit", [0, 1, 4096, 100_000])
    def test_a_disk_that_fills_up_leaves_what_stood_there(self, limit):
        self.put(hours(0, 48))
        said = subprocess.run(
            [sys.executable, "-c", FULL_DISK, self.folder, str(limit)],
            env={**os.environ, "PYTHONPATH": "."},
            check=True,
            capture_output=True,
            text=True,
        )
        assert said.stdout.startswith("StoreUnavailable"), said.stderr
        assert len(self.files()) == 2
        assert set(self.found().values()) == {1}

    @pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("unshare") is None, reason="needs unshare"
    )
    @pytest.mark.parametrize("size", ["64k", "1m"])
    def test_a_full_file_system_leaves_whole_days(self, size, tmp_path):
        script = f'mount -t tmpfs -o size={size} tmpfs {tmp_path} && {sys.executable} -c "$FULL_DISK"'
        said = subprocess.run(
            ["unshare", "-Urm", "sh", "-c", f"{script} {tmp_path}/log"],
            env={**os.environ, "PYTHONPATH": ".", "FULL_DISK": FULL_DISK},
            capture_output=True,
            text=True,
        )
        if "unshare" in said.stderr or "mount:" in said.stderr:
            pytest.skip(f"no private mounts here: {said.stderr.strip()}")
        assert said.stdout.startswith("StoreUnavailable"), said.stderr
        assert "No space left on device" in said.stdout

    def test_a_folder_that_cannot_be_written_is_unavailable(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        log = ParquetLog(str(tmp_path / "file" / "log"), {})
        with pytest.raises(StoreUnavailable, match="file/log") as caught:
            log.replace("m", hours(0, 1), batches(logged(hours(0, 1))), "at")
        assert caught.value.retryable

    def test_what_else_lies_there_is_left_alone(self):
        self.put(hours(0, 24))
        (self.folder / "m" / "day=yesterday").mkdir()
        (self.folder / "m" / "notes.txt").write_text("kept")
        (self.folder / "m" / "day=2013-04-01" / "notes.txt").write_text("kept")
        self.log.replace("m", hours(0, 24), iter(()), "at")
        assert self.found() == {}
        assert self.files() == ["m/day=2013-04-01/notes.txt", "m/notes.txt"]

    def test_a_file_that_another_put_there_is_no_day_of_the_log(self):
        import pyarrow.parquet as pq

        self.put(hours(0, 24))
        pq.write_table(logged(hours(0, 24)), self.place(date(2013, 4, 1)))
        with pytest.raises(ArtefactDamaged, match="the footer is not what was written"):
            self.found()

    def test_any_reader_of_parquet_reads_a_day(self):
        import pyarrow.parquet as pq

        self.put(hours(0, 24))
        assert pq.ParquetFile(self.place(date(2013, 4, 1))).read().equals(logged(hours(0, 24)))

    def test_a_file_url_is_a_path(self, tmp_path):
        uri = (tmp_path / "elsewhere").as_uri()
        log = ParquetLog(uri, {})
        for _ in range(2):
            log.replace("m", hours(0, 30), batches(logged(hours(0, 30))), "at")
            log.replace("m", hours(3, 4), batches(logged(hours(3, 4))), "at")
        assert sum(map(len, log.rows("m", "at").read(hours(0, 30)))) == 120
        assert (tmp_path / "elsewhere/m/day=2013-04-01/rows.parquet").is_file()


FULL_DISK = """
import sys
from evergreen.adapters.prediction_log import ParquetLog
from evergreen.errors import EvergreenError
from tests.contracts.prediction_log import HOUR, batches, hours, logged
log = ParquetLog(sys.argv[1], {})
limit = int(sys.argv[2]) if len(sys.argv) > 2 else None
if limit is not None:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
window = hours(0, 48)
try:
    for _ in range(3):
        log.replace("m", window, batches(logged(window, HOUR / 1000, version=2)), "at")
    print("published")
except EvergreenError as exc:
    print(type(exc).__name__, exc)
list(log.rows("m", "at").read(window))
"""


class TestMemoryLog(PredictionLogContract):
    """Object storage in its simplest form: no renames, no tags."""

    @pytest.fixture
    def log(self, tmp_path) -> ParquetLog:
        self.url = f"memory://{tmp_path.name}"
        self.system = fsspec.filesystem("memory")
        return ParquetLog(self.url, {})

    def damage(self, day: date) -> None:
        self.system.pipe_file(f"{self.url}/m/day={day.isoformat()}/rows.parquet", DAMAGED)

    def files(self) -> list[str]:
        root = self.system._strip_protocol(self.url)
        return sorted(name.removeprefix(f"{root}/") for name in self.system.find(self.url))


class TestS3Log(PredictionLogContract):
    @pytest.fixture
    def log(self, s3_bucket) -> ParquetLog:
        self.bucket = s3_bucket
        return ParquetLog(f"{s3_bucket.url}/log", s3_bucket.options)

    def damage(self, day: date) -> None:
        key = f"log/m/day={day.isoformat()}/rows.parquet"
        self.bucket.client.put_object(Bucket=self.bucket.name, Key=key, Body=DAMAGED)

    def files(self) -> list[str]:
        found = self.bucket.client.list_objects_v2(Bucket=self.bucket.name).get("Contents", [])
        return sorted(entry["Key"].removeprefix("log/") for entry in found)

    @pytest.mark.parametrize("place", PLACES)
    def test_killed_at_any_point_and_repeated_is_as_never_killed(self, place):
        self.put(hours(0, 96))
        killed_at(place, f"{self.bucket.url}/log", self.bucket.options, 6, 78, REPLACE)
        assert len(self.found()) == 96 * 4
        self.put(hours(6, 78), logged(hours(6, 78), version=2))
        assert sorted(self.found().values()) == [1] * 24 * 4 + [2] * 72 * 4

    def test_a_bucket_that_is_not_there_is_named(self):
        log = ParquetLog("s3://no-such-bucket-at-all/log", self.bucket.options)
        with pytest.raises(BadConfiguration, match="there is no such bucket"):
            log.replace("m", hours(0, 1), batches(logged(hours(0, 1))), "at")
        for window in (hours(0, 1), hours(0, 24 * 365)):
            with pytest.raises(BadConfiguration, match="there is no such bucket"):
                list(log.rows("m", "at").read(window))

    def test_a_store_that_does_not_answer_is_an_unavailable_source_for_readers(self):
        self.put(hours(0, 1))
        options = json.loads(json.dumps(self.bucket.options).replace("127.0.0.1:", "127.0.0.1:1"))
        options.setdefault("config_kwargs", {})["retries"] = {"max_attempts": 0}
        log = ParquetLog(f"{self.bucket.url}/log", options)
        with pytest.raises(SourceUnavailable):
            list(log.rows("m", "at").read(hours(0, 1)))
