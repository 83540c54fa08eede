"""A model in a real MLflow: how to run it, what it learnt and answers, and files that were changed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from evergreen.adapters.child_scorer import ChildScorer
from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.artefacts import describe
from evergreen.errors import ArtefactDamaged
from evergreen.profiles.codec import baseline_from_bytes
from evergreen.training.fit import fit
from tests.contracts.trainer import train
from tests.integration.mlflow_bench import client, folder_of, trainer
from tests.integration.mlflow_store import MlflowStore
from tests.training_runs import regression_spec, retrain_of, rows_of, spec_of

__all__ = ["client", "trainer"]


def test_the_stored_model_says_how_to_run_it(trainer: MlflowTrainer, client: Any) -> None:
    import yaml

    candidate = train(trainer, "k", regression_spec("says_how"))
    folder = folder_of(candidate.model.uri)
    description = yaml.safe_load((folder / "MLmodel").read_text())
    assert description["flavors"]["sklearn"]["serialization_format"] == "skops"
    names = [column["name"] for column in json.loads(description["signature"]["inputs"])]
    assert names[:3] == ["distance", "carrier", "holiday"]
    requirements = (folder / "requirements.txt").read_text().split()
    assert all("==" in line for line in requirements)
    assert {line.partition("==")[0] for line in requirements} >= {"scikit-learn", "skops", "numpy"}
    assert len(json.loads((folder / "input_example.json").read_text())["data"]) == 5
    assert not list(folder.rglob("*.pkl"))
    logged = client.get_logged_model(description["model_id"])
    assert str(logged.status) == "READY"
    assert logged.source_run_id == candidate.run_id


def test_the_model_keeps_the_training_predictions_of_the_first_test_rows(
    trainer: MlflowTrainer, mlflow_store: MlflowStore
) -> None:
    test = rows_of(1100, 1)
    candidate = train(trainer, "k", spec_of("keeps_reference"), test=test)
    kept = np.load(folder_of(candidate.model.uri) / "reference.npy", allow_pickle=False)
    assert "reference.npy" in {artefact.name for artefact in candidate.model.artefacts}
    assert (kept.shape, kept.dtype) == ((1000, 2), np.float64)
    scored = ChildScorer(mlflow_store.tracking_uri, ()).predict(candidate, test.slice(0, 1000))
    np.testing.assert_allclose(kept, scored, atol=1e-12)


def test_the_baseline_is_one_of_the_models_own_files_and_the_same_rows_give_the_same(
    trainer: MlflowTrainer,
) -> None:
    one, other = (train(trainer, key, spec_of("baseline_file")) for key in ("a", "b"))
    kept = [folder_of(each.model.uri) / "baseline.json" for each in (one, other)]
    assert kept[0].read_bytes() == kept[1].read_bytes()
    assert describe(kept[0]) in one.model.artefacts


def test_a_refit_carries_the_features_that_it_learnt_and_the_answers_of_the_tested_model(
    trainer: MlflowTrainer, mlflow_store: MlflowStore
) -> None:
    spec = spec_of("refit_baseline")
    tested = train(trainer, "tested", spec)
    refit = train(trainer, "refit", spec, refit_of=tested, train=rows_of(280, 0))
    scorer = ChildScorer(mlflow_store.tracking_uri, ())
    contents = [scorer.baseline(candidate) for candidate in (tested, refit)]
    first, second = (baseline_from_bytes(content) for content in contents if content is not None)
    assert (first.features().rows, second.features().rows) == (200, 280)
    assert second.level == first.level
    assert second.calibrator == first.calibrator
    assert second.predictions().counts.tolist() == first.predictions().counts.tolist()


def test_a_baseline_that_was_changed_is_refused_by_the_watch_and_by_a_refit(
    trainer: MlflowTrainer, mlflow_store: MlflowStore
) -> None:
    spec = spec_of("baseline_changed")
    tested = train(trainer, "tested", spec)
    file = folder_of(tested.model.uri) / "baseline.json"
    file.write_bytes(file.read_bytes().replace(b'"log_loss"', b'"log_lose"'))
    with pytest.raises(ArtefactDamaged, match=r"altered file 'baseline\.json'"):
        ChildScorer(mlflow_store.tracking_uri, ()).baseline(tested)
    with pytest.raises(ArtefactDamaged, match=r"altered file 'baseline\.json'"):
        train(trainer, "refit", spec, refit_of=tested, train=rows_of(280, 0))


def test_the_scorer_answers_what_the_trained_model_answered(
    trainer: MlflowTrainer, mlflow_store: MlflowStore
) -> None:
    spec = spec_of("same_answer", estimator="sklearn.ensemble.HistGradientBoostingClassifier")
    candidate = train(trainer, "k", spec)
    scored = ChildScorer(mlflow_store.tracking_uri, ()).predict(candidate, rows_of(80, 1))
    here = fit(spec, rows_of(200, 0), rows_of(80, 1), retrain_of(spec).windows).tested
    assert here is not None
    np.testing.assert_allclose(scored, here.predictions, atol=1e-12)


def test_a_model_file_swapped_after_training_is_refused(
    trainer: MlflowTrainer, mlflow_store: MlflowStore
) -> None:
    honest, other = (train(trainer, key, spec_of("swapped")) for key in ("a", "b"))
    file = folder_of(honest.model.uri) / "MLmodel"
    file.write_bytes((folder_of(other.model.uri) / "MLmodel").read_bytes())
    with pytest.raises(ArtefactDamaged, match="altered file 'MLmodel'"):
        ChildScorer(mlflow_store.tracking_uri, ()).predict(honest, rows_of(5, 1))
    with pytest.raises(ArtefactDamaged, match="altered file 'MLmodel'"):
        ChildScorer(mlflow_store.tracking_uri, ()).verify(honest)
