"""A real MLflow: what a run keeps, and what killed, damaged or racing tries come to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evergreen.adapters.child_scorer import ChildScorer
from evergreen.adapters.mlflow_registry import MlflowRegistry
from evergreen.adapters.mlflow_trainer import MlflowTrainer, _experiment
from evergreen.artefacts import describe
from evergreen.errors import (
    ArtefactDamaged,
    BadConfiguration,
    LeaseLost,
    ModelRefused,
    StoreUnavailable,
)
from evergreen.failpoints import EXIT_CODE
from evergreen.profiles.codec import baseline_from_bytes
from evergreen.results import Candidate
from evergreen.serving.tracking import open_client
from evergreen.training import estimators
from evergreen.training.fit import fit
from tests.contracts.trainer import train
from tests.integration.mlflow_process import train_register_release
from tests.integration.mlflow_store import MlflowStore
from tests.training_runs import regression_spec, retrain_of, rows_of, spec_of

FAILPOINTS = [
    "train.run_created",
    "train.model_logged",
    "train.candidate_logged",
    "train.remembered",
    "train.model_ready",
    "register.version_created",
    "register.aliased",
    "release.alias_moved",
]


@pytest.fixture
def trainer(mlflow_store: MlflowStore) -> MlflowTrainer:
    return MlflowTrainer(mlflow_store.tracking_uri, mlflow_store.artifact_uri, ())


@pytest.fixture
def client(mlflow_store: MlflowStore) -> Any:
    return open_client(mlflow_store.tracking_uri)


def runs_of(client: Any, model: str, where: str = "") -> list[Any]:
    experiment = client.get_experiment_by_name(model)
    return list(client.search_runs([experiment.experiment_id], where))


def folder_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


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


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_process_killed_at_any_point_and_retried_ends_as_if_never_killed(
    failpoint: str, mlflow_store: MlflowStore, client: Any
) -> None:
    model = "killed_" + failpoint.replace(".", "_")
    uris = (mlflow_store.tracking_uri, mlflow_store.artifact_uri)
    command = [sys.executable, "-m", "tests.integration.mlflow_process", *uris, model]
    killed = subprocess.run(
        command, env=os.environ | {"EVERGREEN_FAIL": failpoint}, capture_output=True, check=False
    )
    assert killed.returncode == EXIT_CODE, killed.stderr
    candidate, number = train_register_release(*uris, model)
    assert (candidate, number) == train_register_release(*uris, model)
    assert number == 1
    found = runs_of(client, model, "tags.`evergreen.candidate_key` = 'key'")
    assert [(run.info.run_id, run.info.status) for run in found] == [(candidate.run_id, "FINISHED")]
    assert {run.info.status for run in runs_of(client, model)} <= {"FINISHED", "KILLED"}
    aliases = client.get_registered_model(model).aliases
    assert {alias: int(version) for alias, version in aliases.items()} == {"champion": 1}
    version = client.get_model_version(model, "1")
    assert version.tags["evergreen.candidate_key"] == "key"
    assert version.tags["evergreen.run_key"] == "run"
    assert len(client.search_model_versions(f"name = '{model}'")) == 1


def test_nothing_that_mlflow_holds_is_believed_in_place_of_a_training(
    trainer: MlflowTrainer, client: Any
) -> None:
    first = train(trainer, "k", spec_of("forged"))
    file = folder_of(client.get_run(first.run_id).info.artifact_uri) / "candidate.json"
    file.write_text(file.read_text().replace('"rows_trained": 200', '"rows_trained": 999999'))
    again = train(trainer, "k", spec_of("forged"))
    assert again.run_id != first.run_id
    assert again.rows_trained == 200


def test_a_version_of_other_files_under_the_candidates_key_is_refused(
    trainer: MlflowTrainer, mlflow_store: MlflowStore, client: Any
) -> None:
    candidate = train(trainer, "k", spec_of("adopted"))
    client.create_registered_model("adopted")
    client.create_model_version("adopted", "/elsewhere", tags={"evergreen.candidate_key": "k"})
    with pytest.raises(ModelRefused, match="another run or other files"):
        MlflowRegistry(mlflow_store.tracking_uri).register("adopted", candidate, {})


def test_a_version_of_another_run_under_the_candidates_key_is_refused(
    trainer: MlflowTrainer, mlflow_store: MlflowStore, client: Any
) -> None:
    candidate, other = (train(trainer, key, spec_of("other_run")) for key in ("k", "k2"))
    client.create_registered_model("other_run")
    tags = {"evergreen.candidate_key": "k"}
    client.create_model_version("other_run", candidate.model.uri, run_id=other.run_id, tags=tags)
    with pytest.raises(ModelRefused, match=rf"got run {other.run_id}.*allowed: run {candidate.run_id}"):
        MlflowRegistry(mlflow_store.tracking_uri).register("other_run", candidate, {})


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


def test_processes_that_make_the_experiment_at_once_get_the_same(
    mlflow_store: MlflowStore, client: Any
) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: _experiment(client, "raced", mlflow_store.artifact_uri), range(8)))
    assert len(ids) == 1
    location = client.get_experiment(ids.pop()).artifact_location
    assert location == f"{mlflow_store.artifact_uri}/raced"


def test_processes_that_open_a_new_store_at_once_all_find_it_whole(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    code = "import sys; from evergreen.serving.tracking import open_client; open_client(sys.argv[1])"
    command = [sys.executable, "-c", f"{code}.search_experiments()", uri]
    killed = subprocess.run(
        command, env=os.environ | {"EVERGREEN_FAIL": "tracking.migrated"}, check=False
    )
    assert killed.returncode == EXIT_CODE
    openers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    said = [opener.communicate()[1] for opener in openers]
    assert [opener.returncode for opener in openers] == [0, 0, 0], said
    assert not list((tmp_path / "new").glob(".mlflow.db.new*"))


def test_an_experiment_made_by_another_between_look_and_make_is_used(
    mlflow_store: MlflowStore, client: Any
) -> None:
    made = client.create_experiment("made_between")

    class Late:
        """Looks once before the other process made the experiment."""

        looked = False

        def get_experiment_by_name(self, name: str) -> Any:
            first, self.looked = not self.looked, True
            return None if first else client.get_experiment_by_name(name)

        create_experiment = client.create_experiment

    assert _experiment(Late(), "made_between", mlflow_store.artifact_uri) == made


@pytest.mark.parametrize("uri", ["foo://host/name", "mysql://host/name"])
def test_a_tracking_address_of_no_known_kind_is_not_tried_again(uri: str) -> None:
    with pytest.raises(BadConfiguration, match="correct EVERGREEN_TRACKING"):
        open_client(uri)


def test_a_deleted_experiment_is_named_with_the_way_back(trainer: MlflowTrainer, client: Any) -> None:
    train(trainer, "k", spec_of("deleted"))
    client.delete_experiment(client.get_experiment_by_name("deleted").experiment_id)
    with pytest.raises(BadConfiguration, match="mlflow experiments restore"):
        train(trainer, "k2", spec_of("deleted"))


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


def test_a_user_of_mlflow_can_run_the_champion_by_its_alias(
    trainer: MlflowTrainer, mlflow_store: MlflowStore
) -> None:
    import mlflow

    candidate = train(trainer, "k", spec_of("by_alias"))
    registry = MlflowRegistry(mlflow_store.tracking_uri)
    registry.move_champion(registry.register("by_alias", candidate, {}), None)
    mlflow.set_tracking_uri(mlflow_store.tracking_uri)
    try:
        model = mlflow.sklearn.load_model("models:/by_alias@champion")
    finally:
        mlflow.set_tracking_uri(None)
    assert model.n_features_in_ == 8


def test_an_unreachable_database_is_said_at_once_without_its_password() -> None:
    trainer = MlflowTrainer("postgresql+psycopg://bob:hunter22@127.0.0.1:9/mlflow", "/nowhere", ())
    with pytest.raises(StoreUnavailable) as caught:
        train(trainer, "k", spec_of("any"))
    assert "bob:***@127.0.0.1" in str(caught.value)
    assert "hunter22" not in str(caught.value)


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
