"""Whether a model is fit to serve: what it is held against, and the faults that are found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from evergreen.comparison import Serving
from evergreen.errors import ModelRefused
from evergreen.results import ColumnType
from evergreen.serving.one_thread import one_thread
from evergreen.serving.probe import probe
from evergreen.serving.signature import signature_faults
from evergreen.training.frame import feature_frame
from tests.stored_models import StoredModel, answering, honest

ROWS = pa.table({"x": np.linspace(-1, 1, 50), "c": ["a", "b"] * 25})
FEATURES = (ColumnType("x", "double"), ColumnType("c", "string"))
REFERENCE_ROWS = 40


def probed(stored: StoredModel, rows: pa.Table = ROWS, reference_rows: int = REFERENCE_ROWS) -> Serving:
    trusted = ["tests.odd_models.Answering"]
    return probe(stored.folder, rows, FEATURES, (), reference_rows, trusted, round_seconds=0.001)


def test_a_model_that_does_all_it_must_has_no_fault(tmp_path: Path) -> None:
    serving = probed(answering(tmp_path, "well", ROWS, REFERENCE_ROWS))
    assert serving.faults == ()
    assert (serving.reproduced_rows, serving.largest_deviation) == (40, 0.0)
    assert (serving.single_rows, serving.batch_rows) == (200, 50)
    assert serving.size_bytes == sum(f.stat().st_size for f in (tmp_path / "stored").iterdir())


@pytest.mark.parametrize(
    ("manner", "fault"),
    [
        ("not_nulls", "the model has no answer to a row of nulls: ValueError: x is missing"),
        (
            "not_the_unseen",
            "the model has no answer to a row of categories that it never saw: the model predicts "
            "values that are not finite; got 1 of 1; look for features far outside their range in "
            "training",
        ),
        ("by_company", "the model answers rows otherwise alone than among others: 200 of 200"),
    ],
)
def test_a_model_that_fails_one_of_its_tasks_has_that_fault(
    tmp_path: Path, manner: str, fault: str
) -> None:
    stored = answering(tmp_path, manner, ROWS, REFERENCE_ROWS)
    if manner == "by_company":
        well = np.load(stored.folder / "reference.npy", allow_pickle=False)
        stored.refer(well - well.mean())
    serving = probed(stored)
    assert serving.faults == (fault,)
    assert serving.largest_deviation == 0
    assert serving.rows_per_second > 0


def test_last_bits_that_differ_alone_and_in_a_batch_are_no_fault(tmp_path: Path) -> None:
    stored = answering(tmp_path, "a_little_by_company", ROWS, REFERENCE_ROWS)
    serving = probed(stored)
    assert serving.faults == ()
    assert serving.largest_deviation == pytest.approx(40e-12, rel=1e-3)


def test_a_model_that_answers_by_chance_deviates_from_its_training(tmp_path: Path) -> None:
    serving = probed(answering(tmp_path, "by_chance", ROWS, REFERENCE_ROWS))
    assert 0 < serving.largest_deviation < 1
    assert serving.faults == ("the model answers rows otherwise alone than among others: 200 of 200",)


@pytest.mark.parametrize(("manner", "error"), [("never", "KeyError: 'y'"), ("not_one_alone", "shape")])
def test_a_model_that_cannot_be_run_has_no_speed_and_says_why_once(
    tmp_path: Path, manner: str, error: str
) -> None:
    serving = probed(answering(tmp_path, manner, ROWS, REFERENCE_ROWS))
    assert [fault for fault in serving.faults if "on the test rows" in fault and error in fault]
    assert len(serving.faults) == len(set(serving.faults)) == 3
    assert (serving.median_ms, serving.single_rows, serving.rows_per_second) == (0, 0, 0)


@pytest.mark.parametrize("error", [MemoryError, ModelRefused])
def test_what_is_no_fault_of_the_model_is_raised(
    tmp_path: Path, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.odd_models import Answering

    def refuse(model: Answering, frame: object) -> np.ndarray:
        raise error("not here")

    stored = answering(tmp_path, "well", ROWS, REFERENCE_ROWS)
    monkeypatch.setattr(Answering, "well", refuse)
    with pytest.raises(error, match="not here"):
        probed(stored)


@pytest.mark.parametrize(
    ("predictions", "fault"),
    [
        (np.zeros(39), r"no finite float64 of shape \(40,\), but float64 of shape \(39,\)"),
        (np.zeros((40, 1)), r"but float64 of shape \(40, 1\)"),
        (np.zeros(40, dtype=np.float32), "but float32"),
        (np.full(40, np.nan), "no finite float64"),
    ],
)
def test_reference_predictions_that_cannot_be_compared_are_a_fault(
    tmp_path: Path, predictions: np.ndarray, fault: str
) -> None:
    stored = answering(tmp_path, "well", ROWS, REFERENCE_ROWS)
    stored.refer(predictions)
    serving = probed(stored)
    assert len(serving.faults) == 1
    assert re.search(fault, serving.faults[0])
    assert serving.reproduced_rows == 0
    assert serving.rows_per_second > 0


def test_a_reference_that_is_missing_or_a_pickle_is_a_fault_and_not_run(tmp_path: Path) -> None:
    stored = answering(tmp_path, "well", ROWS, REFERENCE_ROWS)
    stored.write("reference.npy", stored.pickle())
    assert "cannot be read" in probed(stored).faults[0]
    assert not stored.marker.exists()
    (stored.folder / "reference.npy").unlink()
    assert "cannot be read" in probed(stored).faults[0]


def test_other_rows_than_those_of_the_reference_deviate(tmp_path: Path) -> None:
    stored = answering(tmp_path, "well", ROWS, REFERENCE_ROWS)
    serving = probed(stored, ROWS.slice(1))
    assert serving.largest_deviation == pytest.approx(1 + 2 * 2 / 49)


@pytest.mark.parametrize(
    ("rows", "reference_rows", "faults"),
    [
        (
            ROWS,
            0,
            (
                "no predictions of the training process are kept: it was trained by an earlier version "
                "of Evergreen, and a new run trains it anew",
            ),
        ),
        (
            ROWS.slice(0, 39),
            40,
            ("predictions of the training process are kept of 40 rows, and only 39 of them were given",),
        ),
        (
            ROWS.slice(0, 0),
            40,
            (
                "predictions of the training process are kept of 40 rows, and only 0 of them were given",
                "there are no rows to measure on",
            ),
        ),
    ],
)
def test_too_few_rows_are_faults(
    tmp_path: Path, rows: pa.Table, reference_rows: int, faults: tuple[str, ...]
) -> None:
    stored = answering(tmp_path, "well", ROWS, REFERENCE_ROWS)
    serving = probed(stored, rows, reference_rows)
    assert serving.faults == faults
    assert serving.batch_rows == rows.num_rows


@pytest.mark.parametrize(
    ("inputs", "shape", "fault"),
    [
        ([("c", "string"), ("x", "double")], [-1], '"name": "c".* in the place of .*"name": "x"'),
        ([("x", "long"), ("c", "string")], [-1], '"type": "long".* in the place of .*"double"'),
        ([("x", "double")], [-1], "1 instead of 2"),
        ([("x", "double"), ("c", "string")], [-1, 2], r"another output: .*\[-1, 2\].* gives .*\[-1\]"),
    ],
)
def test_a_signature_that_says_otherwise_is_a_fault(
    tmp_path: Path, inputs: list[tuple[str, str]], shape: list[int], fault: str
) -> None:
    stored = answering(tmp_path, "well", ROWS, REFERENCE_ROWS)
    frame = feature_frame(ROWS, FEATURES)
    assert signature_faults(stored.folder, frame, ()) == []
    stored.sign(inputs, shape)
    (said,) = signature_faults(stored.folder, frame, ())
    assert re.search(fault, said)


def test_a_description_without_a_signature_is_a_fault(tmp_path: Path) -> None:
    frame = feature_frame(ROWS, FEATURES)
    (said,) = signature_faults(honest(tmp_path).folder, frame, ())
    assert said == "the model's description holds no signature that can be read"


def test_one_thread_is_one_thread_for_all_that_computes() -> None:
    import joblib
    import sklearn.ensemble  # noqa: F401 - loads what is held to one thread
    from threadpoolctl import threadpool_info

    with one_thread():
        assert joblib.effective_n_jobs(4) == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert joblib.effective_n_jobs(4) == 4


def test_the_peak_of_memory_is_that_of_the_process_alone() -> None:
    ballast = b"x" * 400_000_000
    command = [sys.executable, "-c", "from evergreen.serving.probe import peak_memory as p; print(p())"]
    peak = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert 5_000_000 < peak < len(ballast)
