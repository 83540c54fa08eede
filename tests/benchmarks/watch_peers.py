"""Evidently and NannyML, each in an environment of its own: what they say of windows of rows.

    python -m tests.benchmarks.watch_peers --install DIR    make the environments (once, some minutes)

NannyML does not resolve beside Airflow, and neither package is needed but here. This file is both ends:
imported, it hands files and questions to a peer's Python; run by that Python, it answers. So it imports
nothing but the standard library until it knows which of the two it is.

An answer is a number for each thing that the peer judges and each window: how far it lies from what the
peer expects, in units of the peer's own default tolerance. The peer alarms where one exceeds 1; to scale
its thresholds by `m` is to compare with `m` instead, and nothing is measured again.

    evidently drift         value of the test that `DataDriftPreset` picks for the column, over 0.1
    evidently performance   |metric / reference - 1| over 20%, for the metrics of `ClassificationQuality`
    nannyml drift           (Jensen-Shannon - mean) / (3 standard deviations), both of reference chunks
    nannyml estimate        the same, both ways, of the area under the ROC curve that CBPE estimates
    nannyml performance     the same of the realised area

Evidently draws plots with every value, 1.4 s a window and more. Here its own test functions are called
without them, and the first window of each run is given to the real preset too: if that says anything
else, the run fails. NannyML is called as its users call it, and its own alarms must be those of the
rule above.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Peer = Literal["evidently", "nannyml"]
Measure = Literal["drift", "estimate", "performance"]

# NannyML 0.13.1 imports statsmodels without asking for it.
PACKAGES: dict[Peer, tuple[str, ...]] = {
    "evidently": ("evidently==0.7.23", "pandas<3", "pyarrow"),
    "nannyml": ("nannyml==0.13.1", "pandas<3", "pyarrow", "statsmodels"),
}
DEFAULT_FOLDER = Path(os.environ.get("EVERGREEN_PEERS", Path.home() / ".cache" / "evergreen" / "peers"))
LABEL, PROBABILITY, DECISION = "label", "probability", "decision"
DISTANCE, TOLERANCE, DEVIATIONS = 0.1, 0.2, 3


@dataclass(frozen=True, slots=True)
class Question:
    """Two Parquet files, and what is asked about each `rows` rows of the second.

    The reference has the columns of the windows; for all but drift both have `probability`, and where
    `label` is needed, that.
    """

    measure: Measure
    reference: str
    windows: str
    rows: int


def install(folder: Path) -> None:
    """Make an environment for each peer; one that is there is left alone."""
    for peer, packages in PACKAGES.items():
        if python_of(peer, folder).is_file() and _answers(peer, folder):
            continue
        venv.create(folder / peer, with_pip=True, clear=True)
        command = [str(python_of(peer, folder)), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(command, check=True)


def python_of(peer: Peer, folder: Path) -> Path:
    """Return the peer's own Python."""
    return folder / peer / "bin" / "python"


def installed(folder: Path) -> bool:
    """Return whether both peers can be asked."""
    return all(python_of(peer, folder).is_file() for peer in PACKAGES)


def ask(peer: Peer, questions: Sequence[Question], folder: Path) -> list[dict[str, list[float]]]:
    """Return an answer for each question: by thing judged, a number for each window.

    Raises:
        RuntimeError: the peer failed; the message ends as its errors do.
    """
    with tempfile.TemporaryDirectory() as place:
        asked, answered = Path(place) / "asked.json", Path(place) / "answered.json"
        asked.write_text(json.dumps([asdict(each) for each in questions]), encoding="utf-8")
        done = subprocess.run(
            [str(python_of(peer, folder)), __file__, "--peer", peer, str(asked), str(answered)],
            env={**os.environ, **_QUIET},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{peer} failed: {done.stderr[-2000:]}")
        found: list[dict[str, list[float]]] = json.loads(answered.read_text(encoding="utf-8"))
        return found


_QUIET = {
    "NML_DISABLE_USAGE_LOGGING": "1",
    "DO_NOT_TRACK": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONPATH": "",
}


def _answers(peer: Peer, folder: Path) -> bool:
    command = [str(python_of(peer, folder)), "-c", f"import {peer}"]
    return not subprocess.run(command, env={**os.environ, **_QUIET}, capture_output=True).returncode


def answer(peer: Peer, questions: Sequence[Question]) -> list[dict[str, list[float]]]:
    """Answer as the peer; runs in the peer's environment."""
    import pandas as pd

    warnings.simplefilter("ignore")
    found, checked = [], set[Measure]()
    for each in questions:
        reference, windows = pd.read_parquet(each.reference), pd.read_parquet(each.windows)
        work = _WORK[peer, each.measure]
        found.append(work(reference, windows, each.rows, check=each.measure not in checked))
        checked.add(each.measure)
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


def main() -> None:
    """Install the peers, or answer as one of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--install", type=Path, metavar="DIR", help="make both environments in there")
    parser.add_argument("--peer", choices=sorted(PACKAGES), help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.install:
        install(arguments.install)
    if arguments.peer:
        asked, answered = arguments.files
        questions = [Question(**each) for each in json.loads(asked.read_text(encoding="utf-8"))]
        found = answer(arguments.peer, questions)
        answered.write_text(json.dumps(found), encoding="utf-8")
        sys.stderr.write(f"{len(questions)} answered\n")


if __name__ == "__main__":
    main()
