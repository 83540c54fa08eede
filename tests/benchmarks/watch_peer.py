"""What Evidently or NannyML says of windows of rows; run by the Python of the one that is asked.

`watch_peers` says what is asked and what a number means. Evidently draws plots with every value, 1.4 s
a window and more. Here its own test functions are called without them, and the first window of each run
is given to the real preset too: if that says anything else, the run fails. NannyML is called as its
users call it, and its own alarms must be those that the numbers give.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

LABEL, PROBABILITY, DECISION = "label", "probability", "decision"
DISTANCE, TOLERANCE, DEVIATIONS = 0.1, 0.2, 3


def answer(peer: str, questions: list[dict[str, Any]]) -> list[dict[str, list[float]]]:
    """Return an answer for each question, which is a `watch_peers.Question` as JSON."""
    import pandas as pd

    warnings.simplefilter("ignore")
    found, checked = [], set[str]()
    for each in questions:
        measure, rows = each["measure"], each["rows"]
        reference, windows = pd.read_parquet(each["reference"]), pd.read_parquet(each["windows"])
        work = _WORK[peer, measure]
        found.append(work(reference, windows, rows, check=measure not in checked))
        checked.add(measure)
    return found


def _evidently_drift(reference: Any, windows: Any, rows: int, *, check: bool) -> dict[str, list[float]]:
    import numpy as np
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    found: dict[str, list[float]] = {}
    for name in reference:
        text = reference[name].dtype == object
        kind = ColumnType.Categorical if text else ColumnType.Numerical
        old, new = _plain(reference[name], windows[name], text)
        parts = [part.dropna() for part in _parts(new, rows)]
        test = get_stattest(old.dropna(), parts[0], kind, None)
        old = old.dropna() if text else np.sort(old.dropna())
        found[name] = [
            float(test(old, part if text else part.to_numpy(), kind, None).drift_score) / DISTANCE
            for part in parts
        ]
    if check:
        from evidently.presets import DataDriftPreset

        said = _evidently_report(DataDriftPreset(), reference, windows[:rows], None)
        _same("drift", {name: values[0] * DISTANCE for name, values in found.items()}, said)
    return found


def _plain(old: Any, new: Any, text: bool) -> tuple[Any, Any]:
    """Return both as numbers, categories as their codes: what is counted stays; it is only quicker."""
    import pandas as pd

    if not text:
        return old, new
    codes = pd.Series(pd.factorize(pd.concat([old, new]))[0])
    codes = codes.where(codes >= 0)
    return codes[: len(old)], codes[len(old) :]


def _evidently_performance(
    reference: Any, windows: Any, rows: int, *, check: bool
) -> dict[str, list[float]]:
    expected = _qualities(reference)
    measured = [_qualities(window) for window in _parts(windows, rows)]
    if check:
        from evidently.presets import ClassificationQuality

        _same(
            "performance",
            measured[0],
            _evidently_report(ClassificationQuality(), reference, windows[:rows], LABEL),
        )
    return {
        name: [abs(each[name] / value - 1) / TOLERANCE for each in measured]
        for name, value in expected.items()
    }


def _qualities(rows: Any) -> dict[str, float]:
    """Return what `ClassificationQuality` measures."""
    from sklearn import metrics

    label, probability = rows[LABEL].to_numpy(), rows[PROBABILITY].to_numpy()
    decision = (probability >= 0.5).astype(int)
    (tn, fp), (fn, tp) = metrics.confusion_matrix(label, decision)
    return {
        "Accuracy": (tp + tn) / len(rows),
        "Precision": tp / (tp + fp),
        "Recall": tp / (tp + fn),
        "F1Score": 2 * tp / (2 * tp + fp + fn),
        "RocAuc": metrics.roc_auc_score(label, probability),
        "LogLoss": metrics.log_loss(label, probability),
        "TPR": tp / (tp + fn),
        "TNR": tn / (tn + fp),
        "FPR": fp / (tn + fp),
        "FNR": fn / (tp + fn),
    }


def _evidently_report(
    preset: Any, reference: Any, window: Any, label: str | None
) -> dict[str, tuple[float, bool]]:
    """Return value and alarm of each thing that the real preset tests."""
    from evidently import BinaryClassification, DataDefinition, Dataset, Report

    texts = [name for name in reference if reference[name].dtype == object]
    definition = DataDefinition(
        categorical_columns=texts + ([label] if label else []),
        numerical_columns=[name for name in reference if name not in texts and name != label],
        classification=[BinaryClassification(target=label, prediction_probas=PROBABILITY, pos_label=1)]
        if label
        else None,
    )
    both = [Dataset.from_pandas(rows, data_definition=definition) for rows in (window, reference)]
    said = Report([preset], include_tests=True).run(*both).dict()
    failed = {each["metric_config"]["metric_id"]: each["status"] for each in said["tests"]}
    return {
        each["config"].get("column") or each["metric_name"].partition("(")[0]: (
            float(each["value"]),
            str(getattr(failed[each["id"]], "value", failed[each["id"]])) == "FAIL",
        )
        for each in said["metrics"]
        if not isinstance(each["value"], dict)
    }


def _same(what: str, ours: dict[str, float], said: dict[str, tuple[float, bool]]) -> None:
    """Fail where Evidently's preset does not say what its functions, called by themselves, said."""
    wrong = [name for name in ours if abs(ours[name] - said[name][0]) > 1e-9 * (1 + abs(ours[name]))]
    if what == "drift":
        wrong += [name for name in ours if (ours[name] >= DISTANCE) != said[name][1]]
    if wrong or set(ours) != set(said):
        raise RuntimeError(f"Evidently's preset says otherwise of {what}: {wrong}, {sorted(said)}")


