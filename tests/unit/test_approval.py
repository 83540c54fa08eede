"""Which answers count, and what they allow: rules over values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.approval import (
    LONGEST_REASON,
    OS_USER,
    assigned,
    covers,
    evidence_digest,
    lets_release,
    refusal,
)
from evergreen.approval_results import APPROVAL_RESULTS, Answer, Answered, Asked, NotNeeded, Standing
from evergreen.canonical import canonical
from evergreen.results import from_json, to_json

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVIDENCE = evidence_digest("c" * 64, "m" * 64, None)
ASKED = Asked(
    run_key="churn/run",
    number=1,
    version=2,
    champion_version=1,
    champion_seq=9,
    comparison="c" * 64,
    refit=None,
    model_digest="m" * 64,
    evidence=EVIDENCE,
    asked_at=NOON,
    deadline=NOON + timedelta(days=3),
    approvers=(),
    on_timeout="keep",
    triggered_by=None,
    headline="Promote: it is better.",
)
ANSWER = Answer("approve", "alice", "airflow", NOON + timedelta(hours=1))
ANSWERED = Answered("churn/run", 1, "approve", "alice", "airflow", ANSWER.at, "", EVIDENCE)

NAMES = st.text("abcXYZ:.", min_size=1, max_size=6)
PEOPLE = st.lists(NAMES, max_size=4).map(tuple)
TIMES = st.integers(-(10**6), 10**6).map(lambda seconds: NOON + timedelta(seconds=seconds))


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    return replace(
        ASKED,
        deadline=draw(TIMES),
        approvers=draw(PEOPLE),
        on_timeout=draw(st.sampled_from(["keep", "release"])),
        triggered_by=draw(st.none() | NAMES | NAMES.map(lambda name: OS_USER + name)),
    )


ANSWERS = st.builds(
    Answer,
    answer=st.sampled_from(["approve", "reject", "more_data", "timeout"]),
    who=st.none() | NAMES,
    how=st.sampled_from(["airflow", "cli"]),
    at=TIMES,
    reason=st.sampled_from(["", " \u200b ", "why", "x" * LONGEST_REASON, "x" * (LONGEST_REASON + 1)]),
    evidence=st.none() | st.sampled_from([EVIDENCE, EVIDENCE[:12], EVIDENCE[:11], "", "f" * 64]),
    who_id=st.none() | NAMES,
)


def test_anybody_may_answer_in_time_where_nobody_is_named_and_no_user_started_the_run():
    assert refusal(ASKED, None, ANSWER) is None


@given(questions(), ANSWERS)
def test_no_answer_counts_after_another(asked: Asked, answer: Answer):
    assert refusal(asked, ANSWERED, answer) is not None


@given(questions(), ANSWERS)
def test_a_persons_answer_counts_only_from_who_may_in_time_on_this_evidence(
    asked: Asked, answer: Answer
):
    if answer.answer == "timeout" or refusal(asked, None, answer) is not None:
        return
    names = {name for name in (answer.who, answer.who_id) if name}
    plain = {name.removeprefix(OS_USER) for name in names} if answer.how == "cli" else set()
    assert names
    assert answer.at < asked.deadline
    assert not asked.approvers or (names | plain) & set(asked.approvers)
    if asked.triggered_by:
        assert asked.triggered_by not in names | plain
        assert asked.triggered_by.removeprefix(OS_USER) not in names | plain
    assert answer.evidence is None or (
        len(answer.evidence) >= 12 and EVIDENCE.startswith(answer.evidence)
    )
    assert answer.answer == "approve" or answer.reason.strip(" \u200b")
    assert len(answer.reason) <= LONGEST_REASON


@given(questions(), ANSWERS)
def test_time_is_over_exactly_when_no_person_may_answer_any_more(asked: Asked, answer: Answer):
    over = refusal(asked, None, replace(answer, answer="timeout")) is None
    assert over == (answer.at >= asked.deadline)
    if over:
        assert refusal(asked, None, replace(answer, answer="approve")) is not None


@given(questions(), ANSWERS)
def test_no_answer_but_a_yes_or_a_declared_timeout_lets_a_version_be_released(
    asked: Asked, answer: Answer
):
    answered = replace(ANSWERED, answer=answer.answer)
    lets = lets_release(asked, answered)
    assert lets == (
        answer.answer == "approve" or (answer.answer == "timeout" and asked.on_timeout == "release")
    )
    assert not lets_release(replace(asked, number=2), answered)
    assert not lets_release(replace(asked, evidence="f" * 64), answered)


@given(questions())
def test_whom_airflow_lets_answer_is_never_everybody_where_approvers_are_named(asked: Asked):
    let = assigned(asked)
    assert bool(let) == bool(asked.approvers)
    assert set(let) <= set(asked.approvers)
    if asked.triggered_by and any(name != asked.triggered_by for name in let):
        assert asked.triggered_by not in let


@pytest.mark.parametrize(
    ("changes", "answer", "words"),
    [
        ({}, {"who": None}, "needs a name"),
        ({"triggered_by": "alice"}, {}, "who started the run"),
        ({"triggered_by": "Alice"}, {}, "who started the run"),
        ({"triggered_by": "os:alice"}, {}, "who started the run"),
        ({"triggered_by": "alice"}, {"who": "os:alice", "how": "cli"}, "who started the run"),
        ({"triggered_by": "alice"}, {"who": "A. Liddell", "who_id": "alice"}, "who started the run"),
        ({"approvers": ("bob",)}, {}, "not one of the approvers"),
        ({"approvers": ("alice",)}, {"who": "os:alice"}, "not one of the approvers"),
        ({}, {"at": ASKED.deadline}, "too late"),
        ({}, {"evidence": "0" * 64}, "other evidence"),
        ({}, {"evidence": EVIDENCE[:11]}, "other evidence"),
        ({}, {"evidence": ""}, "other evidence"),
        ({}, {"answer": "reject"}, "a rejection needs a reason"),
        ({}, {"answer": "more_data", "reason": "\n"}, "asking for more data needs a reason"),
        ({}, {"reason": "x" * 501}, "the reason is too long"),
        ({}, {"answer": "timeout"}, "still waits"),
    ],
)
def test_each_answer_that_does_not_count_says_why(changes, answer, words):
    why = refusal(replace(ASKED, **changes), None, replace(ANSWER, **answer))
    assert why is not None
    assert words in why.what


def test_a_user_of_the_system_is_an_approver_by_their_plain_name():
    asked = replace(ASKED, approvers=("alice",))
    assert refusal(asked, None, replace(ANSWER, who="os:alice", how="cli")) is None


def test_any_change_of_comparison_model_refit_or_champion_voids_a_question():
    assert covers(ASKED, EVIDENCE, 9)
    assert not covers(ASKED, EVIDENCE, 10)
    assert not covers(ASKED, EVIDENCE, None)
    others = [
        evidence_digest("d" * 64, "m" * 64, None),
        evidence_digest("c" * 64, "n" * 64, None),
        evidence_digest("c" * 64, "m" * 64, "r" * 64),
    ]
    assert len({EVIDENCE, *others}) == 4
    assert not any(covers(ASKED, other, 9) for other in others)


@pytest.mark.parametrize(
    "result",
    [ASKED, ANSWER, ANSWERED, NotNeeded("why", True), Standing(ASKED, ANSWERED), Standing(ASKED, None)],
    ids=lambda result: type(result).__name__,
)
def test_every_result_travels_as_json_and_comes_back_as_it_was(result):
    plain = to_json(result)
    canonical(plain)
    assert from_json(type(result), plain) == result
    assert type(result) in APPROVAL_RESULTS
