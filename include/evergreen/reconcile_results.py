"""What a look over ledger and world found that is not as it should be, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

WAKE_AFTER = timedelta(minutes=10)
"""How long a request may wait for the run that its event was to start."""

FindingKind = Literal[
    "unfinished_release",
    "astray_target",
    "astray_champion",
    "lost_version",
    "unknown_champion",
    "overdue_question",
    "abandoned_run",
    "unended_request",
    "unserved_request",
    "stuck_request",
    "cut_off",
    "over",
    "unmended",
    "not_looked_at",
]
"""What can be found.

    unfinished_release  a release was decided, and the run that was to carry it out is gone
    astray_target       the release target serves another version than the champion
    astray_champion     the registry's alias is not on the champion
    lost_version        the registry does not hold a version that is to serve
    unknown_champion    the registry has a champion of a model that never had a release
    overdue_question    a question to people whose time is over, and that its run does not close
    abandoned_run       a run that began, is at work no more, and did not say what it came to
    unended_request     a request whose run ended and did not close it
    unserved_request    a request that waits, and that no run serves
    stuck_request       a request that is older than any should become
    cut_off             what an earlier pass began and did not write down as done
    over                what people were told and that is so no more
    unmended            what could not be mended or looked at, and will not be by trying again
    not_looked_at       a model, or a part of it, that could not be looked at now
"""
Became = Literal["found", "mended", "told", "left"]
"""What became of a finding: only found (a dry run), mended, told to people, or left for later."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, and what is done about it.

    `refers_to` names it within the model and kind (a run key, a request's key, …); together they are the
    key under which the ledger remembers it. `mends` says whether `does` is Evergreen's to do or a
    person's. `command` undoes it, or goes on with it.
    """

    model: str
    kind: FindingKind
    refers_to: str
    words: str
    does: str
    mends: bool = True
    command: str | None = None

    @property
    def run_key(self) -> str:
        """The key under which the ledger remembers it, as if it were a run."""
        return f"{self.model}/reconcile/{self.kind}/{self.refers_to}"


@dataclass(frozen=True, slots=True)
class Dealt:
    """A finding and what became of it; `why` says why it was left, `passes` whether that may pass."""

    finding: Finding
    became: Became
    why: str | None = None
    passes: bool = False


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What one pass over so many models found and did."""

    models: int
    dealt: tuple[Dealt, ...] = ()

    @property
    def left(self) -> tuple[Dealt, ...]:
        """What is not mended."""
        return tuple(one for one in self.dealt if one.became != "mended")
