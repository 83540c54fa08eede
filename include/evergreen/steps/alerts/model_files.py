"""Tells the owner of a model file that it cannot be used, and that it can be used again.

What was told last stands in the ledger, so a file is told of once however often it is looked at, and
two processes that look at once write one entry.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evergreen.alert_spec import Channel
from evergreen.alerts.channels import canonical
from evergreen.alerts.event import Notice
from evergreen.canonical import digest_of
from evergreen.document import read_document
from evergreen.errors import InvalidModelFile
from evergreen.loading import find_model_files, load_spec
from evergreen.ports import Entry, Ledger
from evergreen.results import from_json
from evergreen.steps.alerts.notice import notice
from evergreen.text import plain

CAUSE = "file"
MOST_LINES = 10

_channels: TypeAdapter[list[Channel]] = TypeAdapter(list[Channel])


def tell_of_model_files(ledger: Ledger, folders: Sequence[Path]) -> int:
    """Write a notice for every model file that broke or was mended since the last look.

    Returns:
        How many notices were written.
    """
    told = _told(ledger)
    looked_at = {str(folder.resolve()) for folder in folders}
    found = {
        stem: _problems(list(files))
        for folder in folders
        for stem, files in groupby(find_model_files(folder), key=_called)
    }
    written = 0
    for stem in sorted({*found, *told}):
        last, count = told.get(stem, (None, 0))
        if stem not in found and last is not None and last.place not in looked_at:
            continue  # whether that file is gone, only a look at its own folder can say
        new = _news(stem, found.get(stem), last)
        if new is not None:
            notice(ledger, stem, f"model_file/{stem}/{count + 1}", new)
            written += 1
    return written


def _called(path: Path) -> str:
    """Return what a model file's model is called, as the ledger takes it whatever the file is called."""
    stem = path.stem
    if stem.isprintable():
        return stem
    return f"{plain(stem, 100)}~{hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]}"


def _told(ledger: Ledger) -> dict[str, tuple[Notice, int]]:
    """Return, by model, the last notice about its file and how many there were."""
    told: dict[str, tuple[Notice, int]] = {}
    for entry in ledger.entries(kind="event"):
        one = _about_a_file(entry)
        if one is not None:
            told[entry.model] = (one, told.get(entry.model, (one, 0))[1] + 1)
    return told


def _about_a_file(entry: Entry) -> Notice | None:
    one = from_json(Notice, entry.body)
    return one if one.cause == CAUSE or CAUSE in one.closes else None


def _news(stem: str, problems: _Broken | None, last: Notice | None) -> Notice | None:
    was_broken = last is not None and last.name == "invalid_file"
    if problems is None:
        mended = f"The model file of {stem} can be used again, or is gone."
        return Notice("recovered", "low", mended, closes=(CAUSE,)) if was_broken else None
    if was_broken and last is not None and last.signature == problems.digest:
        return None
    return problems.notice(stem)


class _Broken:
    """What is wrong with a model file, and what can still be read of whom to tell."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        self.path = path
        self.problems = [plain(problem, 300) for problem in problems]
        self.digest = digest_of(self.problems)

    def notice(self, stem: str) -> Notice:
        count = len(self.problems)
        left = count - MOST_LINES
        owner, channels = _still_readable(self.path)
        return Notice(
            "invalid_file",
            "medium",
            f"The model file {plain(self.path.name, 200)} cannot be used: {count} "
            f"{'problem' if count == 1 else 'problems'}. Until it is mended, {stem} is not retrained, "
            "scored or watched.",
            (*self.problems[:MOST_LINES], *([f"and {left} more"] if left > 0 else [])),
            cause=CAUSE,
            signature=self.digest,
            owner=owner,
            command=f"evergreen lint {shlex.quote(plain(self.path, 200))}",
            place=str(self.path.parent.resolve()),
            channels=channels,
        )


def _problems(files: list[Path]) -> _Broken | None:
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        return _Broken(files[0], [f"{len(files)} files with one name: {names}"])
    try:
        load_spec(files[0])
    except InvalidModelFile as exc:
        return _Broken(files[0], [str(problem) for problem in exc.problems])
    return None


def _still_readable(path: Path) -> tuple[str | None, tuple[str, ...] | None]:
    """Return the owner and the channels that a broken file still names, None for what it does not."""
    try:
        document = read_document(path)
    except InvalidModelFile:
        return None, None
    owner = document.find("owner", kind=str)
    named: list[Any] | None = document.find("alerts", kind=list)
    try:
        channels = None if named is None else _channels.validate_python(named)
    except ValidationError:
        channels = None
    return (
        None if owner is None else plain(owner, 200),
        None if channels is None else tuple(map(canonical, channels)),
    )
