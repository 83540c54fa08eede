"""Every snapshot store keeps the contract, the fake too; and what only one of them can do."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evergreen.adapters import parquet_store
from evergreen.adapters.parquet_store import MANIFEST, PART, ParquetStore
from evergreen.errors import ArtefactDamaged, BadConfiguration, DataUnusable, StoreUnavailable
from evergreen.failpoints import EXIT_CODE
from evergreen.results import Snapshot
from tests.contracts.data_source import MARCH, data, rows
from tests.contracts.snapshot_store import SnapshotStoreContract, batches, mixed_rows
from tests.fakes.store import FakeStore

DAMAGED = b"not these bytes"


class TestFakeStore(SnapshotStoreContract):
    @pytest.fixture
    def store(self) -> FakeStore:
        return FakeStore()

    def damage(self, snapshot: Snapshot) -> None:
        self.store.damage(snapshot)

    def published(self) -> list[str]:
        return sorted(self.store.tables)

    def test_a_full_store_takes_nothing(self):
        self.store.full = True
        with pytest.raises(StoreUnavailable):
            self.write(rows(3))
        assert self.published() == []


class TestLocalStore(SnapshotStoreContract):
    @pytest.fixture
    def store(self, tmp_path) -> ParquetStore:
        self.folder = tmp_path / "store"
        return ParquetStore(str(self.folder), {})

    def damage(self, snapshot: Snapshot) -> None:
        part = Path(snapshot.uri) / PART
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1
        part.write_bytes(content)

    def published(self) -> list[str]:
        everything = self.folder.rglob("*") if self.folder.exists() else []
        return sorted(path.relative_to(self.folder).as_posix() for path in everything if path.is_file())

    def test_only_the_rows_and_the_manifest_are_there(self):
        snapshot = self.write(rows(3))
        assert self.published() == [
            f"snapshots/m/{snapshot.digest}/{MANIFEST}",
            f"snapshots/m/{snapshot.digest}/{PART}",
        ]

    def test_any_flipped_bit_or_cut_is_found_before_rows_are_read(self):
        snapshot = self.write(mixed_rows(2000))
        dice = random.Random(2013)
        for name in (PART, MANIFEST):
            path = Path(snapshot.uri) / name
            whole = path.read_bytes()
            for trial in range(150 if name == PART else 50):
                content = bytearray(whole)
                if trial % 5 == 4:
                    del content[dice.randrange(len(content)) :]
                else:
                    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
                path.write_bytes(content)
                with pytest.raises(ArtefactDamaged):
                    self.store.read(snapshot, MARCH, "at")
            path.write_bytes(whole)
        assert len(self.store.read(snapshot, MARCH, "at")) == 2000

    def test_page_checksums_find_a_flipped_bit_even_without_the_digest(self):
        snapshot = self.write(mixed_rows(2000))
        part = Path(snapshot.uri) / PART
        column = pq.read_metadata(part).row_group(0).column(3)
        content = bytearray(part.read_bytes())
        content[column.data_page_offset + column.total_compressed_size // 2] ^= 4
        part.write_bytes(content)
        with part.open("rb") as file, pytest.raises(ArtefactDamaged):
            parquet_store._rows(file, MARCH, "at", "test")

    @pytest.mark.parametrize("name", [PART, MANIFEST])
    def test_a_missing_file_is_damage(self, name):
        snapshot = self.write(rows(3))
        (Path(snapshot.uri) / name).unlink()
        with pytest.raises(ArtefactDamaged, match="missing"):
            self.store.read(snapshot, MARCH, "at")

    def test_a_reference_to_other_files_is_refused(self):
        snapshot = self.write(rows(3))
        import dataclasses

        other = dataclasses.replace(snapshot.artefacts[0], name="../../../../etc/passwd")
        with pytest.raises(ArtefactDamaged, match="not the files of a snapshot"):
            self.store.read(
                dataclasses.replace(snapshot, artefacts=(other, *snapshot.artefacts[1:])), MARCH, "at"
            )

    def test_the_loser_of_a_race_takes_the_winners_snapshot(self, tmp_path):
        winner = ParquetStore(str(self.folder), {})
        won: list[Snapshot] = []

        def slow():
            yield from batches(rows(100))
            won.append(winner.write("m", MARCH, batches(rows(100)), data()))

        assert self.store.write("m", MARCH, slow(), data()) == won[0]

    def test_rows_written_by_another_library_version_are_taken_as_they_are(self):
        table = rows(100)
        snapshot = self.write(table)
        part = Path(snapshot.uri) / PART
        pq.write_table(table, part, compression="none", write_page_checksum=True)
        file = parquet_store.SnapshotFile(part, snapshot.digest, 100, table.schema)
        manifest = parquet_store._manifest(file, parquet_store.describe(part))
        (Path(snapshot.uri) / MANIFEST).write_bytes(manifest)
        again = self.write(table)
        assert again.digest == snapshot.digest
        assert again.artefacts != snapshot.artefacts
        assert self.store.read(again, MARCH, "at").equals(table)

    def test_other_rows_under_a_valid_manifest_are_damage(self):
        snapshot = self.write(rows(100))
        part = Path(snapshot.uri) / PART
        other = rows(100).set_column(2, "late", pa.array([1] * 100))
        pq.write_table(other, part)
        file = parquet_store.SnapshotFile(part, snapshot.digest, 100, other.schema)
        manifest = parquet_store._manifest(file, parquet_store.describe(part))
        (Path(snapshot.uri) / MANIFEST).write_bytes(manifest)
        with pytest.raises(ArtefactDamaged):
            self.write(rows(100))

    def test_what_a_killed_writer_left_is_removed_a_day_later(self):
        staging = self.folder / "snapshots" / ".staging"
        for name, age in (("old", 25 * 3600), ("young", 3600)):
            (staging / name).mkdir(parents=True)
            for path in (staging / name / PART, staging / name):
                path.touch()
                os.utime(path, (time.time() - age,) * 2)
        self.write(rows(3))
        assert [path.name for path in staging.iterdir()] == ["young"]

    def test_a_store_that_cannot_be_written_is_unavailable(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        store = ParquetStore(str(tmp_path / "file" / "store"), {})
        with pytest.raises(StoreUnavailable, match="file/store") as caught:
            store.write("m", MARCH, batches(rows(3)), data())
        assert caught.value.retryable

    def test_a_file_url_is_a_path(self, tmp_path):
        snapshot = ParquetStore((tmp_path / "elsewhere").as_uri(), {}).write(
            "m", MARCH, batches(rows(3)), data()
        )
        assert (tmp_path / "elsewhere" / "snapshots" / "m" / snapshot.digest / PART).is_file()

    def test_files_can_be_read_by_others_as_the_umask_says(self):
        snapshot = self.write(rows(3))
        mask = os.umask(0o022)
        os.umask(mask)
        for name in (PART, MANIFEST):
            assert (Path(snapshot.uri) / name).stat().st_mode & 0o777 == 0o666 & ~mask

    def test_hash_seeds_do_not_change_a_snapshot(self, tmp_path):
        digests = set()
        for seed in ("1", "2"):
            said = subprocess.run(
                [sys.executable, "-c", WRITE_ROWS, tmp_path / seed],
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."},
                check=True,
                capture_output=True,
                text=True,
            )
            digests.add(said.stdout)
        assert len(digests) == 1

    @pytest.mark.parametrize("place", ["ingest.staged", "ingest.published"])
    def test_a_writer_killed_at_any_point_and_retried_leaves_one_snapshot(self, place):
        dies = {**os.environ, "PYTHONPATH": ".", "EVERGREEN_FAIL": place}
        killed = subprocess.run([sys.executable, "-c", WRITE_ROWS, self.folder], env=dies)
        assert killed.returncode == EXIT_CODE
        snapshot = self.write(mixed_rows(500))
        whole = [name for name in self.published() if "/.staging/" not in name]
        assert whole == [f"snapshots/m/{snapshot.digest}/{name}" for name in (MANIFEST, PART)]
        assert self.store.read(snapshot, MARCH, "at").equals(mixed_rows(500))

    @pytest.mark.parametrize("limit", [0, 1, 4096, 100_000])
    def test_a_disk_that_fills_up_leaves_nothing_behind(self, limit):
        said = subprocess.run(
            [sys.executable, "-c", FULL_DISK, self.folder, str(limit)],
            env={**os.environ, "PYTHONPATH": "."},
            check=True,
            capture_output=True,
            text=True,
        )
        assert said.stdout.startswith("StoreUnavailable"), said.stderr
        assert self.published() == []
        assert self.write(random_rows()).rows == 20_000

    @pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("unshare") is None, reason="needs unshare"
    )
    @pytest.mark.parametrize("size", ["64k", "256k", "1m"])
    def test_a_full_file_system_leaves_nothing_behind(self, size, tmp_path):
        script = f'mount -t tmpfs -o size={size} tmpfs {tmp_path} && {sys.executable} -c "$FULL_DISK"'
        said = subprocess.run(
            ["unshare", "-Urm", "sh", "-c", f"{script} {tmp_path}/store"],
            env={**os.environ, "PYTHONPATH": ".", "FULL_DISK": FULL_DISK},
            capture_output=True,
            text=True,
        )
        if "unshare" in said.stderr or "mount:" in said.stderr:
            pytest.skip(f"no private mounts here: {said.stderr.strip()}")
        failure, *visible = said.stdout.splitlines()
        assert failure.startswith("StoreUnavailable"), said.stderr
        assert "No space left on device" in failure
        assert set(visible) <= {"whole"}
        assert bool(visible) == (size == "1m")


def random_rows() -> pa.Table:
    dice = random.Random(1)
    return rows(20_000, x=pa.array([dice.random() for _ in range(20_000)]))


WRITE_ROWS = """
import json, sys
from evergreen.adapters.parquet_store import ParquetStore
from tests.contracts.snapshot_store import MARCH, batches, data, mixed_rows
options = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
print(ParquetStore(sys.argv[1], options).write("m", MARCH, batches(mixed_rows(500)), data()).artefacts)
"""

FULL_DISK = """
import sys
from pathlib import Path
from evergreen.adapters.parquet_store import MANIFEST, PART, ParquetStore
from evergreen.snapshot_file import digest_of_file
from evergreen.errors import EvergreenError
from tests.contracts.snapshot_store import MARCH, batches, data
from tests.contracts.test_snapshot_store import random_rows
rows, store = random_rows().append_column("y", random_rows()["x"]), ParquetStore(sys.argv[1], {})
limit = int(sys.argv[2]) if len(sys.argv) > 2 else None
if limit is not None:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    for _ in range(3):
        store.write("m", MARCH, batches(rows), data())
        rows = rows.slice(1)
    print("published")
