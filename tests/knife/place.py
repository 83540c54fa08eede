"""Where a part works, and how it tells what it was told."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evergreen.ledger import open_ledger
from evergreen.ledger.store import SqlLedger

LEASE_SECONDS = 600
_append = SqlLedger.append
WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """The files under the knife lie in `home`; `told` is what a process was told, and lies elsewhere.

    `inputs` holds the model file and its rows, which nothing writes; `port` is where messages go.
    """

    home: Path
    ledger: str
    told: Path
    inputs: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {
            "EVERGREEN_HOME": str(self.home),
            "EVERGREEN_LEDGER": self.ledger,
            "EVERGREEN_LEASE_SECONDS": str(LEASE_SECONDS),
            "TMPDIR": str(self.home / "tmp"),
            "HOME": str(self.inputs),
            "TZ": "UTC",
        }

    def to_json(self) -> dict[str, Any]:
        return {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: dict[str, str]) -> Place:
        home, told, inputs = (Path(value[name]) for name in ("home", "told", "inputs"))
        return cls(home, value["ledger"], told, inputs, int(value["port"]))


def say(path: Path, value: Any) -> None:
    """Append a line to a file in one write, so that a kill leaves a whole line or none."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, json.dumps(value).encode() + b"\n")
    os.close(handle)


def said(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def telling_ledger(place: Place, wait_seconds: float = WAIT_SECONDS) -> SqlLedger:
    """Open the place's ledger; each entry that it acknowledges is said at once."""
    ledger = open_ledger(place.ledger, LEASE_SECONDS, wait_seconds=wait_seconds)
    tell_appends(place)
    return ledger


def tell_appends(place: Place) -> None:
    """Let every ledger of this process say what it acknowledged, before its caller hears of it."""

    def appended(self: SqlLedger, *arguments: Any, **options: Any) -> Any:
        entry = _append(self, *arguments, **options)
        say(place.told, {"seq": entry.seq, "key": entry.key, "hash": entry.hash})
        return entry

    SqlLedger.append = appended  # type: ignore[method-assign]
