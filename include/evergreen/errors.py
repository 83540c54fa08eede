"""Every error Evergreen raises on purpose.

    EvergreenError
    ├── InvalidModelFile     a model file says something it may not say (all problems at once)
    ├── BadConfiguration     the environment lacks something: a setting, an extra
    │   └── NoConnection     nothing bears the id of a connection here; elsewhere something may
    ├── DataUnusable         the data was read and cannot be trained on; reading again gives the same
    ├── SourceUnavailable    a source did not answer; it may later                        (retryable)
    ├── TrainingFailed       the estimator refused its parameters or its data
    ├── ArtefactDamaged      bytes on disk are not the bytes the ledger recorded
    ├── ModelRefused         a model artefact may not be loaded: unknown digest, flavour or type
    ├── ScoringInterrupted   the process that runs a model was killed or took too long    (retryable)
    ├── RegistryDisagrees    the registry's alias is not where the ledger has the champion
    ├── NotAllowed           what a person asks of a model cannot be: no such version, no champion
    ├── Paused               a person paused the model: nothing is begun until they resume it (retryable)
    ├── ApprovalMissing      a release needs a person's word that the ledger does not have
    ├── AnswerRefused        an answer to a question does not count: too late, the wrong person, …
    ├── StoreUnavailable     a snapshot store, registry or target did not take a write    (retryable)
    └── LedgerError
        ├── LedgerUnavailable  the ledger's database did not answer                       (retryable)
        ├── LeaseHeld          another run holds the model's lease                        (retryable)
        ├── LeaseLost          this run's lease was taken over: whatever it does is stale
        ├── KeyConflict        the same idempotency key came with another body
        ├── ChampionMoved      the champion is not the one the comparison was made against
        ├── HandMoved          a person pinned, paused or rolled back the model since this was decided
        ├── LedgerBehind       the ledger is not the one that its newest checkpoint was made of
        └── ChainBroken        the hash chain does not verify

A message says what happened, where, the value got, what is allowed and what to do, each bounded in
size. "No" from a gate is a value (`Comparison.promote`), never one of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

_LONGEST_PART = 500


def bounded(value: object, longest: int = _LONGEST_PART) -> str:
    """Return `value` as one line of at most `longest` characters."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


class EvergreenError(Exception):
    """Base of all errors; `retryable` says whether the same call may succeed later."""

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        got: object | None = None,
        allowed: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.got = got
        self.allowed = allowed
        self.fix = fix
        super().__init__(self._render())

    def _render(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.got is not None:
            parts.append(f"got {bounded(self.got)}")
        if self.allowed:
            parts.append(f"allowed: {bounded(self.allowed)}")
        if self.fix:
            parts.append(self.fix)
        return "; ".join(parts)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with one place of one model file. `line` and `column` count from 1."""

    path: str
    line: int
    column: int
    key: str
    what: str
    got: str | None = None
    allowed: str | None = None
    fix: str | None = None

    def __str__(self) -> str:
        parts = [f"{self.key}: {self.what}" if self.key else self.what]
        if self.got is not None:
            parts.append(f"got {bounded(self.got)}")
        if self.allowed:
            parts.append(f"allowed: {bounded(self.allowed)}")
        if self.fix:
            parts.append(bounded(self.fix))
        return f"{self.path}:{self.line}:{self.column}: {'; '.join(parts)}"


def in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems sorted by file and place, each once."""
    return tuple(sorted(set(problems), key=lambda p: (p.path, p.line, p.column, p.key, str(p))))


class InvalidModelFile(EvergreenError):
    """A model file says something it may not say. Carries every problem found, in file order."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = in_file_order(problems)
        super().__init__("\n".join(map(str, self.problems)))


class BadConfiguration(EvergreenError):
    """The environment lacks something the model file relies on."""


class NoConnection(BadConfiguration):
    """Nothing bears the id of a connection where it was looked for."""


class DataUnusable(EvergreenError):
    """The data was read and cannot be used as it is."""


class SourceUnavailable(EvergreenError):
    """A source did not answer; a later try may succeed."""

    retryable = True


class TrainingFailed(EvergreenError):
    """The estimator refused its parameters or its data."""


class ArtefactDamaged(EvergreenError):
    """Stored bytes differ from what the ledger recorded."""


class ModelRefused(EvergreenError):
    """A model artefact is not one Evergreen may load."""


class ScoringInterrupted(EvergreenError):
    """The process that runs a model was killed from outside or took too long."""

    retryable = True


class RegistryDisagrees(EvergreenError):
    """The registry's alias is not where the ledger has the champion; a person decides."""


class ApprovalMissing(EvergreenError):
    """A release needs a person's word, and the ledger has none for this very evidence."""


class AnswerRefused(EvergreenError):
    """A person's answer does not count; nothing was written."""


class NotAllowed(EvergreenError):
    """What a person asks of a model cannot be; nothing was changed."""


class Paused(EvergreenError):
    """A person paused the model, or this duty of it: nothing is begun until somebody resumes it."""

    retryable = True


class StoreUnavailable(EvergreenError):
    """A store, registry or release target did not take a write; a later try may succeed."""

    retryable = True


class SchedulerUnavailable(EvergreenError):
    """The scheduler did not say what it was asked."""

    retryable = True


class LedgerError(EvergreenError):
    """Base of what the ledger refuses."""


class LedgerUnavailable(LedgerError):
    """The ledger's database did not answer."""

    retryable = True


class LeaseHeld(LedgerError):
    """Another run holds the model's lease."""

    retryable = True


class LeaseLost(LedgerError):
    """The lease has a newer epoch: another process took over, so this one must not write."""


class KeyConflict(LedgerError):
    """The same idempotency key was used for another body."""


class ChampionMoved(LedgerError):
    """The champion changed since the comparison was made."""


class HandMoved(LedgerError):
    """A person decided something about the model since this was decided."""


class LedgerBehind(LedgerError):
    """The ledger lacks what a checkpoint saw in it, or has something else in its place."""


class ChainBroken(LedgerError):
    """The ledger's hash chain does not verify."""
