"""What each kind of entry tells people: its name, severity, words, cause and command."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from evergreen.alert_spec import WORTH_TELLING
from evergreen.alerts.context import LONGEST_LINE, MOST_LINES, Context
from evergreen.alerts.event import Event, Notice
from evergreen.alerts.events import TELLING, event_of
from evergreen.alerts.reconcile_events import ENDED_BY_A_RELEASE
from evergreen.approval_results import Answered, Asked
from evergreen.cli.main import build_parser
from evergreen.entry_keys import entry_key
from evergreen.hand import Deed
from evergreen.ledger import KINDS
from evergreen.ports import Entry
from evergreen.redaction import hide
from evergreen.results import Retrain, RunReport, to_json
from evergreen.watch_results import Finding, RetrainDecision, Scored, Verdict
from evergreen.window import Window, windows_at
from tests.fakes.bench import pinned

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
NOTHING = Context()
RUN = "churn/manual__1"
WINDOW = Window(datetime(2026, 2, 22, tzinfo=UTC), AS_OF)


def told(kind: str, result: object, context: Context = NOTHING, key: str | None = None) -> Event | None:
    body = result if isinstance(result, dict) else to_json(result)
    entry = Entry(7, AT, "churn", kind, key or entry_key(kind, RUN), body, "", "")
    return event_of(entry, context)


def report(outcome: str, *lines: str, summary: str = "churn: so it was (for a reason)") -> RunReport:
    return RunReport(RUN, "churn", AS_OF, outcome, 1, 2, summary, lines)


def finding(
    level="features", subject="distance", measure="psi", words="distance: moved", answer="alarm"
):
    return Finding(level, subject, measure, 0.4, 0.1, 1e-9, 100.0, answer, words)


def verdict(
    answer="alarm", findings=(), health="quiet", words=("Alarm: features (9 rows).",)
) -> Verdict:
    alarmed = {one.level for one in findings if one.answer == "alarm"}
    levels = tuple(
        (level, "alarm" if level in alarmed else health if level == "health" else "quiet")
        for level in ("health", "loss", "estimated_loss", "prediction", "features")
    )
    spoke = next((level for level, said in levels if said == "alarm"), None)
    return Verdict(RUN, AS_OF, WINDOW, 3, answer, spoke, levels, tuple(findings), words)


def test_every_event_that_a_kind_tells_is_of_a_kind_that_the_ledger_knows():
    assert set(KINDS) >= TELLING


def test_a_kind_that_tells_nothing_tells_nothing():
    assert told("snapshot", {"rows": 1}) is None


@pytest.mark.parametrize(
    ("outcome", "undecided", "name", "closes"),
    [
        ("promoted", False, "promoted", {"retrain", "stale", "watch", "held", *ENDED_BY_A_RELEASE}),
        ("kept", False, "kept", {"retrain", "stale"}),
        ("kept", True, "inconclusive", {"retrain", "stale"}),
        ("registered", False, "kept", {"retrain", "stale"}),
    ],
)
def test_a_run_that_came_to_an_answer_stands_alone_and_ends_what_waited_for_one(
    outcome, undecided, name, closes
):
    event = told("run_finished", report(outcome, "one", "two"), Context("team", undecided=undecided))
    assert (event.name, event.severity, event.cause) == (name, "low", None)
    assert set(event.closes) == closes | {f"approval/{RUN}"}
    assert (event.headline, event.lines) == ("churn: so it was (for a reason)", ("one", "two"))
    assert (event.key, event.run_key, event.owner, event.as_of) == (f"{name}/{RUN}", RUN, "team", AS_OF)


def test_a_promotion_says_how_to_undo_it():
    assert told("run_finished", report("promoted")).command == 'evergreen rollback churn --why "…"'


@pytest.mark.parametrize(
    ("tier", "severity"), [("high", "high"), ("medium", "medium"), ("low", "medium")]
)
def test_a_failure_is_as_severe_as_its_model_is_important(tier, severity):
    event = told("run_finished", report("failed", "train: TrainingFailed: no"), Context(tier=tier))
    assert (event.name, event.severity, event.cause) == ("failed", severity, "retrain")
    assert event.headline == "churn: the retrain as of 2026-03-01 00:00 UTC failed at train."
    assert event.lines[0] == "train: TrainingFailed: no"
    assert "clear the failed task" in event.lines[-1]


def test_the_same_failure_of_another_run_brings_nothing_new_and_another_one_does():
    def signature(*lines):
        return told("run_finished", report("failed", *lines)).signature

    same = signature("ingest: SourceUnavailable: no answer from 10.0.0.1")
    assert signature("snapshot 5", "ingest: SourceUnavailable: no answer from 10.0.0.2") == same
    assert signature("ingest: DataUnusable: no rows") != same
    assert signature("train: SourceUnavailable: no answer") != same


def test_a_second_end_of_a_run_has_a_key_of_its_own():
    key = entry_key("run_finished", RUN, 2)
    assert told("run_finished", report("failed", "x"), key=key).key == f"failed#2/{RUN}"


def test_a_run_that_failed_without_a_word_says_so():
    event = told("run_finished", report("failed"))
    assert event.lines[0] == "nothing was written down"
    assert event.headline.endswith("failed.")


@pytest.mark.parametrize("outcome", ["skipped", "waiting"])
def test_a_run_that_came_to_no_end_tells_nothing(outcome):
    assert told("run_finished", report(outcome)) is None


def test_what_expectations_observed_is_kept_apart_from_what_they_are():
    lines = (
        "warning: expect_x of fare: -3 (must be paid)",
        "error: expect_y of origin: 'SECRET_PLACE'",
        "validation report: s3://b/report.html",
        "1 expectation failed: expect_y of origin",
    )
    event = told("run_finished", report("rejected", *lines))
    assert (event.name, event.severity, event.cause) == ("data_rejected", "medium", "retrain")
    assert event.lines == (*lines[2:], "What served before still serves.")
    assert event.values == lines[:2]


def test_a_slices_value_is_quoted_only_where_that_is_allowed():
    context = Context(quoting=(("origin", "SECRET_PLACE"),))
    summary = "churn as of today: kept version 1 (harmed: origin = SECRET_PLACE (31 rows))"
    lines = ("Slice origin = SECRET_PLACE is harmed.", "The origin of it all.")
    event = told("run_finished", report("kept", *lines, summary=summary), context)
    assert event.headline == "churn as of today: kept version 1"
    assert (event.lines, event.values) == (lines[1:], lines[:1])


def test_lines_are_bounded_in_number_and_length_and_hold_no_secret_or_control_character():
    hide("hunter2hunter2")
    lines = [
        "x" * 1000,
        "the password is hunter2hunter2\x1b[31m\u202e",
        *(f"line {n}" for n in range(50)),
    ]
    event = told("run_finished", report("kept", *lines, summary="s" * 1000))
    assert len(event.lines) == MOST_LINES
    assert event.lines[-1] == "and 41 more lines"
    assert max(map(len, (*event.lines, event.headline))) == LONGEST_LINE
    assert event.lines[1] == "the password is ***[31m"


def test_only_a_retrain_that_the_watch_asked_for_is_told_as_begun():
    model = pinned()
    data = model.spec.data
    windows = windows_at(AS_OF, data.train_window, data.test_window, data.label.delay)
    retrain = Retrain(RUN, model, windows, "request of the watch: alarm of loss", "auto", "code")
    event = told("run_started", retrain)
    assert (event.name, event.severity, event.cause) == ("retrain_started", "low", None)
    assert event.lines[0] == "Why: request of the watch: alarm of loss"
    assert told("run_started", replace(retrain, reason="schedule")) is None


@pytest.mark.parametrize(
    ("findings", "severity", "cause"),
    [
        ([finding()], "medium", "watch"),
        ([finding("prediction")], "medium", "watch"),
        ([finding("estimated_loss")], "medium", "watch"),
        ([finding("loss"), finding()], "high", "watch"),
        ([finding("health", measure="nulls"), finding()], "medium", "data"),
    ],
)
def test_an_alarm_is_as_severe_as_what_alarmed(findings, severity, cause):
    event = told("verdict", verdict(findings=findings))
    assert (event.name, event.severity, event.cause) == ("alarm", severity, cause)
    assert event.headline.startswith("churn, version 3, as of 2026-03-01 00:00 UTC: Alarm")
    assert event.command == "evergreen watch churn"


def test_the_same_alarm_on_the_next_day_brings_nothing_new_and_a_further_column_does():
    one = told("verdict", verdict(findings=[finding(words="moved by 3%")]))
    same = told("verdict", verdict(findings=[finding(words="moved by 4%")]))
    more = told("verdict", verdict(findings=[finding(), finding(subject="origin")]))
    assert one.signature == same.signature
    assert more.signature != one.signature


def test_an_unseen_category_is_quoted_only_where_that_is_allowed():
    words = "origin holds 'SECRET_PLACE' in 12% of rows"
    event = told("verdict", verdict(findings=[finding("health", "origin", "unseen", words)]))
    assert event.lines == ("origin: categories that training never saw",)
    assert event.values == (words,)


def test_a_quiet_verdict_is_told_only_as_the_end_of_what_was_open():
    event = told("verdict", verdict("quiet", words=("Quiet: 9 rows.",)))
    assert (event.name, event.cause) == ("recovered", None)
    assert set(event.closes) == {"monitor", "watch", "data"}


def test_a_verdict_without_enough_data_ends_no_alarm():
    closes = told("verdict", verdict("not enough data", health="not enough data", words=())).closes
    assert set(closes) == {"monitor"}


def test_an_alarm_of_the_model_ends_that_of_the_data_where_that_is_well():
    assert set(told("verdict", verdict(findings=[finding()])).closes) == {"monitor", "data"}


def test_a_retrain_that_is_held_back_says_why_without_quoting_the_data():
    reasons = (
        "hold: the data itself looks broken, and is not to be trained on: origin holds 'SECRET_PLACE'",
        "for: 3 of the last 3 checks alarmed",
    )
    event = told("retrain_decided", RetrainDecision(RUN, AS_OF, "hold", reasons))
    assert (event.name, event.severity, event.cause) == ("held", "medium", "held")
    assert event.lines == (reasons[0].partition(": origin")[0], reasons[1])
    assert event.values == reasons[:1]
    assert event.command == "evergreen run churn"


def test_another_decision_ends_what_was_held():
    event = told("retrain_decided", RetrainDecision(RUN, AS_OF, "wait", ("against: x",)))
    assert (event.name, event.closes) == ("recovered", ("held",))


def test_a_scoring_ends_the_incident_of_scorings_that_failed():
    event = told("scored", Scored(RUN, WINDOW, 3, 1000, "s3://b/log"))
    assert (event.name, event.closes) == ("recovered", ("score",))


ASKED = Asked(
    RUN,
    1,
    8,
    7,
    5,
    "c" * 64,
    None,
    "m" * 64,
    "e" * 64,
    AT,
    datetime(2026, 3, 7, tzinfo=UTC),
    ("alice", "bob"),
    "keep",
    "carol",
    "log_loss better by 0.004",
)
ANSWERED = Answered(RUN, 1, "reject", "alice", "cli", AT, "too few rows", "e" * 64)


def test_a_question_says_who_may_answer_until_when_and_how():
    event = told("approval_asked", ASKED)
    assert (event.name, event.severity) == ("approval_needed", "medium")
    assert event.headline == "churn: version 8 waits for a person's approval in place of version 7."
    assert event.lines[0] == "log_loss better by 0.004"
    assert "alice, bob" in event.lines[1]
    assert "2026-03-07 00:00 UTC" in event.lines[2]
    assert "the champion is kept" in event.lines[2]
    assert (event.cause, event.triggered_by) == (f"approval/{RUN}", "carol")
    assert event.command == f"evergreen approve {RUN}"


def test_a_question_asked_anew_on_other_evidence_brings_something_new():
    anew = replace(ASKED, number=2, evidence="f" * 64)
    event = told("approval_asked", anew, key=entry_key("approval_asked", RUN, 2))
    assert event.signature != told("approval_asked", ASKED).signature
    assert event.key == f"approval_needed#2/{RUN}"
    assert event.command == f"evergreen approve {RUN} --evidence ffffffffffff"
    same = replace(ASKED, number=2)
    assert told("approval_asked", same).signature != told("approval_asked", ASKED).signature


def test_an_answer_ends_its_question_and_a_missing_one_is_severe():
    event = told("approval_answered", ANSWERED)
    assert (event.name, event.severity) == ("approval_answered", "low")
    assert event.headline == "churn: the release was rejected by alice."
    assert (event.lines[0], event.closes) == ("too few rows", (f"approval/{RUN}",))
    late = told("approval_answered", replace(ANSWERED, answer="timeout", who=None, reason=""))
    assert (late.name, late.severity) == ("approval_timed_out", "high")


@pytest.mark.parametrize(
    ("deed", "name", "severity"),
    [
        (Deed("rollback", "bob", "it is wrong", 2, previous=3), "rolled_back", "high"),
        (Deed("pin", "bob", "audit", 2), "by_hand", "low"),
        (Deed("unpin", "bob", "audit is over"), "by_hand", "low"),
        (Deed("pause", "bob", "holidays", only="score"), "by_hand", "low"),
        (Deed("resume", "bob", "back"), "by_hand", "low"),
    ],
)
def test_a_deed_says_who_did_it_and_why(deed, name, severity):
    event = told("hand", deed, key="hand/churn/hand/1")
    assert (event.name, event.severity) == (name, severity)
    assert event.headline.endswith(", by bob.")
    assert event.lines == (f"Why: {deed.why}",)


def test_a_rollback_says_from_where_to_where_and_how_to_undo_it():
    event = told("hand", Deed("rollback", "bob", "it is wrong", 2, previous=3), key="hand/churn/hand/1")
    assert event.headline == "churn was rolled back from version 3 to version 2, by bob."
    assert event.command == 'evergreen rollback churn --to 3 --why "…"'


def outcome_of_message(**parts):
    return {
        "message": "m",
        "purpose": "opening",
        "channel": {"type": "slack", "connection": "slack_ml"},
        "place": "abc",
        "events": ["a"],
        "names": ["failed"],
        "incident": None,
        "attempts": 3,
    } | parts


def test_a_channel_that_fails_is_one_incident_and_ends_with_its_first_message():
    event = told("not_told", outcome_of_message(why="no answer"))
    assert (event.name, event.severity, event.cause) == ("not_told", "medium", "channel/abc")
    assert "slack (connection slack_ml)" in event.headline
    assert "Given up after 3 tries: no answer" in event.lines
    well = told("told", outcome_of_message(thread=None))
    assert (well.name, well.closes) == ("recovered", ("channel/abc",))


def test_that_a_word_of_a_channel_was_not_delivered_is_not_told_in_turn():
    assert told("not_told", outcome_of_message(why="no", names=["not_told"])) is None


def test_a_notice_is_told_as_it_is_written_bounded():
    one = Notice(
        "message", "low", "h" * 999, ("l",) * 99, ("v",), "cause", ("x",), "s", RUN, "me", "cmd"
    )
    event = told("event", one, key="event/notifier/1")
    assert (event.key, event.name, event.severity) == ("notifier/1", "message", "low")
    assert (event.cause, event.closes, event.signature) == ("cause", ("x",), "s")
    assert (event.owner, event.command, event.run_key) == ("me", "cmd", RUN)
    assert (len(event.headline), len(event.lines)) == (LONGEST_LINE, MOST_LINES)


def test_a_noticed_failure_of_an_important_model_is_severe():
    one = Notice("failed", "medium", "It failed.")
    assert told("event", one, Context(tier="high"), "event/x").severity == "high"
    assert (
        told("event", replace(one, name="stale"), Context(tier="high"), "event/x").severity == "medium"
    )


def test_every_command_that_is_named_is_one():
    events = [
        *(
            told("run_finished", report(outcome, "x"))
            for outcome in ("promoted", "kept", "rejected", "failed")
        ),
        told("verdict", verdict(findings=[finding()])),
        told("retrain_decided", RetrainDecision(RUN, AS_OF, "hold", ("hold: x",))),
        told("approval_asked", ASKED),
        told("approval_answered", ANSWERED),
        told("hand", Deed("rollback", "bob", "x", 2, previous=3), key="hand/1"),
        told("hand", Deed("pause", "bob", "x"), key="hand/2"),
        told("not_told", outcome_of_message(why="no answer")),
    ]
    parser = build_parser()
    for event in events:
        words = event.command.replace('"…"', "why").split()
        assert words[0] == "evergreen"
        assert parser.parse_args(words[1:])
    assert {one.name for one in events} - {"kept", "approval_answered", "by_hand"} <= set(WORTH_TELLING)