def _nannyml_drift(reference: Any, windows: Any, rows: int, *, check: bool) -> dict[str, list[float]]:
    from nannyml import UnivariateDriftCalculator

    names = list(reference)
    calculator = UnivariateDriftCalculator(column_names=names, chunk_size=rows).fit(reference)
    frame = calculator.calculate(windows).to_df()
    return {name: _beyond(frame, name, "jensen_shannon") for name in names}


def _nannyml_estimate(reference: Any, windows: Any, rows: int, *, check: bool) -> dict[str, list[float]]:
    from nannyml import CBPE

    estimator = CBPE(
        problem_type="classification_binary",
        y_pred_proba=PROBABILITY,
        y_pred=DECISION,
        y_true=LABEL,
        metrics=["roc_auc"],
        chunk_size=rows,
    ).fit(_decided(reference))
    frame = estimator.estimate(_decided(windows.drop(columns=LABEL, errors="ignore"))).to_df()
    return {"roc_auc": _beyond(frame, "roc_auc", None, "realized")}


def _nannyml_performance(
    reference: Any, windows: Any, rows: int, *, check: bool
) -> dict[str, list[float]]:
    from nannyml import PerformanceCalculator

    calculator = PerformanceCalculator(
        problem_type="classification_binary",
        y_pred_proba=PROBABILITY,
        y_pred=DECISION,
        y_true=LABEL,
        metrics=["roc_auc"],
        chunk_size=rows,
    ).fit(_decided(reference))
    return {"roc_auc": _beyond(calculator.calculate(_decided(windows)).to_df(), "roc_auc", None)}


def _decided(rows: Any) -> Any:
    return rows.assign(**{DECISION: (rows[PROBABILITY] >= 0.5).astype(int)})


def _beyond(frame: Any, name: str, method: str | None, of: str = "value") -> list[float]:
    """Return how far each window lies from the mean of the reference's chunks, over 3 deviations."""
    one = frame[name][method] if method else frame[name]
    later = frame["chunk", "chunk", "period"] if method else frame["chunk", "period"]
    later = later.eq("analysis")
    known = one[of][~later]
    beyond = (one["value"][later] - known.mean()) / (DEVIATIONS * known.std(ddof=0))
    if not method:
        beyond = beyond.abs()
    if ((beyond > 1) != one["alert"][later].astype(bool)).any():
        raise RuntimeError(f"NannyML's own alarms of {name} are others")
    values: list[float] = beyond.astype(float).tolist()
    return values


def _parts(windows: Any, rows: int) -> list[Any]:
    return [windows[start : start + rows] for start in range(0, len(windows), rows)]


_WORK = {
    ("evidently", "drift"): _evidently_drift,
    ("evidently", "performance"): _evidently_performance,
    ("nannyml", "drift"): _nannyml_drift,
    ("nannyml", "estimate"): _nannyml_estimate,
    ("nannyml", "performance"): _nannyml_performance,
}


def main(peer: str, asked: str, answered: str) -> None:
    """Read questions from one file and write the answers to another."""
    found = answer(peer, json.loads(Path(asked).read_text(encoding="utf-8")))
    Path(answered).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
