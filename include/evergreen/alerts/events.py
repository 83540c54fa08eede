"""What each kind of entry of the ledger tells people. An entry of another kind tells nothing.

    run_finished       promoted, kept, inconclusive, data_rejected or failed
    run_started        retrain_started, where the watch asked for it
    scored             ends the incident of failed scorings
    verdict            alarm; a quiet one ends the incidents of the watch
    retrain_decided    held; another decision ends that
    approval_*         approval_needed, approval_answered, approval_timed_out
    hand               rolled_back, by_hand
    reconciled         reconciled, stuck
    request_closed     ends the incident of a request that was stuck
    told, not_told     whether a channel takes messages
    event              what its notice says
    adopted            unwitnessed

The same happening told by two entries has one key, such as `failed/RUN_KEY`. An event named `recovered`
is never told by itself: it is there for the incidents that it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from evergreen.alert_spec import EventName, Severity
from evergreen.alerts.context import Context, lines_of, shown
from evergreen.alerts.event import Event, Notice
from evergreen.alerts.incidents import CHANNEL
from evergreen.alerts.reconcile_events import ENDED_BY_A_RELEASE, reconciled, request_closed
from evergreen.alerts.run_events import finished, scored, started, without_values
from evergreen.alerts.watch_events import decided, judged
from evergreen.approval_results import Answered, Asked
from evergreen.approval_words import command
from evergreen.checkpoints import Adoption
from evergreen.entry_keys import run_key_of
from evergreen.hand import Deed
from evergreen.ports import Entry
from evergreen.results import from_json


def event_of(entry: Entry, context: Context) -> Event | None:
    """Return what an entry tells people, or None: nothing."""
    words = _WORDS.get(entry.kind)
    event = words(entry, context) if words else None
    if event is None:
        return None
    return replace(
        event,
        owner=event.owner or context.owner,
        triggered_by=event.triggered_by or context.triggered_by,
        as_of=event.as_of or context.as_of,
        seq=entry.seq,
    )


def unreadable(entry: Entry, why: str) -> Event:
    """Return what is told where an entry cannot be put into words: it is not passed over in silence."""
    return Event(
        key=f"unreadable/{entry.seq}",
        name="message",
        model=entry.model,
        at=entry.at,
        severity="medium",
        headline=f"{entry.model}: entry {entry.seq} ({entry.kind}) cannot be put into words.",
        lines=lines_of([why]),
        command=f"evergreen history {entry.model}",
        seq=entry.seq,
    )


def key_of(name: str, entry: Entry) -> str:
    """Return the key of what an entry tells: `NAME/RUN_KEY`, `NAME#2/RUN_KEY` for a second one."""
    return name + entry.key.removeprefix(entry.kind)


def _asked(entry: Entry, _: Context) -> Event:
    asked = from_json(Asked, entry.body)
    instead = (
        "as the first champion"
        if asked.champion_version is None
        else f"in place of version {asked.champion_version}"
    )
    who = ", ".join(asked.approvers) or "whoever may answer in Airflow"
    after = {"keep": "the champion is kept", "release": "the version is released"}[asked.on_timeout]
    return Event(
        key=key_of("approval_needed", entry),
        name="approval_needed",
        model=entry.model,
        at=entry.at,
        severity="medium",
        headline=shown(
            f"{entry.model}: version {asked.version} waits for a person's approval {instead}."
        ),
        lines=lines_of(
            [
                *filter(None, [asked.headline]),
                f"Who may answer: {who}; not who started the run.",
                f"Until {asked.deadline:%Y-%m-%d %H:%M} UTC; without an answer, {after}.",
                f"It rests on the evidence {asked.evidence[:12]}.",
            ]
        ),
        cause=f"approval/{asked.run_key}",
        signature=asked.evidence if asked.number == 1 else f"{asked.number}/{asked.evidence}",
        run_key=asked.run_key,
        triggered_by=asked.triggered_by,
        command=command(asked),
    )


def _answered(entry: Entry, _: Context) -> Event:
    answered = from_json(Answered, entry.body)
    late = answered.answer == "timeout"
    name: EventName = "approval_timed_out" if late else "approval_answered"
    severity: Severity = "high" if late else "low"
    by = f" by {answered.who}" if answered.who else ""
    said = {
        "approve": f"the release was approved{by}.",
        "reject": f"the release was rejected{by}.",
        "more_data": f"more data was asked for{by}, so the champion is kept.",
        "timeout": "nobody answered in time whether to release.",
    }[answered.answer]
    return Event(
        key=key_of(name, entry),
        name=name,
        model=entry.model,
        at=entry.at,
        severity=severity,
        headline=shown(f"{entry.model}: {said}"),
        lines=lines_of([*filter(None, [answered.reason]), f"Evidence {answered.evidence[:12]}."]),
        closes=(f"approval/{answered.run_key}",),
        run_key=answered.run_key,
        command=f"evergreen explain {entry.model}",
    )


_UNDO: Mapping[str, str] = {
    "rollback": 'evergreen rollback {model} --to {previous} --why "…"',
    "pin": 'evergreen unpin {model} --why "…"',
    "unpin": 'evergreen pin {model} --why "…"',
    "pause": 'evergreen resume {model} --why "…"',
    "resume": 'evergreen pause {model} --why "…"',
}


def _by_hand(entry: Entry, _: Context) -> Event:
    deed = from_json(Deed, entry.body)
    back = deed.action == "rollback"
    only = f" ({deed.only} only)" if deed.only else ""
    done = {
        "rollback": f"rolled back from version {deed.previous} to version {deed.version}",
        "pin": f"pinned on version {deed.version}: no retrain releases anything",
        "unpin": "unpinned: retrains may release again",
        "pause": f"paused{only}: no run begins",
        "resume": f"resumed{only}",
    }[deed.action]
    severity: Severity = "high" if back else "low"
    return Event(
        key=entry.key,
        name="rolled_back" if back else "by_hand",
        model=entry.model,
        at=entry.at,
        severity=severity,
        headline=shown(f"{entry.model} was {done}, by {deed.who}."),
        lines=lines_of([f"Why: {deed.why}"]),
        closes=ENDED_BY_A_RELEASE if back else (),
        command=_UNDO[deed.action].format(model=entry.model, previous=deed.previous),
    )


def _told(entry: Entry, _: Context) -> Event:
    return Event(
        key=entry.key,
        name="recovered",
        model=entry.model,
        at=entry.at,
        severity="low",
        headline=f"{_channel(entry.body)} takes messages again.",
        closes=(_cause_of(entry.body),),
    )


def _not_told(entry: Entry, _: Context) -> Event | None:
    body = entry.body
    if set(body["names"]) <= {"not_told"}:
        return None
    told = len(body["events"])
    what = "A message" if told == 1 else f"A digest of {told} messages"
    return Event(
        key=entry.key,
        name="not_told",
        model=entry.model,
        at=entry.at,
        severity="medium",
        headline=shown(f"{entry.model}: {what} could not be delivered to {_channel(body)}."),
        lines=lines_of(
            [
                f"What it was about: {', '.join(body['names'])}.",
                f"Given up after {body['attempts']} {'try' if body['attempts'] == 1 else 'tries'}: "
                f"{body['why']}",
                "Nothing else was held up by that.",
            ]
        ),
        cause=_cause_of(body),
        signature="not_told",
        command=f"evergreen alerts {entry.model}",
    )


def _channel(body: Mapping[str, Any]) -> str:
    channel = body["channel"]
    named = f" (connection {channel['connection']})" if channel["connection"] else ""
    return f"the channel {channel['type']}{named}"


def _cause_of(body: Mapping[str, Any]) -> str:
    return f"{CHANNEL}{body['place']}"


def _adopted(entry: Entry, _: Context) -> Event:
    adoption = from_json(Adoption, entry.body)
    return Event(
        key=entry.key,
        name="unwitnessed",
        model=entry.model,
        at=entry.at,
        severity="high",
        headline=shown(f"{adoption.who} accepted the ledger although a checkpoint contradicts it."),
        lines=lines_of(
            [
                f"Why: {adoption.why}",
                f"Given up, from entry {adoption.since} on: {adoption.gives_up}",
                *(f"Unknown to the ledger: {line}" for line in adoption.unknown),
            ]
        ),
        command="evergreen audit",
    )


def _noticed(entry: Entry, context: Context) -> Event:
    one = from_json(Notice, entry.body)
    severity = "high" if one.name == "failed" and context.tier == "high" else one.severity
    told = [without_values(line) for line in one.lines]
    return Event(
        key=run_key_of(entry.key),
        name=one.name,
        model=entry.model,
        at=entry.at,
        severity=severity,
        headline=shown(one.headline),
        lines=lines_of(brief for brief, _ in told),
        values=lines_of([*one.values, *(line for _, whole in told for line in whole)]),
        cause=one.cause,
        closes=one.closes,
        signature=one.signature,
        run_key=one.run_key,
        owner=one.owner,
        command=one.command,
    )


_WORDS: Mapping[str, Callable[[Entry, Context], Event | None]] = {
    "run_finished": finished,
    "run_started": started,
    "scored": scored,
    "verdict": judged,
    "retrain_decided": decided,
    "approval_asked": _asked,
    "approval_answered": _answered,
    "hand": _by_hand,
    "reconciled": reconciled,
    "request_closed": request_closed,
    "told": _told,
    "not_told": _not_told,
    "event": _noticed,
    "adopted": _adopted,
}
TELLING = frozenset(_WORDS)
"""Every kind of entry that may tell something."""
