"""What must hold whatever happened: a small model of the protocol, written without Evergreen's code.

It reads the ledger's entries in the order in which they were written, keeps what follows from them in
plain values, and says at the first entry, lease or state of the world that may not be, what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from evergreen.ports import Entry, Lease
from tests.fakes.deployer import FakeDeployer
from tests.fakes.registry import FakeRegistry


class Violation(AssertionError):
    """Something happened that must never happen."""


@dataclass
class Asked:
    """A retrain request: who took it last, and how it ended."""

    as_of: datetime
    taken_by: str | None = None
    ended_by: str | None = None
    outcome: str | None = None


@dataclass
class Run:
    """What is known of a run."""

    as_of: datetime | None = None
    wish: str = "auto"
    approval: bool = False
    rejected: bool = False
    promote: bool = False
    compared_with: int | None = None
    comparison: str = ""
    question: Mapping[str, Any] | None = None
    answer: str | None = None
    intended: bool = False
    released: bool = False
    outcome: str | None = None


@dataclass
class Believed:
    """What is known of a model. `champions` are (version, candidate) of all releases, in order."""

    requests: dict[str, Asked] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    pinned: bool = False
    paused: bool = False
    champion_seq: int | None = None
    champion: Mapping[str, Any] | None = None
    intent: Mapping[str, Any] | None = None
    champions: list[tuple[int, str]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    fence: int = 0

    @property
    def version(self) -> int | None:
        """The champion's number."""
        return None if self.champion is None else self.champion["version"]["number"]


