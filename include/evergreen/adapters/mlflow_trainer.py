"""Trains challengers and keeps each as an MLflow run: parameters, metrics, model, plots, evidence.

The experiment is the model's name. A run counts only when it is FINISHED and its last artifact,
`candidate.json`, is the one its tag names; the run of a killed try is closed and never found again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.errors import BadConfiguration
from evergreen.failpoints import failpoint
from evergreen.results import Candidate, Retrain, Snapshot, from_json, to_json
from evergreen.serving.model_files import MODEL_FILE, private_folder
from evergreen.serving.tracking import answering, open_client
from evergreen.training import run_log
from evergreen.training.run_log import KEY_TAG, MODEL_ID_TAG

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow import MlflowClient

    from evergreen.training.fit import Fitted

log = logging.getLogger(__name__)

CANDIDATE_FILE = "candidate.json"
ABANDONED_TAG = "evergreen.abandoned_key"
DIGEST_TAG = "evergreen.candidate_digest"


class MlflowTrainer:
    """Trains in this process and logs to MLflow.

    Args:
        tracking_uri: MLflow's.
        artifact_uri: Folder or bucket under which new experiments keep their artifacts.
        trusted_types: Types a model may hold besides Evergreen's own list.
    """

    def __init__(self, tracking_uri: str, artifact_uri: str, trusted_types: tuple[str, ...]) -> None:
        self._tracking_uri = tracking_uri
        self._artifact_uri = artifact_uri.rstrip("/")
        self._trusted_types = trusted_types

    def find(self, model: str, key: str) -> Candidate | None:
        """Return the finished candidate of this key, or None.

        Raises:
            StoreUnavailable: the tracking server did not answer.
        """
        client = open_client(self._tracking_uri)
        with answering(self._tracking_uri):
            experiment = client.get_experiment_by_name(model)
            if experiment is None:
                return None
            return _find(client, experiment.experiment_id, key)

    def train(
        self, key: str, retrain: Retrain, snapshot: Snapshot, train: pa.Table, test: pa.Table
    ) -> Candidate:
        """Train on `train`, measure on `test`, log the run and return the candidate.

        The same key again returns the candidate that is there.

        Raises:
            DataUnusable: one class, no usable feature, or too few rows.
            TrainingFailed: an unknown estimator or parameter, or the fit failed.
            ModelRefused: the fitted model holds a type that could not be loaded again.
            StoreUnavailable: the tracking server did not answer.
        """
        from evergreen.training.fit import fit

        client = open_client(self._tracking_uri)
        with answering(self._tracking_uri):
            experiment_id = _experiment(client, retrain.model.spec.name, self._artifact_uri)
            found = _find(client, experiment_id, key)
            if found is not None:
                return found
            _abandon(client, experiment_id, key)
        started = run_log.now_ms()
        fitted = fit(retrain.model.spec, train, test)
        with private_folder() as folder:
            needed = run_log.needed_types(fitted.model, folder / MODEL_FILE, self._trusted_types)
            with answering(self._tracking_uri), redirect_stdout(sys.stderr):
                run = client.create_run(
                    experiment_id,
                    start_time=started,
                    tags=run_log.tags(key, retrain, snapshot),
                    run_name=f"{retrain.windows.as_of:%Y-%m-%d}",
                )
                return _log(client, run, key, snapshot, retrain, fitted, needed, folder)


def _experiment(client: MlflowClient, model: str, artifact_uri: str) -> str:
    """Return the id of the model's experiment, made where it is missing, whoever is first."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(model)
    if experiment is None:
        try:
            return client.create_experiment(model, artifact_location=f"{artifact_uri}/{model}")
        except MlflowException as exc:
            experiment = client.get_experiment_by_name(model)
            if experiment is None:
                raise exc from None
    if experiment.lifecycle_stage != "active":
        raise BadConfiguration(
            "the model's experiment was deleted in MLflow",
            where=f"experiment {model!r}",
            fix=f"restore it: mlflow experiments restore -x {experiment.experiment_id}",
        )
    return str(experiment.experiment_id)


