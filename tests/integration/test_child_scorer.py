"""The child that runs models: what it may know and do, and what its death becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import skops.io

from evergreen.adapters.child_scorer import ChildScorer
from evergreen.errors import DataUnusable, EvergreenError, ModelRefused, ScoringInterrupted
from evergreen.results import Candidate, ColumnType
from tests.odd_models import Odd
from tests.stored_models import StoredModel, honest, with_loader_module, with_system_call

ROWS = pa.table({"x": [1.0, 2.0]})


@pytest.fixture
def stored(tmp_path: Path) -> StoredModel:
    return honest(tmp_path)


def candidate_of(stored: StoredModel, classes: tuple[str, ...] = ()) -> Candidate:
    return Candidate(
        key="k",
        run_id="r",
        task="classification" if classes else "regression",
        model=stored.recorded(),
        features=(ColumnType("x", "double"),),
        classes=classes,
        baseline=(0.5,),
        rows_trained=2,
        rows_tested=2,
        metrics={},
    )


def odd(stored: StoredModel, deed: str) -> Candidate:
    stored.write("model.skops", skops.io.dumps(Odd(deed)))
    return candidate_of(stored)


def scorer(timeout_seconds: float = 60) -> ChildScorer:
    return ChildScorer("sqlite:////no/such/place", ("tests.odd_models.Odd",), timeout_seconds)


@pytest.mark.parametrize("make_hostile", [with_loader_module, with_system_call])
def test_a_hostile_model_is_refused_by_the_child_and_runs_nothing(
    make_hostile: Callable[[StoredModel], None], stored: StoredModel
) -> None:
    make_hostile(stored)
    with pytest.raises(ModelRefused, match=r"candidate k.*(evil_loader|posix\.mkdir)"):
        scorer().predict(candidate_of(stored, ("0", "1")), ROWS)
    assert not stored.marker.exists()


def test_the_child_knows_no_credentials(stored: StoredModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AIRFLOW_CONN_DB",
        "AWS_SECRET_ACCESS_KEY",
        "EVERGREEN_LEDGER",
        "MLFLOW_TRACKING_TOKEN",
    ):
        monkeypatch.setenv(name, "hunter22")
    with pytest.raises(ModelRefused, match=r"exit code 5.*ENV") as caught:
        scorer().predict(odd(stored, "say_environment"), ROWS)
    known = set(str(caught.value).partition("ENV ")[2].split("'")[0].split())
    assert {"HOME", "PATH", "PYTHONPATH", "TMPDIR"} <= known
    allowed = {"LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OMP_WAIT_POLICY"}
    allowed |= {"HOME", "PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "TMPDIR"}
    # Set by libraries as they are imported, not handed over.
    assert known - allowed <= {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"}


@pytest.mark.parametrize(
    ("deed", "error", "message"),
    [
        ("fail_with_secret", ModelRefused, r"exit code 1.*RuntimeError.*bob:\*\*\*@db"),
        ("crash", ModelRefused, "signal 11"),
        ("be_killed", ScoringInterrupted, "signal 9.*out of memory"),
        ("start_program", ModelRefused, "tried to leave its process; got subprocess.Popen"),
        ("answer_nothing", DataUnusable, "cannot be run on these rows.*columns are missing"),
    ],
)
def test_a_child_that_fails_says_how(
    stored: StoredModel, deed: str, error: type[EvergreenError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        scorer().predict(odd(stored, deed), ROWS)
    assert "hunter22" not in str(caught.value)


def test_a_child_that_takes_too_long_is_ended(stored: StoredModel) -> None:
    with pytest.raises(ScoringInterrupted, match="longer than 3 seconds"):
        scorer(timeout_seconds=3).predict(odd(stored, "sleep"), ROWS)


def test_predictions_that_are_no_probabilities_are_refused(stored: StoredModel) -> None:
    with pytest.raises(DataUnusable, match=r"another shape.*\(2, 2\); allowed: \(2, 3\)"):
        scorer().predict(candidate_of(stored, ("0", "1", "2")), ROWS)


def test_a_column_of_another_type_is_refused_before_any_child_starts(stored: StoredModel) -> None:
    rows = pa.table({"x": ["1", "2"]})
    unfetchable = replace(candidate_of(stored), model=replace(stored.recorded(), uri="file:///no"))
    with pytest.raises(DataUnusable, match=r"'x'.*got string; allowed: double"):
        scorer().predict(unfetchable, rows)
