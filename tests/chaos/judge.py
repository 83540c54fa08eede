"""Looks at what is left once the faults are over: what was lost, doubled, or is stuck.

Ledger, registry, targets, messages and Airflow are each read for themselves; none is believed about
another.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from evergreen.connections import from_environment
from evergreen.demo.airflow_api import FINISHED
from evergreen.outbox import Undelivered
from evergreen.ports import Entry, Registered
from evergreen.watch_questions import past_requests
from evergreen.wiring import open_workspace
from tests.chaos.work import all_runs
from tests.chaos.world import World

DUTIES = ("retrain", "score", "monitor")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be; `kind` is lost, doubled, stuck or wrong."""

    kind: str
    what: str


def judge(world: World, log: list[dict]) -> list[Finding]:
    """Return everything that is not as it must be."""
    runs = all_runs(world)
    with open_workspace(world.settings, from_environment) as workspace:
        ledger = workspace.ledger
        found = list(_chain(ledger))
        entries = list(ledger.entries())
        found += _runs(runs, entries, log)
        found += _requests(ledger, world.names, entries, log)
        for name in world.names:
            found += _champion(workspace, name, entries)
            for duty in DUTIES:
                if holder := ledger.holder(name, duty):
                    found.append(Finding("stuck", f"{name}: lease for {duty} is held by {holder}"))
        found += _versions(workspace.registry.registered())
        found += _undelivered(ledger.outbox.undelivered(), datetime.now(UTC))
    crashes = sum(1 for line in log if line["name"].startswith("kill_") and line["hit"])
    found += _messages(entries, world.receiver.arrived, crashes)
    return found


def _chain(ledger: object) -> Iterator[Finding]:
    audit = ledger.verify()
    if not audit.ok:
        yield Finding("wrong", f"the chain breaks at {audit.first_bad_seq}: {audit.what}")


def _runs(runs: list[dict], entries: list[Entry], log: list[dict]) -> Iterator[Finding]:
    """Every run that Airflow took is there and ended; each that the ledger saw begin is told there."""
    there = {(run["dag_id"], run["dag_run_id"]) for run in runs}
    for line in log:
        hit = line.get("hit") or {}
        if "run" in hit and (hit["dag"], hit["run"]) not in there:
            yield Finding("lost", f"run {hit['run']} of {hit['dag']}")
    finished = {entry.key.partition("/")[2] for entry in entries if entry.kind == "run_finished"}
    begun = [entry.key for entry in entries if entry.kind == "run_started"]
    for run in runs:
        if run["state"] not in FINISHED:
            yield Finding("stuck", f"{run['dag_id']} {run['dag_run_id']}: {run['state']}")
    for key in begun:
        run_key = key.partition("/")[2]
        if run_key not in finished and "/cli/" not in run_key:
            yield Finding("stuck", f"{run_key} began and never ended, in the ledger")


def _requests(
    ledger: object, names: tuple[str, ...], entries: list[Entry], log: list[dict]
) -> Iterator[Finding]:
    """Every request that was taken down is there, ended, and ended once."""
    there = {entry.body["key"] for entry in entries if entry.kind == "retrain_requested"}
    for line in log:
        for key in (line.get("hit") or {}).get("requests", ()):
            if key not in there:
                yield Finding("lost", f"request {key}")
    for name in names:
        for past in past_requests(ledger, name):
            if past.open:
                yield Finding("stuck", f"request {past.request.key} is open, taken by {past.taken_by}")
    served: dict[str, set[str]] = {}
    for entry in entries:
        if entry.kind == "request_closed" and entry.body.get("superseded_by") is None:
            served.setdefault(entry.body["key"], set()).add(entry.body["run_key"])
    for key, run_keys in served.items():
        if len(run_keys) > 1:
            yield Finding("doubled", f"request {key} was served by {sorted(run_keys)}")


def _champion(workspace: object, name: str, entries: list[Entry]) -> Iterator[Finding]:
    """Ledger, registry and target name one champion; it never went back to older data by itself."""
    releases = [e for e in entries if e.kind == "release" and e.model == name]
    intents = [e for e in entries if e.kind == "release_intended" and e.model == name]
    if not releases:
        yield Finding("lost", f"{name}: no champion")
        return
    done = {e.key.partition("/")[2] for e in releases}
    for intent in intents:
        if intent.key.partition("/")[2] not in done:
            yield Finding("stuck", f"{name}: {intent.key} was intended and not done")
    number = releases[-1].body["version"]["number"]
    alias = workspace.registry.champion(name)
    pointer = workspace.deployer.serving(name)
    if alias != number:
        yield Finding("wrong", f"{name}: alias at {alias}, the ledger says {number}")
    if pointer is None or pointer.version != number:
        yield Finding("wrong", f"{name}: the target serves {pointer}, the ledger says {number}")
    as_ofs = [datetime.fromisoformat(e.body["as_of"]) for e in releases]
    if as_ofs != sorted(as_ofs):
        yield Finding(
            "wrong", f"{name}: a champion of newer data was replaced: {[str(at) for at in as_ofs]}"
        )
    counts = Counter(e.key.partition("/")[2] for e in releases)
    for run_key, count in counts.items():
        if count > 1:
            yield Finding("doubled", f"{run_key} released {count} times")


def _versions(registered: Iterable[Registered]) -> Iterator[Finding]:
    """No candidate was registered twice."""
    counts = Counter((version.name, version.candidate_key) for version in registered)
    for (name, key), count in counts.items():
        if count > 1:
            yield Finding("doubled", f"{name}: {count} versions of candidate {key}")


def _undelivered(waiting: Iterable[Undelivered], now: datetime) -> Iterator[Finding]:
    """No message that is due still waits."""
    for one in waiting:
        if one.state != "given_up" and one.message.due_at < now:
            yield Finding("stuck", f"message {one.message.key} was due at {one.message.due_at}")


def _messages(entries: list[Entry], arrived: list[str], crashes: int) -> Iterator[Finding]:
    """Every message that counts as told arrived, and again no more often than something was killed."""
    counts = Counter(arrived)
    for entry in entries:
        if entry.kind == "told" and (by := entry.body["channel"]["type"]) != "webhook":
            yield Finding("wrong", f"message {entry.body['message']} was told by {by}")
        elif entry.kind == "told" and entry.body["message"] not in counts:
            yield Finding("lost", f"message {entry.body['message']} was told and never arrived")
        if entry.kind == "not_told":
            yield Finding("lost", f"{entry.key} was given up: {entry.body}")
    again = counts.total() - len(counts)
    if again > crashes:
        yield Finding("doubled", f"{again} messages arrived again after {crashes} kills")


def recoveries(world: World, log: list[dict]) -> list[float]:
    """Return the seconds from each kill of a task to the beginning of its next try."""
    found = []
    for line in log:
        hit = line.get("hit") or {}
        if not line["name"].startswith("kill_") or "task_id" not in hit:
            continue
        path = f"/api/v2/dags/{hit['dag']}/dagRuns/{hit['run_id']}/taskInstances/{hit['task_id']}/tries"
        tries = world.api._send("GET", path)["task_instances"]
        killed = datetime.fromisoformat(hit["sent"])
        later = [
            (begun - killed).total_seconds()
            for one in tries
            if one["start_date"] and (begun := datetime.fromisoformat(one["start_date"])) > killed
        ]
        if later:
            found.append(min(later))
    return sorted(found)


def percentile(values: list[float], share: int) -> float | None:
    """Return a percentile of values in whole hundredths, or None of fewer than two."""
    return statistics.quantiles(values, n=100)[share - 1] if len(values) > 1 else None
