"""What the ledger knows about the run of an entry: its pinned model file, and what it compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from evergreen.alert_spec import Channel
from evergreen.alerts.context import Context
from evergreen.entry_keys import entry_key, run_key_of
from evergreen.ports import Entry, Ledger

BEGINNINGS = ("run_started", "check_started")
"""The entries that pin a model file."""


class Known:
    """Looks things up once for a batch of entries."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._pinned: dict[str, Mapping[str, Any] | None] = {}
        self._newest: dict[str, Mapping[str, Any] | None] = {}

    def context(self, entry: Entry) -> Context:
        """Return what is known beside an entry."""
        run_key = run_of(entry)
        begun = self._begun(run_key)
        spec = _spec(begun) or _spec(self._last(entry.model)) or {}
        comparison = self._comparison(run_key) if entry.kind == "run_finished" else {}
        begun = begun or {}
        as_of = begun.get("as_of") or begun.get("windows", {}).get("as_of")
        return Context(
            owner=spec.get("owner"),
            tier=spec.get("tier", "medium"),
            triggered_by=begun.get("triggered_by"),
            as_of=datetime.fromisoformat(as_of) if as_of else None,
            undecided=comparison.get("decision") == "inconclusive",
            quoting=tuple(_quoted(comparison.get("evidence", {}))),
        )

    def channels(self, entry: Entry) -> Sequence[Channel] | None:
        """Return the channels of the model file that the entry's run pinned, else of the newest one.

        None where that names none.
        """
        spec = _spec(self._begun(run_of(entry))) or _spec(self._last(entry.model))
        named = None if spec is None else spec.get("alerts")
        return None if named is None else _channels().validate_python(named)

    def _begun(self, run_key: str) -> Mapping[str, Any] | None:
        """Return the body of the entry with which a run began."""
        if run_key not in self._pinned:
            found = (self._ledger.find(entry_key(kind, run_key)) for kind in BEGINNINGS)
            self._pinned[run_key] = next((one.body for one in found if one is not None), None)
        return self._pinned[run_key]

    def _last(self, model: str) -> Mapping[str, Any] | None:
        """Return the body of the newest entry that pinned a file of the model."""
        if model not in self._newest:
            found = [self._ledger.last(model, kind) for kind in BEGINNINGS]
            newest = max((one for one in found if one), key=lambda one: one.seq, default=None)
            self._newest[model] = None if newest is None else newest.body
        return self._newest[model]

    def _comparison(self, run_key: str) -> Mapping[str, Any]:
        """Return the body of the run's newest comparison."""
        body: Mapping[str, Any] = {}
        number = 1
        while found := self._ledger.find(entry_key("comparison", run_key, number)):
            body, number = found.body, number + 1
        return body


def run_of(entry: Entry) -> str:
    """Return the key of the run that an entry is of; a notice names it itself."""
    if entry.kind == "event":
        return str(entry.body.get("run_key") or "")
    return run_key_of(entry.key)


def _spec(begun: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if begun is None else begun["model"]["spec"]


def _quoted(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the column and value of each slice and each group of a comparison."""
    slices = [(one["column"], one["value"]) for one in evidence.get("slices", ())]
    groups = [
        (gap["column"], name)
        for gap in evidence.get("gaps", ())
        for name in (*(group["name"] for group in gap["groups"]), *gap["small"])
    ]
    return [*slices, *groups]


@cache
def _channels() -> TypeAdapter[list[Channel]]:
    return TypeAdapter(list[Channel])
