"""What the watch tells people: an alarm, that all is quiet again, and that it holds a retrain back."""

from __future__ import annotations

from evergreen.alert_spec import Severity
from evergreen.alerts.context import Context, lines_of, shown
from evergreen.alerts.event import Event
from evergreen.canonical import digest_of
from evergreen.ports import Entry
from evergreen.results import from_json
from evergreen.watch_results import RetrainDecision, Verdict

_QUOTES_AFTER = "is not to be trained on"
"""What follows these words of a decision are findings, which may quote unseen categories."""


def judged(entry: Entry, _: Context) -> Event:
    """Return what a verdict tells. That a check came to one ends the incident of checks that failed."""
    verdict = from_json(Verdict, entry.body)
    closes = ["monitor"]
    if verdict.answer == "quiet":
        closes.append("watch")
    if dict(verdict.levels).get("health") == "quiet":
        closes.append("data")
    if verdict.answer != "alarm":
        return Event(
            key=_key("verdict", entry),
            name="recovered",
            model=entry.model,
            at=entry.at,
            severity="low",
            headline=shown(f"{entry.model}: {_first(verdict)}"),
            closes=tuple(closes),
            run_key=verdict.run_key,
            as_of=verdict.as_of,
        )
    return _alarm(entry, verdict, tuple(closes))


def decided(entry: Entry, _: Context) -> Event:
    """Return that a retrain is held back until a person looks, or that none is any more."""
    decision = from_json(RetrainDecision, entry.body)
    if decision.action != "hold":
        return Event(
            key=_key("decided", entry),
            name="recovered",
            model=entry.model,
            at=entry.at,
            severity="low",
            headline=f"{entry.model}: the watch holds no retrain back any more.",
            closes=("held",),
            run_key=decision.run_key,
            as_of=decision.as_of,
        )
    held = [reason for reason in decision.reasons if reason.startswith("hold: ")]
    brief = [reason.partition(_QUOTES_AFTER) for reason in decision.reasons]
    return Event(
        key=_key("held", entry),
        name="held",
        model=entry.model,
        at=entry.at,
        severity="medium",
        headline=f"{entry.model}: the watch holds a retrain back until a person has looked.",
        lines=lines_of(f"{head}{mark}" for head, mark, _ in brief),
        values=lines_of(reason for reason in decision.reasons if _QUOTES_AFTER in reason),
        cause="held",
        signature=digest_of([reason.partition(";")[0].partition(":")[2] for reason in held]),
        run_key=decision.run_key,
        as_of=decision.as_of,
        command=f"evergreen run {entry.model}",
    )


def _alarm(entry: Entry, verdict: Verdict, closes: tuple[str, ...]) -> Event:
    alarms = [one for one in verdict.findings if one.answer == "alarm"]
    quoting = [one.words for one in alarms if one.measure == "unseen"]
    levels = {level for level, answer in verdict.levels if answer == "alarm"}
    severity: Severity = "high" if "loss" in levels else "medium"
    champion = f", version {verdict.version}" if verdict.version else ""
    lines = [
        f"{one.subject}: categories that training never saw" if one.words in quoting else one.words
        for one in alarms
    ]
    return Event(
        key=_key("alarm", entry),
        name="alarm",
        model=entry.model,
        at=entry.at,
        severity=severity,
        headline=shown(
            f"{entry.model}{champion}, as of {verdict.as_of:%Y-%m-%d %H:%M} UTC: {_first(verdict)}"
        ),
        lines=lines_of(lines),
        values=lines_of(quoting),
        cause="data" if verdict.spoke == "health" else "watch",
        closes=closes,
        signature=digest_of(sorted({f"{one.level}/{one.subject}/{one.measure}" for one in alarms})),
        run_key=verdict.run_key,
        as_of=verdict.as_of,
        command=f"evergreen watch {entry.model}",
    )


def _first(verdict: Verdict) -> str:
    return verdict.words[0] if verdict.words else verdict.answer


def _key(name: str, entry: Entry) -> str:
    return name + entry.key.removeprefix(entry.kind)