def _find(client: MlflowClient, experiment_id: str, key: str) -> Candidate | None:
    """Return the candidate of the earliest whole run of this key."""
    where = f"tags.`{KEY_TAG}` = '{key}' and attributes.status = 'FINISHED'"
    for run in client.search_runs([experiment_id], where, order_by=["attributes.start_time ASC"]):
        candidate = _read_candidate(client, run)
        if candidate is not None and candidate.key == key and candidate.run_id == run.info.run_id:
            return candidate
        log.warning("run %s has no candidate that verifies and is not used", run.info.run_id)
    return None


def _read_candidate(client: MlflowClient, run: Any) -> Candidate | None:
    with private_folder() as folder:
        names = {entry.path for entry in client.list_artifacts(run.info.run_id)}
        if CANDIDATE_FILE not in names:
            return None
        client.download_artifacts(run.info.run_id, CANDIDATE_FILE, str(folder))
        content = (folder / CANDIDATE_FILE).read_bytes()
    if hashlib.sha256(content).hexdigest() != run.data.tags.get(DIGEST_TAG):
        return None
    return from_json(Candidate, json.loads(content))


def _abandon(client: MlflowClient, experiment_id: str, key: str) -> None:
    """Close what killed tries of this key left, so that it can never be found."""
    for run in client.search_runs([experiment_id], f"tags.`{KEY_TAG}` = '{key}'"):
        run_id = run.info.run_id
        log.warning("closing run %s, which an earlier try of this training left", run_id)
        client.set_tag(run_id, ABANDONED_TAG, key)
        client.delete_tag(run_id, KEY_TAG)
        if run.info.status not in {"FINISHED", "FAILED", "KILLED"}:
            client.set_terminated(run_id, "KILLED")
        model_id = run.data.tags.get(MODEL_ID_TAG)
        if model_id:
            client.finalize_logged_model(model_id, "FAILED")


def _log(
    client: MlflowClient,
    run: Any,
    key: str,
    snapshot: Snapshot,
    retrain: Retrain,
    fitted: Fitted,
    needed: list[str],
    folder: Path,
) -> Candidate:
    run_id = run.info.run_id
    failpoint("train.run_created")
    try:
        run_log.log_params(client, run_id, retrain)
        run_log.log_dataset(client, run_id, retrain, snapshot)
        run_log.log_plots(client, run_id, fitted, folder / "plots")
        artefact, model_id = run_log.log_model(client, run, fitted, needed, folder / "model")
        failpoint("train.model_logged")
        run_log.log_metrics(client, run_id, model_id, fitted.metrics)
        candidate = Candidate(
            key=key,
            run_id=run_id,
            task=fitted.task,
            model=artefact,
            features=fitted.features,
            classes=fitted.classes,
            baseline=fitted.baseline,
            rows_trained=fitted.rows_trained,
            rows_tested=fitted.rows_tested,
            metrics=fitted.metrics,
            warnings=fitted.warnings,
        )
        _log_candidate(client, run_id, candidate, folder / CANDIDATE_FILE)
        failpoint("train.candidate_logged")
        client.finalize_logged_model(model_id, "READY")
        failpoint("train.model_ready")
        client.set_terminated(run_id, "FINISHED")
    except BaseException:
        with suppress(Exception):
            client.set_terminated(run_id, "FAILED")
        raise
    for warning in fitted.warnings:
        log.info("warning: %s", warning)  # the run's report says them to people
    return candidate


def _log_candidate(client: MlflowClient, run_id: str, candidate: Candidate, file: Path) -> None:
    content = json.dumps(to_json(candidate), sort_keys=True, indent=1).encode()
    file.write_bytes(content)
    client.set_tag(run_id, DIGEST_TAG, hashlib.sha256(content).hexdigest())
    client.log_artifact(run_id, str(file))