except EvergreenError as exc:
    print(type(exc).__name__, exc)
for path in Path(sys.argv[1]).rglob(PART):
    assert (path.parent / MANIFEST).is_file()
    assert digest_of_file(path) == path.parent.name
    print("whole")
assert not list(Path(sys.argv[1]).glob("snapshots/.staging/*"))
"""


class TestMemoryStore(SnapshotStoreContract):
    """Object storage in its simplest form: no renames, no conditional writes."""

    @pytest.fixture
    def store(self, tmp_path) -> ParquetStore:
        self.url = f"memory://{tmp_path.name}"
        self.system = fsspec.filesystem("memory")
        return ParquetStore(self.url, {})

    def damage(self, snapshot: Snapshot) -> None:
        self.system.pipe_file(f"{snapshot.uri}/{PART}", DAMAGED)

    def published(self) -> list[str]:
        return sorted(self.system.find(self.url))


class TestS3Store(SnapshotStoreContract):
    @pytest.fixture
    def store(self, s3_bucket) -> ParquetStore:
        self.bucket = s3_bucket
        return ParquetStore(f"{s3_bucket.url}/lake", s3_bucket.options)

    def damage(self, snapshot: Snapshot) -> None:
        key = f"{snapshot.uri}/{PART}".removeprefix(f"{self.bucket.url}/")
        self.bucket.client.put_object(Bucket=self.bucket.name, Key=key, Body=DAMAGED)

    def published(self) -> list[str]:
        found = self.bucket.client.list_objects_v2(Bucket=self.bucket.name).get("Contents", [])
        return sorted(entry["Key"] for entry in found)

    def test_the_loser_of_a_race_takes_the_winners_snapshot(self):
        winner = ParquetStore(f"{self.bucket.url}/lake", self.bucket.options)
        won: list[Snapshot] = []

        def slow():
            yield from batches(rows(100))
            won.append(winner.write("m", MARCH, batches(rows(100)), data()))

        assert self.store.write("m", MARCH, slow(), data()) == won[0]

    def test_rows_without_a_manifest_are_finished_by_a_retry(self):
        snapshot = self.write(rows(100))
        key = f"{snapshot.uri}/{MANIFEST}".removeprefix(f"{self.bucket.url}/")
        self.bucket.client.delete_object(Bucket=self.bucket.name, Key=key)
        with pytest.raises(ArtefactDamaged, match="missing"):
            self.store.read(snapshot, MARCH, "at")
        assert self.write(rows(100)) == snapshot
        assert len(self.store.read(snapshot, MARCH, "at")) == 100

    @pytest.mark.parametrize(
        "place", [f"ingest.put.{PART}", f"ingest.put.{MANIFEST}", "ingest.published"]
    )
    def test_a_writer_killed_at_any_point_and_retried_leaves_one_snapshot(self, place):
        url, options = f"{self.bucket.url}/lake", json.dumps(self.bucket.options)
        dies = {**os.environ, "PYTHONPATH": ".", "EVERGREEN_FAIL": place}
        killed = subprocess.run([sys.executable, "-c", WRITE_ROWS, url, options], env=dies)
        assert killed.returncode == EXIT_CODE
        snapshot = self.write(mixed_rows(500))
        folder = f"lake/snapshots/m/{snapshot.digest}"
        assert self.published() == [f"{folder}/{MANIFEST}", f"{folder}/{PART}"]
        assert self.store.read(snapshot, MARCH, "at").equals(mixed_rows(500))

    def test_a_bucket_that_is_not_there_is_named(self):
        store = ParquetStore("s3://no-such-bucket-anywhere", self.bucket.options)
        with pytest.raises(BadConfiguration, match=r"no-such-bucket-anywhere.*no such bucket"):
            store.write("m", MARCH, batches(rows(3)), data())

    def test_duplicates_are_found_here_too(self):
        table = pa.concat_tables([rows(3), rows(3)])
        with pytest.raises(DataUnusable, match="2 times"):
            self.write(table)
