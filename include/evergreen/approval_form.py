"""The form by which people are asked: its subject and body (Markdown), options and fields.

Whatever comes from data, model files or people is escaped; it renders as the characters it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evergreen.approval import LONGEST_REASON, OS_USER, assigned
from evergreen.approval_results import AnswerWord, Asked
from evergreen.approval_words import AFTER_TIMEOUT, in_place_of, of_whom, short
from evergreen.comparison import Comparison, Slice
from evergreen.evidence.headline import headline
from evergreen.evidence.numbers import between
from evergreen.evidence.particulars import harm_of, name_of
from evergreen.evidence.words import sentences
from evergreen.names import file_name
from evergreen.results import Candidate, Retrain
from evergreen.text import markdown

OPTIONS: Mapping[str, AnswerWord] = {
    "Approve": "approve",
    "Reject": "reject",
    "Ask for more data": "more_data",
}
REASON, EVIDENCE = "reason", "evidence"
MOST_SLICES = 20


def fields(asked: Asked) -> dict[str, dict[str, Any]]:
    """Return the form's fields by name: value, description and JSON Schema of each."""
    return {
        REASON: {
            "value": None,
            "description": "Needed to reject or to ask for more data; kept with the answer.",
            "schema": {"type": ["null", "string"], "maxLength": LONGEST_REASON, "title": "Reason"},
        },
        EVIDENCE: {
            "value": short(asked),
            "description": "What the answer is about; leave it as it is.",
            "schema": {"type": "string", "maxLength": 64, "title": "Evidence"},
        },
    }


def subject(asked: Asked) -> str:
    """Return the question."""
    model = asked.run_key.partition("/")[0]
    return f"Release version {asked.version} of {model} {in_place_of(asked)}?"


def body(asked: Asked, retrain: Retrain, comparison: Comparison, tested: Candidate) -> str:
    """Return what is needed to answer, as Markdown.

    Args:
        asked: The question.
        retrain: The run that asks.
        comparison: What the question rests on.
        tested: The candidate that was compared, beside which the picture lies.
    """
    return "\n".join(
        [
            f"**{markdown(headline(comparison))}**",
            "",
            *(f"- {markdown(line)}" for line in sentences(comparison)[1:]),
            "",
            *_slices(comparison),
            *_where(asked, retrain, tested),
            "",
            *_rules(asked),
        ]
    )


def _slices(comparison: Comparison) -> Iterator[str]:
    parts = comparison.evidence.slices
    if not parts:
        return
    up = comparison.higher_is_better
    worst = sorted(parts, key=lambda part: harm_of(part, higher_is_better=up), reverse=True)
    yield f"| slice | rows | difference in {markdown(comparison.metric)} | |"
    yield "| --- | --- | --- | --- |"
    yield from map(_slice, worst[:MOST_SLICES])
    if len(worst) > MOST_SLICES:
        yield f"| and {len(worst) - MOST_SLICES:,} more | | | |"
    yield ""


def _slice(part: Slice) -> str:
    interval = part.difference.interval if part.difference else None
    difference = "" if interval is None else between(interval)
    cells = (name_of(part), f"{part.rows:,}", difference, part.verdict or "")
    return f"| {' | '.join(map(markdown, cells))} |"


def _where(asked: Asked, retrain: Retrain, tested: Candidate) -> Iterator[str]:
    folder = file_name(retrain.run_key.partition("/")[2])
    started = f"started by {retrain.triggered_by}" if retrain.triggered_by else "started by nobody"
    yield f"- Run {markdown(asked.run_key)}, {markdown(started)}: {markdown(retrain.reason)}"
    yield f"- As of {retrain.windows.as_of:%Y-%m-%d %H:%M} UTC, tier {markdown(retrain.model.spec.tier)}"
    yield (
        f"- Picture and numbers: MLflow run {markdown(tested.run_id)}, evidence/{markdown(folder)}/, "
        "files gate\\.png and comparison\\.json"
    )
    yield f"- Evidence {short(asked)} (question {asked.number}); model {asked.model_digest[:12]}"


def _rules(asked: Asked) -> Iterator[str]:
    yield (
        f"May answer: {markdown(of_whom(asked))}. Where nobody does until "
        f"{asked.deadline:%Y-%m-%d %H:%M} UTC, {AFTER_TIMEOUT[asked.on_timeout]}."
    )
    if asked.approvers and all(name == asked.triggered_by for name in asked.approvers):
        yield "Nobody is left who may answer: the one approver named is who started the run."
    yield ""
    yield (
        "An answer that does not count (by who may not answer, or a rejection without a reason) leaves "
        "the question open; the task's log says why. Where the champion moved meanwhile, the answer is "
        "void and the question is asked anew about the new comparison, which this text does not show: "
        "`evergreen approvals` and `evergreen explain` do."
    )


def users(asked: Asked) -> list[dict[str, str]]:
    """Return whom Airflow is to let answer; none: whoever may answer there."""
    return [{"id": name, "name": name} for name in (n.removeprefix(OS_USER) for n in assigned(asked))]
