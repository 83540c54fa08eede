"""Stored files are what was recorded, and are there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path

import pytest

from evergreen.artefacts import (
    describe,
    describe_folder,
    folder_digest,
    verify,
    verify_file,
    write_atomically,
    write_once,
)
from evergreen.errors import ArtefactDamaged
from evergreen.results import Artefact


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "sub" / "b").write_bytes(b"two")
    return tmp_path


def test_a_file_is_described_by_name_digest_and_size(folder):
    assert describe(folder / "a") == Artefact("a", hashlib.sha256(b"one").hexdigest(), 3)
    assert [artefact.name for artefact in describe_folder(folder)] == ["a", "sub/b"]


def test_a_folders_digest_does_not_depend_on_order_but_on_names_and_content(folder):
    artefacts = describe_folder(folder)
    assert folder_digest(artefacts) == folder_digest(reversed(artefacts))
    (folder / "a").rename(folder / "c")
    assert folder_digest(describe_folder(folder)) != folder_digest(artefacts)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "a").unlink(), "missing file 'a'"),
        (lambda folder: (folder / "c").write_bytes(b""), "unknown file 'c'"),
        (lambda folder: (folder / "sub" / "b").write_bytes(b"twO"), "altered file 'sub/b'"),
    ],
)
def test_a_missing_added_or_altered_file_is_named(folder, change, said):
    artefacts = describe_folder(folder)
    verify(folder, artefacts)
    change(folder)
    with pytest.raises(ArtefactDamaged, match=said):
        verify(folder, artefacts)


def test_an_open_file_is_verified_and_left_at_its_beginning(folder):
    with (folder / "a").open("rb") as file:
        verify_file(file, describe(folder / "a"), "here")
        assert file.read() == b"one"
    with pytest.raises(ArtefactDamaged, match=r"here.*altered file 'a'"):
        verify_file(io.BytesIO(b"onE"), describe(folder / "a"), "here")


def test_a_written_file_is_readable_as_the_umask_says_and_nothing_else_is_left(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "new" / "file", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "file").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evergreen.artefacts.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "unknown", [None, errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK], ids=str
)
def test_a_file_is_written_once_also_where_links_are_not_known(tmp_path, monkeypatch, unknown):
    def refused(*_):
        raise OSError(unknown, os.strerror(unknown))

    if unknown is not None:
        monkeypatch.setattr(Path, "hardlink_to", refused)
    path = tmp_path / "new" / "file"
    assert write_once(path, b"first")
    assert not write_once(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]


def test_a_link_that_fails_otherwise_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "hardlink_to", full)
    with pytest.raises(OSError, match="No space"):
        write_once(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []
