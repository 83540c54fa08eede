"""Fits, stores and loads honest models, one of every estimator; prints what became of each."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.utils import all_estimators

from evergreen.errors import EvergreenError
from evergreen.serving.model_files import MODEL_FILE, fetch, load
from tests.hostile.trial import NO_TRACKING
from tests.stored_models import honest


def estimators() -> Iterator[tuple[Any, str]]:
    """Yield every estimator of scikit-learn that predicts and can be made as it is, with its task."""
    for task in ("classifier", "regressor"):
        for _, kind in all_estimators(task):
            if task == "regressor" or hasattr(kind, "predict_proba"):
                with suppress(TypeError):  # one that is made of others
                    yield kind(), task


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")  # of estimators that scikit-learn will do without
    rng = np.random.default_rng(0)
    rows = np.abs(rng.normal(size=(60, 3)))
    labels = {"classifier": (rows[:, 0] > 0.7).astype(int), "regressor": np.exp(rows[:, 0])}
    found = {}
    for number, (estimator, task) in enumerate(estimators()):
        try:
            estimator.fit(rows, labels[task])
        except ValueError:  # several outputs, or one column only: no model of Evergreen's
            continue
        stored = honest(folder / str(number))
        stored.write(MODEL_FILE, skops.io.dumps(estimator))
        try:
            loaded = load(fetch(stored.recorded(), NO_TRACKING, folder / f"copy {number}"))
        except EvergreenError as exc:
            found[type(estimator).__name__] = f"refused: {exc}"
            continue
        same = np.allclose(loaded.predict(rows), estimator.predict(rows), rtol=1e-12)
        found[type(estimator).__name__] = "as before" if same else "another answer"
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