class Rules:
    """Follows one ledger and the world beside it."""

    def __init__(self, registry: FakeRegistry, deployer: FakeDeployer) -> None:
        self.models: dict[str, Believed] = {}
        self.counts: dict[str, int] = {}
        self._registry, self._deployer = registry, deployer
        self._epochs: dict[tuple[str, str], int] = {}
        self._seq, self._hash = 0, "0" * 64

    @property
    def seq(self) -> int:
        """The entry that was read last."""
        return self._seq

    def of(self, model: str) -> Believed:
        """Return what is known of a model."""
        return self.models.setdefault(model, Believed())

    def leased(self, lease: Lease) -> None:
        """A lease was taken: its epoch is above all earlier ones."""
        key = lease.model, lease.duty
        if lease.epoch <= self._epochs.get(key, 0):
            raise Violation(f"{key}: epoch {lease.epoch} after {self._epochs[key]}")
        self._epochs[key] = lease.epoch

    def read(self, entry: Entry) -> None:
        """Take the next entry in."""
        if (entry.seq, entry.previous_hash) != (self._seq + 1, self._hash):
            raise Violation(f"entry {entry.seq} does not follow entry {self._seq}")
        self._seq, self._hash = entry.seq, entry.hash
        self.counts[entry.kind] = self.counts.get(entry.kind, 0) + 1
        rule = getattr(self, f"_{entry.kind}", None)
        if rule is not None:
            run_key = entry.key.partition("/")[2]
            rule(self.of(entry.model), run_key, entry.body, entry)

    def look_at(self, model: str) -> None:
        """Hold the world against what the ledger decided on last."""
        known = self.of(model)
        alias = self._registry.aliases.get(model, {}).get("champion")
        pointer = self._deployer.pointers.get(model)
        served = None if pointer is None else pointer.version
        allowed = {known.version}
        if known.intent is not None:
            allowed.add(known.intent["version"]["number"])
        if alias not in allowed or served not in allowed:
            raise Violation(f"{model}: alias at {alias}, served is {served}, the ledger has {allowed}")
        fence = self._deployer.fences.get(model, 0)
        if fence < known.fence:
            raise Violation(f"{model}: the fence fell from {known.fence} to {fence}")
        known.fence = fence

    def at_rest(self, model: str) -> None:
        """After all that could be done was done, nothing is left half done."""
        known = self.of(model)
        if known.intent is not None:
            raise Violation(f"{model}: a release was intended and never done")
        left = [key for key, one in known.requests.items() if one.outcome is None]
        if left:
            raise Violation(f"{model}: nobody ended {left}")
        keys = [version.candidate_key for version in self._registry.versions.get(model, [])]
        if len(keys) != len(set(keys)):
            raise Violation(f"{model}: a candidate has two versions")

    def _run(self, known: Believed, run_key: str) -> Run:
        return known.runs.setdefault(run_key, Run())

    def _run_started(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        run = self._run(known, run_key)
        if run.as_of is not None:
            raise Violation(f"{run_key} began twice")
        spec = body["model"]["spec"]
        run.as_of, run.wish = _instant(body["windows"]["as_of"]), body["release"]
        run.approval = spec["release"]["approval"] is not None or spec["tier"] == "high"

    def _validation(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        self._run(known, run_key).rejected = not body["passed"]

    def _comparison(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        run = self._run(known, run_key)
        if run.intended:
            raise Violation(f"{run_key} compares again what it is releasing")
        run.promote, run.compared_with = body["promote"], body["champion_seq"]
        run.comparison = entry.hash

    def _approval_asked(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        run = self._run(known, run_key)
        run.question, run.answer = body, None

    def _approval_answered(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        run = self._run(known, run_key)
        if run.question is None or run.answer is not None:
            raise Violation(f"{run_key}: an answer without a question, or a second one")
        late = entry.at >= _instant(run.question["deadline"])
        run.answer = body["answer"]
        if run.answer == "timeout" and run.question["on_timeout"] == "release":
            run.answer = "approve"
        elif (
            run.answer == "approve"
            and late
            and _instant(body["at"]) >= _instant(run.question["deadline"])
        ):
            raise Violation(f"{run_key}: approved after the deadline")

    def _hand(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        match body["action"], body["only"]:
            case "pin", _:
                known.pinned = True
            case "unpin", _:
                known.pinned = False
            case "pause", None | "retrain":
                known.paused = True
            case "resume", None | "retrain":
                known.paused = False

    def _retrain_requested(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        if body["key"] in known.requests:
            raise Violation(f"{body['key']} was asked twice")
        known.requests[body["key"]] = Asked(_instant(body["as_of"]))

    def _request_taken(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        asked, taker = known.requests[body["key"]], body["run_key"]
        if asked.outcome is not None:
            raise Violation(f"{taker} takes {body['key']}, which {asked.ended_by} ended")
        if asked.taken_by not in (None, taker):
            earlier = self._run(known, str(asked.taken_by))
            if earlier.released or earlier.outcome in {"promoted", "kept", "registered", "rejected"}:
                raise Violation(f"{taker} serves {body['key']} again, after {asked.taken_by} did")
            question = earlier.question
            open_still = question and earlier.answer is None and earlier.outcome is None
            if open_still and entry.at < _instant(question["deadline"]):
                raise Violation(f"{taker} takes {body['key']} from {asked.taken_by}, which waits")
        asked.taken_by = taker

    def _request_closed(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        asked, by = known.requests[body["key"]], body["run_key"]
        if asked.ended_by not in (None, by):
            raise Violation(f"{body['key']} is ended by {by} after {asked.ended_by} ended it")
        served = known.requests[body["superseded_by"] or body["key"]]
        if served.taken_by != by or served.as_of < asked.as_of:
            raise Violation(f"{by} ends {body['key']}, which it does not serve")
        if (body["outcome"] == "promoted") != self._run(known, by).released:
            raise Violation(f"{body['key']} ended as {body['outcome']} by {by}: that is not so")
        asked.ended_by, asked.outcome = by, body["outcome"]

    def _release_intended(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        if known.intent is not None:
            raise Violation(f"{run_key} intends a release while {known.intent['run_key']}'s is not done")
        if known.champion and _instant(body["as_of"]) < _instant(known.champion["as_of"]):
            raise Violation(f"{run_key} replaces a champion of a later as-of")
        if body["previous"] != known.version:
            raise Violation(f"{run_key} believes the champion to be {body['previous']}")
        known.intent = body
        if body["restored"] is None:
            self._may_release(known, run_key, body)
        elif body["version"]["number"] not in [number for number, _ in known.champions]:
            raise Violation(f"{run_key} rolls back to a version that never was champion")

    def _may_release(self, known: Believed, run_key: str, body: Any) -> None:
        run = self._run(known, run_key)
        run.intended = True
        wrong = {
            "the model is pinned": known.pinned,
            "the model is paused": known.paused,
            "nothing was to be released": run.wish == "never",
            "its data was rejected": run.rejected,
            "it has not won": not run.promote,
            "it was compared with another champion": run.compared_with != known.champion_seq,
            "nobody approved": run.approval and run.answer != "approve",
            "the approval is of another comparison": run.approval
            and (run.question or {}).get("comparison") != run.comparison,
            "a person rolled this back": body["candidate"]["key"] in known.gone,
        }
        found = [what for what, is_so in wrong.items() if is_so]
        if found:
            raise Violation(f"{run_key} releases, though {', '.join(found)}")

    def _release(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        if known.intent is None or known.intent != body:
            raise Violation(f"{run_key} released what nobody intended")
        if body["restored"] is not None and known.champion is not None:
            known.gone.add(known.champion["candidate"]["key"])
        known.gone.discard(body["candidate"]["key"])
        known.intent, known.champion, known.champion_seq = None, body, entry.seq
        known.champions.append((body["version"]["number"], body["candidate"]["key"]))
        self._run(known, run_key).released = True

    def _run_finished(self, known: Believed, run_key: str, body: Any, entry: Entry) -> None:
        run = self._run(known, run_key)
        run.outcome = body["outcome"]
        if (run.outcome == "promoted") != run.released:
            raise Violation(f"{run_key} says {run.outcome}, released is {run.released}")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
