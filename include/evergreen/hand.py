"""What people decided over the heads of the runs: single deeds, and what stands of them.

Pure: the last deed of its kind wins. `hand_questions.py` reads the deeds from a ledger.

    pin       from then on no retrain releases anything; a rollback still does, and the pin goes with it
    pause     from then on no run of these duties begins; one that has begun goes on but releases nothing
    rollback  an earlier champion is champion again
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, get_args

from evergreen.text import plain

HandAction = Literal["rollback", "pin", "unpin", "pause", "resume"]
Pausable = Literal["retrain", "score", "monitor"]
"""What can be paused: one of a model's DAGs."""
PAUSABLE: tuple[Pausable, ...] = get_args(Pausable)
LONGEST_WHY = 500


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that a person did. `why` is one line, as they wrote it.

    `version` is the one that serves after it (pin, rollback), `previous` the one that a rollback took
    out of service, `only` the one duty that is paused or resumed; None: all.
    """

    action: HandAction
    who: str
    why: str
    version: int | None = None
    only: Pausable | None = None
    previous: int | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """How a release came about that a person made, and whose work the version is.

    `run_key` and `as_of` are those of the run that made and first released the version.
    """

    deed: Deed
    run_key: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Said:
    """Who decided what stands, why, and since when."""

    who: str
    why: str
    since: datetime

    def __str__(self) -> str:
        return f"by {plain(self.who, 100)} since {self.since:%Y-%m-%d %H:%M} UTC: {plain(self.why, 300)}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What people decided for a model and did not take back.

    `version` is the champion that the pin is on, None where there is no pin. `seq` is the newest entry
    of a deed, None where there is none.
    """

    pinned: Said | None = None
    version: int | None = None
    paused: Mapping[Pausable, Said] = field(default_factory=dict)
    seq: int | None = None

    @property
    def withheld(self) -> str | None:
        """Why no retrain may release anything, or None where one may."""
        if self.pinned is not None:
            return f"version {self.version} is pinned {self.pinned}"
        paused = self.paused.get("retrain")
        return None if paused is None else f"the model is paused {paused}"

    def lines(self) -> tuple[str, ...]:
        """Return what stands, a sentence each; none where nothing does."""
        found = [] if self.pinned is None else [f"pinned on version {self.version} {self.pinned}"]
        by_word: dict[Said, list[str]] = {}
        for duty, said in self.paused.items():
            by_word.setdefault(said, []).append(duty)
        for said, duties in by_word.items():
            what = "" if len(duties) == len(PAUSABLE) else f" ({', '.join(duties)})"
            found.append(f"paused{what} {said}")
        return tuple(found)

    def after(self, deed: Deed, at: datetime, seq: int) -> Standing:
        """Return what stands once a deed was done."""
        said, now = Said(deed.who, deed.why, at), replace(self, seq=seq)
        duties = PAUSABLE if deed.only is None else (deed.only,)
        match deed.action:
            case "pin":
                return replace(now, pinned=said, version=deed.version)
            case "unpin":
                return replace(now, pinned=None, version=None)
            case "rollback":
                return now if self.pinned is None else replace(now, version=deed.version)
            case "pause":
                return replace(now, paused={**self.paused, **dict.fromkeys(duties, said)})
            case "resume":
                left = {duty: one for duty, one in self.paused.items() if duty not in duties}
                return replace(now, paused=left)


def standing_after(deeds: Iterable[tuple[int, datetime, Deed]]) -> Standing:
    """Return what stands of a model's deeds, given with their entries' `seq` and time, in order."""
    standing = Standing()
    for seq, at, deed in deeds:
        standing = standing.after(deed, at, seq)
    return standing
