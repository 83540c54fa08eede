"""What a run has written down: every step finds its inputs and its own earlier result here.

Keys are those of `entry_keys.py`; a kind that a run may write more than once counts on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from types import EllipsisType
from typing import TypeVar

from evergreen.entry_keys import entry_key
from evergreen.errors import EvergreenError, LedgerError
from evergreen.ports import Duty, Entry, Lease
from evergreen.redaction import redact
from evergreen.results import Retrain, StepFailure, from_json, to_json
from evergreen.workspace import Workspace

_T = TypeVar("_T")


def model_of(run_key: str) -> str:
    """Return the model that a run key (`MODEL/RUN`) belongs to."""
    return run_key.partition("/")[0]


def recall(workspace: Workspace, kind: str, run_key: str, result: type[_T]) -> _T | None:
    """Return the run's newest result of a kind, or None where it has none yet."""
    entry = last_entry(workspace, kind, run_key)
    return None if entry is None else from_json(result, entry.body)


def need(workspace: Workspace, kind: str, run_key: str, result: type[_T]) -> _T:
    """Return the run's newest result of a kind.

    Raises:
        LedgerError: an earlier step has not finished.
    """
    found = recall(workspace, kind, run_key, result)
    if found is None:
        raise LedgerError(
            f"the run has no {kind} yet",
            where=f"run {run_key}",
            fix="run the earlier steps of this run first; clearing its first failed task does so",
        )
    return found


def retrain_of(workspace: Workspace, run_key: str) -> Retrain:
    """Return what the run was started with; its model file is pinned in there."""
    return need(workspace, "run_started", run_key, Retrain)


def last_entry(workspace: Workspace, kind: str, run_key: str) -> Entry | None:
    """Return the run's newest entry of a kind."""
    newest = None
    for key in _keys(kind, run_key):
        entry = workspace.ledger.find(key)
        if entry is None:
            return newest
        newest = entry
    raise AssertionError("the keys never end")


def failures_that_may_pass(workspace: Workspace, run_key: str, step: str, since: datetime | None) -> int:
    """Return how many tries of a step have failed since then by an error that may pass.

    Those that `holding` wrote down: a try that never held the lease is not among them.
    """
    found = (workspace.ledger.find(key) for key in _keys("step_failed", run_key))
    noted = itertools.takewhile(lambda entry: entry is not None, found)
    failed = [
        from_json(StepFailure, entry.body)
        for entry in noted
        if entry is not None and (since is None or entry.at >= since)
    ]
    return sum(failure.step == step and failure.retryable for failure in failed)


def record(
    workspace: Workspace,
    kind: str,
    run_key: str,
    result: object,
    lease: Lease,
    *,
    expected_release: int | EllipsisType | None = ...,
    expected_hand: int | EllipsisType | None = ...,
) -> Entry:
    """Write the run's one result of a kind; what is expected is as in `Ledger.append`."""
    return workspace.ledger.append(
        kind,
        entry_key(kind, run_key),
        to_json(result),
        lease,
        expected_release=expected_release,
        expected_hand=expected_hand,
    )


def record_next(workspace: Workspace, kind: str, run_key: str, result: object, lease: Lease) -> Entry:
    """Write a further result of a kind that a run may have several of."""
    free = next(key for key in _keys(kind, run_key) if workspace.ledger.find(key) is None)
    return workspace.ledger.append(kind, free, to_json(result), lease)


@contextmanager
def holding(workspace: Workspace, run_key: str, step: str, duty: Duty = "retrain") -> Iterator[Lease]:
    """Hold the model's lease for this run and keep it while the block runs.

    The run keeps the lease between its steps; `report` gives it back. Taking it again, as a retried
    step does, fences off the earlier try. What fails inside is written down for `report` and
    `history`, under this very lease: a process whose lease was taken over writes nothing.
    """
    lease = workspace.ledger.acquire(model_of(run_key), run_key, duty)
    with workspace.ledger.keep(lease):
        try:
            yield lease
        except EvergreenError as exc:
            with suppress(LedgerError):
                _note_failure(workspace, run_key, step, exc, lease)
            raise


def _note_failure(
    workspace: Workspace, run_key: str, step: str, exc: EvergreenError, lease: Lease
) -> None:
    failure = StepFailure(step, type(exc).__name__, redact(str(exc))[:2000], exc.retryable)
    record_next(workspace, "step_failed", run_key, failure, lease)


def _keys(kind: str, run_key: str) -> Iterator[str]:
    return (entry_key(kind, run_key, number) for number in itertools.count(1))
