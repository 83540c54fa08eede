"""Every step's result travels as JSON and comes back as it was."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from evergreen.canonical import canonical
from evergreen.comparison import Comparison
from evergreen.hand import Deed, Restored
from evergreen.results import (
    STEP_RESULTS,
    Artefact,
    Candidate,
    ColumnType,
    ExpectationOutcome,
    ModelArtefact,
    Refit,
    Release,
    Retrain,
    RunReport,
    Snapshot,
    StepFailure,
    ValidationReport,
    Version,
    Withheld,
    from_json,
    to_json,
)
from evergreen.window import windows_at
from tests.comparisons import SERVING, comparison, slice_of
from tests.fakes.bench import MARCH, pinned

DATA = pinned().spec.data
WINDOWS = windows_at(MARCH, DATA.train_window, DATA.test_window, DATA.label.delay)
FILE = Artefact("model.skops", "a" * 64, 10)
MODEL = ModelArtefact("/artifacts/1", "b" * 64, (FILE,))
CANDIDATE = Candidate(
    "key", "run", "classification", MODEL, (ColumnType("x", "double"),), ("0", "1"), (0.8, 0.2),
    100, 50, {"log_loss": 0.5}, ("a warning",),
)  # fmt: skip
VERSION = Version("churn", 2, "key", MODEL)
RELEASE = Release("churn", VERSION, CANDIDATE, 1, datetime(2013, 3, 1, tzinfo=UTC), "local", "churn/one")
DEED = Deed("rollback", "ana", "it answers nonsense", 2)
OUTCOME = ExpectationOutcome(
    "expect_x", {"column": "x"}, "warning", False, "3 of 9", 3, ("1", "2"), None
)
RESULTS = (
    Retrain("churn/one", pinned(), WINDOWS, "test", "unopposed", "1"),
    Snapshot("/store/1", "c" * 64, WINDOWS.whole, 9, (ColumnType("x", "double"),), (FILE,)),
    ValidationReport(True, 9, (OUTCOME,), 3, "/q/rows.parquet", "/q/report.html", (FILE,)),
    CANDIDATE,
    comparison(notes=("a note",), slices=(slice_of("north"),)),
    Refit("key", CANDIDATE, SERVING, False, "it does not fit"),
    VERSION,
    RELEASE,
    replace(RELEASE, restored=Restored(DEED, "churn/one", RELEASE.as_of)),
    Withheld("version 1 is pinned by ana"),
    DEED,
    StepFailure("ingest", "SourceUnavailable", "no answer", True),
    RunReport("churn/one", "churn", None, "failed", None, None, "failed", ("a line",)),
)  # fmt: skip


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_a_result_comes_back_from_the_ledgers_json_as_it_was(result: object):
    plain = to_json(result)
    assert from_json(type(result), plain) == result
    assert canonical(plain) == canonical(to_json(from_json(type(result), plain)))


def test_no_kind_of_result_is_left_out():
    assert {type(result) for result in RESULTS} == set(STEP_RESULTS)


def test_a_release_of_before_there_were_rollbacks_is_still_read():
    older = to_json(RELEASE)
    del older["restored"]
    assert from_json(Release, older) == RELEASE


def test_a_comparison_of_before_the_three_answers_is_still_read():
    over = {"estimate": -0.06, "low": -0.1, "high": -0.02, "confidence": 0.95}
    plain = {
        "promote": True, "reasons": ["beats the baseline: by far"], "metric": "log_loss",
        "policy": "non_inferiority", "margin": 0.002, "rows": 900, "clusters": 30,
        "challenger_loss": 0.4, "champion_loss": None, "baseline_loss": 0.46, "over_champion": None,
        "over_baseline": over, "champion_version": None, "champion_seq": None, "notes": ["a note"],
    }  # fmt: skip
    found = from_json(Comparison, plain)
    assert (found.decision, found.promote, found.margin) == ("promote", True, "0.002")
    assert found.reasons == ("beats the baseline: by far",)
    assert str(found.against.interval) == "-0.06 (95% interval -0.1 to -0.02)"
    assert from_json(Comparison, to_json(found)) == found
    kept = plain | {"promote": False, "champion_loss": 0.4, "over_champion": None, "over_baseline": None}
    assert from_json(Comparison, kept).against.problem == "all test rows fall into one cluster"
