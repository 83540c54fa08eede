"""Who was champion when, on what evidence, and what each run came to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from evergreen.comparison import Comparison
from evergreen.entry_keys import entry_key
from evergreen.ledger.questions import as_of, history, reasoning
from evergreen.results import (
    Candidate,
    ModelArtefact,
    PinnedModel,
    Release,
    Retrain,
    RunReport,
    Snapshot,
    StepFailure,
    Version,
    from_json,
    to_json,
)
from evergreen.spec import ModelSpec
from evergreen.window import Window, Windows
from tests.comparisons import check, comparison, difference
from tests.fakes.ledger import FakeLedger

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SPEC = ModelSpec.model_validate(
    {
        "schema_version": 1,
        "name": "m",
        "description": "A model.",
        "owner": "someone@example.com",
        "tier": "low",
        "schedule": None,
        "start": "2013-01-01",
        "data": {
            "source": {"type": "files", "paths": ["*.csv"], "format": "csv"},
            "time_column": "at",
            "key": "id",
            "label": {"column": "y"},
            "train_window": "3 months",
            "test_window": "1 month",
        },
        "train": {"estimator": "sklearn.linear_model.LogisticRegression"},
        "gate": {"metric": "log_loss", "policy": "superiority", "margin": 0.0},
    }
)


def month(number):
    return datetime(2013, number, 1, tzinfo=UTC)


class Story:
    """Writes runs of model `m` as the steps do, one wall-clock hour apart."""

    def __init__(self):
        self.hours = 0
        self.ledger = FakeLedger(now=lambda: NOON + timedelta(hours=self.hours))

    def run(self, name, as_of_month, *, champion, promote, version=None, finish=True):
        run_key = f"m/{name}"
        self.lease = self.ledger.acquire("m", run_key)
        at = month(as_of_month)
        windows = Windows(at, Window(month(1), month(2)), Window(month(2), at))
        pinned = PinnedModel(SPEC, None, None, "models", "d" * 64)
        self.write("run_started", name, Retrain(run_key, pinned, windows, f"why {name}", "auto", "1"))
        self.write("snapshot", name, Snapshot("uri", "s" * 64, windows.whole, 10, (), ()))
        model = ModelArtefact("uri", f"{version or 0}" * 64, ())
        candidate = Candidate(
            f"key-{name}", "run", "classification", model, (), ("0",), (1.0,), 9, 1, {}
        )
        self.write("candidate", name, candidate)
        over = difference() if promote else difference(0.004, 0.002)
        compared = comparison(
            decision="promote" if promote else "keep",
            promote=promote,
            checks=(check("champion", "passed" if promote else "failed", f"because {name}"),),
            over_champion=None if champion is None else over,
            champion_version=champion,
        )
        self.write("comparison", name, compared)
        if promote:
            number = Version("m", version, candidate.key, model)
            self.write("version", name, number)
            release = Release("m", number, candidate, champion, at, "local", run_key)
            self.write("release_intended", name, release)
            self.write("release", name, release)
        if finish:
            outcome = "promoted" if promote else "kept"
            report = RunReport(run_key, "m", at, outcome, champion, version, f"{outcome} {name}")
            self.write("run_finished", name, report)
        self.ledger.free(self.lease)
        self.hours += 1

    def write(self, kind, name, result, number=1):
        self.ledger.append(kind, entry_key(kind, f"m/{name}", number), to_json(result), self.lease)


@pytest.fixture
def story():
    """Released as of March at 12:00, kept in April at 13:00, released as of May at 14:00."""
    story = Story()
    story.run("march", 3, champion=None, promote=True, version=1)
    story.run("april", 4, champion=1, promote=False)
    story.run("may", 5, champion=1, promote=True, version=2)
    return story


def test_a_models_history_says_what_each_run_decided_on_what_champion(story):
    found = [
        (r.run_key, r.as_of, r.reason, r.champion_before, r.challenger, r.decision)
        for r in history(story.ledger, "m")
    ]
    assert found == [
        ("m/march", month(3), "why march", None, 1, "promoted"),
        ("m/april", month(4), "why april", 1, None, "kept"),
        ("m/may", month(5), "why may", 1, 2, "promoted"),
    ]


def test_a_run_says_when_it_began_and_ended_and_how_it_compared(story):
    run = history(story.ledger, "m")[1]
    assert (run.started_at, run.finished_at) == (NOON + timedelta(hours=1),) * 2
    assert run.comparison.reasons == ("because april",)
    assert run.summary == "kept april"


def test_a_run_without_a_report_is_unfinished(story):
    story.run("june", 6, champion=2, promote=True, version=3, finish=False)
    run = history(story.ledger, "m")[-1]
    assert (run.decision, run.finished_at, run.champion_before, run.challenger) == (
        "unfinished",
        None,
        2,
        3,
    )


def test_a_second_report_of_a_run_that_was_tried_again_is_the_one_that_counts(story):
    story.lease = story.ledger.acquire("m", "m/april")
    failure = StepFailure("train", "TrainingFailed", "no", False)
    story.write("step_failed", "april", failure, 2)
    story.write("run_finished", "april", RunReport("m/april", "m", None, "failed", 1, None, "no"), 2)
    run = history(story.ledger, "m")[1]
    assert (run.decision, run.failure) == ("failed", failure)


def test_a_run_whose_id_ends_in_a_number_is_not_taken_for_a_second_try(story):
    story.run("april/2", 6, champion=2, promote=False)
    assert [run.run_key for run in history(story.ledger, "m")][1::2] == ["m/april", "m/april/2"]
    assert history(story.ledger, "m")[1].summary == "kept april"


def test_a_model_never_run_has_no_history_and_no_champion(story):
    assert history(story.ledger, "other") == []
    assert as_of(story.ledger, "other", NOON) is None


@pytest.mark.parametrize(
    ("hours", "version"), [(-1, None), (0, 1), (1.5, 1), (1.999, 1), (2, 2), (1000, 2)]
)
def test_the_champion_at_an_instant_is_the_release_recorded_by_then(story, hours, version):
    found = as_of(story.ledger, "m", NOON + timedelta(hours=hours))
    assert (None if found is None else found.release.version.number) == version


@pytest.mark.parametrize(("instant", "version"), [(2, None), (3, 1), (4, 1), (5, 2), (12, 2)])
def test_the_champion_by_data_is_the_newest_release_decided_as_of_then(story, instant, version):
    found = as_of(story.ledger, "m", month(instant), by="data")
    assert (None if found is None else found.release.version.number) == version


def test_a_champion_comes_with_the_entries_it_rests_on(story):
    found = as_of(story.ledger, "m", NOON + timedelta(days=1))
    kinds = ("run_started", "snapshot", "candidate", "comparison")
    assert [getattr(found, kind).key for kind in kinds] == [f"{kind}/m/may" for kind in kinds]
    assert found.validation is None, "the story validates nothing"
    assert from_json(Release, found.entry.body) == found.release
    assert all(getattr(found, kind).seq < found.entry.seq for kind in kinds)


def test_the_evidence_is_the_newest_comparison_before_the_release(story):
    story.lease = story.ledger.acquire("m", "m/may")
    newest = from_json(Comparison, story.ledger.find("comparison/m/may").body)
    story.write("comparison", "may", newest, 2)
    found = as_of(story.ledger, "m", NOON + timedelta(days=1))
    assert found.comparison.key == "comparison/m/may"


def test_the_reasoning_is_that_of_the_newest_comparison_by_then(story):
    found = reasoning(story.ledger, "m", NOON + timedelta(hours=1))
    assert (found.comparison.key, found.live.key) == ("comparison/m/april", "release/m/march")
    assert found.run_started.key == "run_started/m/april"
    assert found.run_finished.key == "run_finished/m/april"
    assert found.release is None
    newest = reasoning(story.ledger, "m")
    assert newest.comparison.key == "comparison/m/may"
    assert newest.release == newest.live


def test_the_reasoning_of_one_run_holds_what_was_known_of_it_by_then(story):
    story.lease = story.ledger.acquire("m", "m/april")
    newest = from_json(Comparison, story.ledger.find("comparison/m/april").body)
    story.write("comparison", "april", newest, 2)
    assert reasoning(story.ledger, "m", run_key="m/april").comparison.key == "comparison#2/m/april"
    before = reasoning(story.ledger, "m", NOON + timedelta(hours=2), "m/april")
    assert before.comparison.key == "comparison/m/april"
    assert before.live.key == "release/m/may", "what is live is another question"
    assert reasoning(story.ledger, "m", NOON - timedelta(hours=1), "m/april").comparison is None


def test_an_instant_without_a_time_zone_is_refused(story):
    with pytest.raises(ValueError, match="time zone"):
        reasoning(story.ledger, "m", datetime(2026, 1, 1))  # noqa: DTZ001
    for by in ("recorded", "data"):
        with pytest.raises(ValueError, match="time zone"):
            as_of(story.ledger, "m", datetime(2026, 1, 1), by=by)  # noqa: DTZ001


def test_a_run_that_failed_before_it_began_is_told_with_its_reason():
    story = Story()
    story.lease = story.ledger.acquire("m", "m/march")
    failure = StepFailure("resolve_window", "BadConfiguration", "param as_of: no date", False)
    story.write("step_failed", "march", failure)
    story.write("run_finished", "march", RunReport("m/march", "m", None, "failed", None, None, "no"))
    (run,) = history(story.ledger, "m")
    assert (run.as_of, run.decision, run.failure) == (None, "failed", failure)
