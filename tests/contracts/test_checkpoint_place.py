"""A folder and an object store keep checkpoints alike: each for good, the newest found first."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from evergreen.adapters.checkpoint_place import CheckpointFiles
from evergreen.checkpoints import Checkpoint
from evergreen.errors import ArtefactDamaged, EvergreenError, LedgerBehind, StoreUnavailable

ONE = Checkpoint("a" * 64, 12, "b" * 64, "2013-04-01T00:00:00.000000Z", 0, "0.1.0")


def at(seq: int, era: int = 0) -> Checkpoint:
    return replace(ONE, seq=seq, era=era)


class CheckpointPlaceContract:
    @pytest.fixture
    def place(self):
        raise NotImplementedError

    def write(self, name: str, content: bytes) -> None:
        """Put a file into the place, round its own code."""
        raise NotImplementedError

    def test_an_empty_place_has_none(self, place):
        assert place.newest() is None
        assert list(place.found()) == []

    def test_the_newest_is_that_of_the_latest_era_and_then_of_the_greatest_number(self, place):
        for one in (at(999), at(5), at(1000), at(12_345_678), at(7, era=1), at(3, era=1)):
            assert place.put(one)
        assert place.newest() == at(7, era=1)
        kept = [one for _, one in place.found()]
        assert kept == [at(7, era=1), at(3, era=1), at(12_345_678), at(1000), at(999), at(5)]

    def test_what_is_kept_is_kept_once_and_never_written_over(self, place):
        assert place.put(ONE)
        assert not place.put(ONE)
        assert not place.put(replace(ONE, code="0.2.0")), "the same head, seen by another version"
        with pytest.raises(LedgerBehind, match="another checkpoint for this entry"):
            place.put(replace(ONE, hash="c" * 64))
        with pytest.raises(LedgerBehind):
            place.put(replace(ONE, ledger="c" * 64))
        assert place.newest() == ONE

    def test_of_many_writers_one_is_told_that_it_was_first(self, place):
        told = []
        threads = [threading.Thread(target=lambda: told.append(place.put(ONE))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told) == [False] * 7 + [True]

    def test_what_is_no_checkpoint_is_passed_over_for_the_newest_and_shown_to_an_audit(self, place):
        place.put(at(5))
        self.write("000000/0000000000000/0000000000000009.json", b"garbage")
        self.write("000000/0000000000000/0000000000000008.json", at(7).text().encode())
        self.write("000000/0000000000000/0000000000000007.json", b"x" * 5000)
        assert place.newest() == at(5)
        assert [one for _, one in place.found()] == [None, None, None, at(5)]

    def test_a_folder_where_a_file_belongs_and_the_other_way_round_do_not_silence_the_place(self, place):
        place.put(at(5))
        self.write("000000/0000000000000/0000000000000009.json/x", b"")
        self.write("000002/0000000000009", b"")
        self.write("000003", b"")
        assert place.newest() == at(5)
        assert [one for _, one in place.found()][-2:] == [None, at(5)]

    def test_a_place_with_nothing_but_garbage_is_not_an_empty_one(self, place):
        self.write("000000/0000000000000/0000000000000009.json", b"")
        with pytest.raises(ArtefactDamaged, match="no checkpoint"):
            place.newest()

    def test_files_of_others_are_left_alone(self, place):
        self.write("readme.txt", b"hello")
        place.put(at(5))
        assert [one for _, one in place.found()] == [at(5)]


class TestFolder(CheckpointPlaceContract):
    @pytest.fixture
    def place(self, tmp_path):
        self.folder = tmp_path / "kept"
        return CheckpointFiles(str(self.folder), dict)

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def test_a_folder_that_cannot_be_written_says_so(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(EvergreenError, match="file"):
            CheckpointFiles(str(tmp_path / "file" / "kept"), dict).put(ONE)

    def test_a_file_saved_from_a_mail_is_read_line_by_line(self, tmp_path):
        path = tmp_path / "mail.txt"
        path.write_text(f"{at(5).text()}\n\n{at(9).text()}\n")
        place = CheckpointFiles(str(path), dict)
        assert place.newest() == at(9)
        path.write_text("Dear auditor,\n")
        assert [one for _, one in place.found()] == [None]
        path.write_text("")
        assert [one for _, one in place.found()] == [None]

    def test_a_loop_a_pipe_and_a_name_too_long_do_not_silence_the_place_or_hold_it_up(self, place):
        place.put(at(5))
        (self.folder / "999999").symlink_to("999999")
        (self.folder / "999998").symlink_to("9" * 250 + "/" + "9" * 300)
        pipe = self.folder / "999997" / "0000000000000" / "0000000000000001.json"
        pipe.parent.mkdir(parents=True)
        os.mkfifo(pipe)
        assert place.newest() == at(5)
        assert [one for _, one in place.found()] == [None, at(5)]

    def test_a_disk_that_fails_is_not_an_empty_place(self, place, monkeypatch):
        place.put(at(5))

        def broken(*_):
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", broken)
            with pytest.raises(StoreUnavailable):
                place.newest()

    def test_no_half_file_is_left(self, place):
        place.put(ONE)
        files = [path for path in Path(self.folder).rglob("*") if path.is_file()]
        assert [path.read_text() for path in files] == [f"{ONE.text()}\n"]


class TestS3(CheckpointPlaceContract):
    @pytest.fixture
    def place(self, s3_bucket):
        self.bucket = s3_bucket
        return CheckpointFiles(f"{s3_bucket.url}/ledger", lambda: s3_bucket.options)

    def write(self, name, content):
        self.bucket.client.put_object(Bucket=self.bucket.name, Key=f"ledger/{name}", Body=content)

    def test_a_bucket_that_is_not_there_is_not_an_empty_place(self, s3_bucket):
        place = CheckpointFiles("s3://evergreen-nobody-made-this/ledger", lambda: s3_bucket.options)
        with pytest.raises(EvergreenError, match="no such bucket"):
            place.newest()
        with pytest.raises(EvergreenError, match="no such bucket"):
            place.put(ONE)
