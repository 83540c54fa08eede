"""The child that runs models: what it may know and do, and what its death becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import skops.io

from evergreen.adapters.child_scorer import ChildScorer
from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.comparison import Serving
from evergreen.errors import (
    ArtefactDamaged,
    DataUnusable,
    EvergreenError,
    ModelRefused,
    ScoringInterrupted,
)
from evergreen.results import Candidate, ColumnType
from tests.contracts.trainer import train
from tests.integration.mlflow_store import MlflowStore
from tests.odd_models import Odd
from tests.stored_models import (
    StoredModel,
    answering,
    honest,
    with_loader_module,
    with_system_call,
)
from tests.training_runs import regression_spec, rows_of, spec_of

ROWS = pa.table({"x": [1.0, 2.0]})
PROBED = pa.table({"x": np.linspace(-1, 1, 50), "c": ["a", "b"] * 25})


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
    trusted = ("tests.odd_models.Answering", "tests.odd_models.Odd")
    return ChildScorer("sqlite:////no/such/place", trusted, timeout_seconds)


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


def probed(
    stored: StoredModel, rows: pa.Table = PROBED, reference_rows: int = 40, timeout_seconds: float = 60
) -> Serving:
    columns = (ColumnType("x", "double"), ColumnType("c", "string"))
    candidate = replace(candidate_of(stored), features=columns, reference_rows=reference_rows)
    return scorer(timeout_seconds).probe(candidate, rows)


def test_a_model_that_answers_otherwise_in_another_process_deviates(tmp_path: Path) -> None:
    serving = probed(answering(tmp_path, "by_process", PROBED, 40))
    assert serving.reproduced_rows == 40
    assert serving.largest_deviation >= 1
    assert serving.faults == ()


def test_faults_are_told_without_secrets_and_the_rest_is_measured(tmp_path: Path) -> None:
    stored = answering(tmp_path, "not_nulls_with_secret", PROBED, 40)
    stored.sign([("x", "long"), ("c", "string")], [-1])
    serving = probed(stored)
    signature, nulls = serving.faults
    assert signature.startswith("the model's signature declares other inputs")
    assert nulls.endswith("RuntimeError: cannot reach postgresql://bob:***@db/x")
    assert (serving.reproduced_rows, serving.largest_deviation) == (40, 0)
    assert 0 < serving.median_ms <= serving.p99_ms
    assert serving.memory_bytes > 50_000_000


@pytest.mark.parametrize(
    ("manner", "error", "message"),
    [
        ("starting_a_program", ModelRefused, "tried to leave its process; got subprocess.Popen"),
        ("out_of_memory", ScoringInterrupted, "ran out of memory: no room"),
    ],
)
def test_a_probe_that_cannot_be_made_says_why(
    tmp_path: Path, manner: str, error: type[EvergreenError], message: str
) -> None:
    with pytest.raises(error, match=message):
        probed(answering(tmp_path, manner, PROBED, 40))


def test_a_probe_that_takes_too_long_is_ended(stored: StoredModel) -> None:
    with pytest.raises(ScoringInterrupted, match="longer than 3 seconds"):
        scorer(timeout_seconds=3).probe(odd(stored, "sleep"), ROWS)


def test_a_file_altered_since_it_was_recorded_is_no_fault_but_damage(tmp_path: Path) -> None:
    stored = answering(tmp_path, "well", PROBED, 40)
    candidate = candidate_of(stored)
    stored.refer(np.ones(40))
    with pytest.raises(ArtefactDamaged, match=r"altered file 'reference\.npy'"):
        scorer().probe(candidate, ROWS)


ESTIMATORS: dict[str, dict[str, Any]] = {
    "sklearn.ensemble.HistGradientBoostingClassifier": {"max_iter": 20},
    "sklearn.ensemble.RandomForestClassifier": {"n_estimators": 20, "n_jobs": 2},
    "sklearn.neighbors.KNeighborsClassifier": {},
    "sklearn.neural_network.MLPClassifier": {"max_iter": 5},
    "sklearn.ensemble.HistGradientBoostingRegressor": {"max_iter": 20},
}


@pytest.mark.parametrize(
    ("estimator", "label"),
    [(name, "minutes" if name.endswith("Regressor") else "late") for name in ESTIMATORS]
    + [("sklearn.ensemble.HistGradientBoostingClassifier", "three")],
)
def test_each_kind_of_estimator_gives_its_training_predictions_again_to_the_last_bit(
    mlflow_store: MlflowStore, estimator: str, label: str
) -> None:
    name = f"again_{estimator.rpartition('.')[2].lower()}_{label}"
    params = ESTIMATORS[estimator]
    if label == "minutes":
        spec = regression_spec(name, estimator=estimator, params=params)
    else:
        spec = spec_of(name, estimator=estimator, params=params, label=label)
    rows, test = (rows_with(label, n, seed) for n, seed in ((400, 0), (1100, 1)))
    trainer = MlflowTrainer(mlflow_store.tracking_uri, mlflow_store.artifact_uri, ())
    candidate = train(trainer, "k", spec, train=rows, test=test)
    serving = ChildScorer(mlflow_store.tracking_uri, ()).probe(candidate, test)
    assert serving.faults == ()
    assert (serving.reproduced_rows, serving.largest_deviation, serving.batch_rows) == (1000, 0, 1100)


def rows_with(label: str, n: int, seed: int) -> pa.Table:
    """Return rows with many categories, some missing numbers and a label of one of three kinds."""
    rows = rows_of(n, seed, label="minutes" if label == "minutes" else "late")
    rows = rows.append_column("tail", pa.array([f"tail{i % 60}" for i in range(n)]))
    missing = pa.array([None if i % 9 == 0 else i / n for i in range(n)])
    rows = rows.append_column("age", missing)
    if label == "three":
        late = rows.column("late").to_pylist()
        kinds = [
            "late" if is_late else ("early" if i % 3 else "on time") for i, is_late in enumerate(late)
        ]
        rows = rows.drop_columns(["late"]).append_column("three", pa.array(kinds))
    return rows
