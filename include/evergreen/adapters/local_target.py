"""A release target on this machine: one pointer file per model, which a scorer reads.

A reader sees the old pointer or the new one, never a part: the file is replaced by a rename.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from evergreen.artefacts import write_atomically
from evergreen.errors import ArtefactDamaged, BadConfiguration, LeaseLost, StoreUnavailable, bounded
from evergreen.file_lock import locked
from evergreen.metric_spec import Task
from evergreen.names import NAME_RULE, name_problem
from evergreen.paths import contained
from evergreen.ports import Pointer
from evergreen.results import ColumnType, ModelArtefact, Release, from_json, to_json


@dataclass(frozen=True, slots=True)
class PointerFile:
    """What a pointer file says: which model to load and what it takes and answers.

    `features` are the columns a scorer must give, `classes` the labels of the probabilities in order
    (empty for regression). `fence` is the ledger entry that the release was decided by.
    """

    schema_version: Literal[1]
    name: str
    version: int
    model: ModelArtefact
    features: tuple[ColumnType, ...]
    classes: tuple[str, ...]
    task: Task
    as_of: datetime
    run_key: str
    fence: int


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """Serves versions by `FOLDER/NAME.json`."""

    folder: Path

    def deploy(self, release: Release, fence: int) -> None:
        """Point the model's file at the release's version. Safe to repeat.

        A pointer that cannot be read is written anew.

        Raises:
            BadConfiguration: a name that no model may have.
            ArtefactDamaged: the pointer is a link that leads out of the folder.
            LeaseLost: the pointer is of a later release.
            StoreUnavailable: the disk is full or refuses writes; the old pointer stands.
        """
        path = self._path(release.name)
        pointer = PointerFile(
            schema_version=1,
            name=release.name,
            version=release.version.number,
            model=release.version.model,
            features=release.candidate.features,
            classes=release.candidate.classes,
            task=release.candidate.task,
            as_of=release.as_of,
            run_key=release.run_key,
            fence=fence,
        )
        text = json.dumps(to_json(pointer), indent=2, sort_keys=True, ensure_ascii=False)
        content = f"{text}\n".encode()
        try:
            with locked(self.folder / f".{release.name}.lock"):
                self._check_fence(path, release.name, fence)
                if not path.is_file() or path.read_bytes() != content:
                    write_atomically(path, content)
        except OSError as exc:
            raise StoreUnavailable(
                f"the release's pointer could not be written: {bounded(str(exc))}",
                where=str(path),
                fix="free space or restore access; what was served before still is",
            ) from exc

    def serving(self, name: str) -> Pointer | None:
        """Return what the model's pointer file names, or None where there is none.

        Raises:
            BadConfiguration: a name that no model may have.
            ArtefactDamaged: the file is not a pointer of this model.
            StoreUnavailable: the file could not be read.
        """
        path = self._path(name)
        try:
            pointer = self._read(path, name)
        except OSError as exc:
            raise StoreUnavailable(
                f"the release's pointer could not be read: {bounded(str(exc))}",
                where=str(path),
                fix="restore access to the file",
            ) from exc
        if pointer is None:
            return None
        return Pointer(pointer.name, pointer.version, pointer.model, pointer.fence)

    def _read(self, path: Path, name: str) -> PointerFile | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            pointer = from_json(PointerFile, json.loads(content))
        except (ValidationError, ValueError, RecursionError) as exc:
            raise _damaged(path, f"it is no pointer of this format: {bounded(str(exc), 200)}") from exc
        if pointer.name != name:
            raise _damaged(path, f"it names the model {pointer.name!r}")
        return pointer

    def _check_fence(self, path: Path, name: str, fence: int) -> None:
        try:
            found = self._read(path, name)
        except ArtefactDamaged:
            return
        if found is not None and found.fence > fence:
            raise LeaseLost(
                "the target serves a later release; nothing was changed",
                where=str(path),
                got=f"ledger entry {fence}",
                allowed=f"at least ledger entry {found.fence}",
                fix="let the later release stand",
            )

    def _path(self, name: str) -> Path:
        if name_problem(name):
            raise BadConfiguration(
                "no model may have this name", where=str(self.folder), got=name, allowed=NAME_RULE
            )
        try:
            return contained(self.folder, f"{name}.json")
        except ValueError as exc:
            raise _damaged(self.folder / f"{name}.json", str(exc)) from exc


def _damaged(path: Path, what: str) -> ArtefactDamaged:
    return ArtefactDamaged(
        f"the release's pointer is damaged: {bounded(what)}",
        where=str(path),
        fix="release again: that writes the pointer anew",
    )
