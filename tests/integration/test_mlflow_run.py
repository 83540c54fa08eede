"""A run in a real MLflow: what it keeps, and what it comes to where a try fails or is tampered with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evergreen.adapters.mlflow_trainer import MlflowTrainer
from evergreen.errors import ArtefactDamaged, LeaseLost, ModelRefused, StoreUnavailable
from evergreen.results import Candidate
from evergreen.training import estimators
from tests.contracts.trainer import train
from tests.integration.mlflow_bench import client, folder_of, runs_of, trainer
from tests.integration.mlflow_store import MlflowStore
from tests.training_runs import regression_spec, rows_of, spec_of

__all__ = ["client", "trainer"]


def test_a_run_keeps_parameters_metrics_dataset_tags_and_pictures(
    trainer: MlflowTrainer, client: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = spec_of("keeps_all", params={"C": 0.5})
    candidate = train(trainer, "k", spec)
    run = client.get_run(candidate.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["params.C"] == "0.5"
    assert run.data.params["estimator"] == "sklearn.linear_model.LogisticRegression"
    assert run.data.metrics == pytest.approx(candidate.metrics)
    assert {
        "log_loss",
        "baseline_log_loss",
        "brier",
        "error_rate",
        "roc_auc",
    } <= candidate.metrics.keys()
    assert run.data.tags["evergreen.snapshot"] == "e" * 64
    assert run.data.tags["evergreen.model_file"] == "d" * 64
    assert run.data.tags["evergreen.run_key"] == "keeps_all/run-1"
    assert run.data.tags["evergreen.owner"] == "ops@example.com"
    dataset = run.inputs.dataset_inputs[0].dataset
    assert dataset.digest == "e" * 36
    assert json.loads(dataset.source)["uri"] == "file:///snapshots/e"
    pictures = {entry.path for entry in client.list_artifacts(candidate.run_id, "plots")}
    assert pictures == {"plots/roc.png", "plots/calibration.png"}
    assert capfd.readouterr().out == ""


def test_a_refit_keeps_no_metric_and_no_picture_and_names_what_was_tested(
    trainer: MlflowTrainer, client: Any
) -> None:
    spec = spec_of("refit_run")
    tested = train(trainer, "tested", spec)
    refit = train(trainer, "refit", spec, refit_of=tested, train=rows_of(280, 0))
    run = client.get_run(refit.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {}
    assert client.list_artifacts(refit.run_id, "plots") == []
    tags = run.data.tags
    assert tags["evergreen.refit_of"] == "tested"
    assert tags["evergreen.refit_of_run"] == tested.run_id
    assert tags["evergreen.train_window"] == "[2013-01-01T00:00Z, 2013-05-01T00:00Z)"
    assert "evergreen.test_window" not in tags
    assert "evergreen.refit_of" not in client.get_run(tested.run_id).data.tags


def test_attached_files_lie_under_evidence_and_the_last_of_a_name_counts(
    trainer: MlflowTrainer, client: Any
) -> None:
    candidate = train(trainer, "k", spec_of("attached_files"))
    trainer.attach(candidate, {"comparison.json": b"{}", "comparison.png": b"picture"})
    trainer.attach(candidate, {"comparison.json": b"[]"})
    run = client.get_run(candidate.run_id)
    folder = folder_of(run.info.artifact_uri) / "evidence"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        "comparison.json": b"[]",
        "comparison.png": b"picture",
    }
    assert run.info.status == "FINISHED"


def test_files_cannot_be_attached_outside_the_folder_or_to_a_deleted_run(
    trainer: MlflowTrainer, client: Any
) -> None:
    candidate = train(trainer, "k", spec_of("attached_outside"))
    with pytest.raises(ValueError, match="must stay inside"):
        trainer.attach(candidate, {"../candidate.json": b"{}"})
    client.delete_run(candidate.run_id)
    with pytest.raises(ArtefactDamaged, match=f"runs restore --run-id {candidate.run_id}"):
        trainer.attach(candidate, {"comparison.json": b"{}"})


def test_nothing_that_mlflow_holds_is_believed_in_place_of_a_training(
    trainer: MlflowTrainer, client: Any
) -> None:
    first = train(trainer, "k", spec_of("forged"))
    file = folder_of(client.get_run(first.run_id).info.artifact_uri) / "candidate.json"
    file.write_text(file.read_text().replace('"rows_trained": 200', '"rows_trained": 999999'))
    again = train(trainer, "k", spec_of("forged"))
    assert again.run_id != first.run_id
    assert again.rows_trained == 200


def test_a_run_left_open_after_it_was_remembered_is_finished_with_its_model(
    trainer: MlflowTrainer, client: Any
) -> None:
    candidate = train(trainer, "k", spec_of("left_open"))
    client.set_terminated(candidate.run_id, "FAILED")
    model_id = client.get_run(candidate.run_id).data.tags["evergreen.model_id"]
    client.finalize_logged_model(model_id, "FAILED")
    trainer.finish(candidate)
    assert client.get_run(candidate.run_id).info.status == "FINISHED"
    assert str(client.get_logged_model(model_id).status) == "READY"


def test_what_could_not_be_remembered_is_no_finished_run(trainer: MlflowTrainer, client: Any) -> None:
    def refuse(candidate: Candidate) -> None:
        assert client.get_run(candidate.run_id).info.status == "RUNNING"
        raise LeaseLost("another run took over")

    with pytest.raises(LeaseLost):
        train(trainer, "k", spec_of("refused"), refuse)
    assert [run.info.status for run in runs_of(client, "refused")] == ["FAILED"]


def test_a_remembered_run_that_was_deleted_is_named_with_the_way_back(
    trainer: MlflowTrainer, client: Any
) -> None:
    candidate = train(trainer, "k", spec_of("run_deleted"))
    client.delete_run(candidate.run_id)
    with pytest.raises(ArtefactDamaged, match=f"runs restore --run-id {candidate.run_id}"):
        trainer.finish(candidate)
    with pytest.raises(ArtefactDamaged, match="run 0123"):
        trainer.finish(replace(candidate, run_id="0123"))


def test_a_fit_that_fails_leaves_no_run(trainer: MlflowTrainer, client: Any) -> None:
    from evergreen.errors import TrainingFailed

    with pytest.raises(TrainingFailed, match="max_iter"):
        train(trainer, "k", spec_of("fails", params={"max_iter": -1}))
    assert runs_of(client, "fails") == []


class Untrusted:
    """A regressor that no list trusts."""

    def fit(self, frame: Any, targets: Any) -> Untrusted:
        return self

    def predict(self, frame: Any) -> np.ndarray:
        return np.zeros(len(frame))


def test_a_model_that_could_not_be_loaded_again_is_refused_before_it_is_logged(
    trainer: MlflowTrainer, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimators, "_registered", lambda *_: (lambda params, seed: Untrusted(), None))
    with pytest.raises(ModelRefused, match=r"Untrusted.*EVERGREEN_TRUSTED_TYPES"):
        train(trainer, "k", regression_spec("untrusted", pipeline="mine"))
    assert runs_of(client, "untrusted") == []


def test_artifacts_that_cannot_be_written_fail_the_run_and_a_retry_succeeds(
    mlflow_store: MlflowStore, client: Any, tmp_path: Path
) -> None:
    blocker = tmp_path / "artifacts"
    blocker.write_text("a file where the folder should be")
    trainer = MlflowTrainer(mlflow_store.tracking_uri, blocker.as_uri(), ())
    with pytest.raises(StoreUnavailable):
        train(trainer, "k", spec_of("blocked"))
    assert [run.info.status for run in runs_of(client, "blocked")] == ["FAILED"]
    blocker.unlink()
    candidate: Candidate = train(trainer, "k", spec_of("blocked"))
    assert client.get_run(candidate.run_id).info.status == "FINISHED"
