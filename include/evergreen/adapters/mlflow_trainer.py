"""Trains challengers and keeps each as an MLflow run: parameters, metrics, model, plots, evidence.

The experiment is the model's name. Whoever may write to MLflow may write anything there, so nothing is
read back to decide on: the ledger remembers the candidate before its run is FINISHED. The run of a try
that was killed before is closed and its key taken away.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.errors import ArtefactDamaged, BadConfiguration
from evergreen.failpoints import failpoint
from evergreen.paths import contained
from evergreen.results import Candidate, Retrain, Snapshot, to_json
from evergreen.serving.model_files import MODEL_FILE, fetch_file, private_folder
from evergreen.serving.tracking import answering, open_client
from evergreen.training import run_log
from evergreen.training.candidate import candidate_of
from evergreen.training.run_log import KEY_TAG, MODEL_ID_TAG

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow import MlflowClient

    from evergreen.profiles.baseline import Baseline
    from evergreen.training.fit import Fitted

log = logging.getLogger(__name__)

CANDIDATE_FILE = "candidate.json"
EVIDENCE_FOLDER = "evidence"
ABANDONED_TAG = "evergreen.abandoned_key"


class MlflowTrainer:
    """Trains in this process and logs to MLflow.

    Args:
        tracking_uri: MLflow's.
        artifact_uri: Folder or bucket under which new experiments keep their artifacts; None: where the
            tracking server keeps them.
        trusted_types: Types a model may hold besides Evergreen's own list.
    """

    def __init__(
        self, tracking_uri: str, artifact_uri: str | None, trusted_types: tuple[str, ...]
    ) -> None:
        self._tracking_uri = tracking_uri
        self._artifact_uri = artifact_uri
        self._trusted_types = trusted_types

    def train(
        self,
        key: str,
        retrain: Retrain,
        snapshot: Snapshot,
        train: pa.Table,
        test: pa.Table,
        remember: Callable[[Candidate], None],
        refit_of: Candidate | None = None,
    ) -> Candidate:
        """Train on `train`, measure on `test`, log the run and return the candidate.

        A refit learns from the test rows, too, so its run has neither metrics nor pictures of them.

        Raises:
            DataUnusable: one class, no usable feature, or too few rows.
            TrainingFailed: an unknown estimator or parameter, or the fit failed.
            ModelRefused: the fitted model holds a type that could not be loaded again.
            ArtefactDamaged: for a refit, the tested candidate's files are not what was recorded.
            StoreUnavailable: the tracking server did not answer.
        """
        from evergreen.training.fit import fit

        client = open_client(self._tracking_uri)
        with answering(self._tracking_uri):
            experiment_id = _experiment(client, retrain.model.spec.name, self._artifact_uri)
            _abandon(client, experiment_id, key)
        started = run_log.now_ms()
        fitted = fit(
            retrain.model.spec,
            train,
            test,
            retrain.windows,
            refit_of=refit_of,
            tested_baseline=None if refit_of is None else self._baseline(refit_of),
        )
        with private_folder() as folder:
            needed = run_log.needed_types(fitted.model, folder / MODEL_FILE, self._trusted_types)
            with answering(self._tracking_uri), redirect_stdout(sys.stderr):
                run = client.create_run(
                    experiment_id,
                    start_time=started,
                    tags=run_log.tags(key, retrain, snapshot, refit_of),
                    run_name=f"{retrain.windows.as_of:%Y-%m-%d}" + (" refit" if refit_of else ""),
                )
                return _log(
                    client, run, key, snapshot, retrain, fitted, needed, folder, remember, refit_of
                )

    def attach(self, candidate: Candidate, files: Mapping[str, bytes]) -> None:
        """Keep files (by name) under evidence/ of the candidate's run, over those of the same name.

        Raises:
            ArtefactDamaged: the run was deleted.
            StoreUnavailable: the tracking server did not answer.
        """
        client = open_client(self._tracking_uri)
        with private_folder() as folder, answering(self._tracking_uri), redirect_stdout(sys.stderr):
            _remembered_run(client, candidate)
            for name, content in files.items():
                file = contained(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            client.log_artifacts(candidate.run_id, str(folder), EVIDENCE_FOLDER)

    def finish(self, candidate: Candidate) -> None:
        """Close the run of a remembered candidate, where a killed try left it open. Safe to repeat.

        Raises:
            ArtefactDamaged: the run was deleted.
            StoreUnavailable: the tracking server did not answer.
        """
        client = open_client(self._tracking_uri)
        with answering(self._tracking_uri):
            run = _remembered_run(client, candidate)
            if run.info.status != "FINISHED":
                _finish(client, candidate.run_id, run.data.tags.get(MODEL_ID_TAG))

    def _baseline(self, tested: Candidate) -> Baseline | None:
        from evergreen.profiles.baseline import BASELINE_FILE
        from evergreen.profiles.codec import baseline_from_bytes

        content = fetch_file(tested.model, BASELINE_FILE, self._tracking_uri)
        return None if content is None else baseline_from_bytes(content)


def _remembered_run(client: MlflowClient, candidate: Candidate) -> Any:
    from mlflow.exceptions import MlflowException

    run = None
    try:
        run = client.get_run(candidate.run_id)
    except MlflowException as exc:
        if exc.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    if run is None or run.info.lifecycle_stage != "active":
        raise ArtefactDamaged(
            "the run of a model that was trained already is deleted in MLflow",
            where=f"run {candidate.run_id}",
            fix=f"restore it: mlflow runs restore --run-id {candidate.run_id}; or change the model file "
            "(train.seed, say) and start a new run, which trains anew",
        )
    return run


def _experiment(client: MlflowClient, model: str, artifact_uri: str | None) -> str:
    """Return the id of the model's experiment, made where it is missing, whoever is first."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(model)
    if experiment is None:
        location = None if artifact_uri is None else f"{artifact_uri.rstrip('/')}/{model}"
        try:
            return client.create_experiment(model, artifact_location=location)
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


def _abandon(client: MlflowClient, experiment_id: str, key: str) -> None:
    """Close what killed tries of this key left; a FINISHED run is one that the ledger remembers."""
    where = f"tags.`{KEY_TAG}` = '{key}' and attributes.status != 'FINISHED'"
    for run in client.search_runs([experiment_id], where):
        run_id = run.info.run_id
        log.warning("closing run %s, which an earlier try of this training left", run_id)
        client.set_tag(run_id, ABANDONED_TAG, key)
        client.delete_tag(run_id, KEY_TAG)
        if run.info.status not in {"FAILED", "KILLED"}:
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
    remember: Callable[[Candidate], None],
    refit_of: Candidate | None,
) -> Candidate:
    run_id = run.info.run_id
    failpoint("train.run_created")
    try:
        run_log.log_params(client, run_id, retrain)
        run_log.log_dataset(client, run_id, retrain, snapshot)
        if fitted.tested is not None:
            run_log.log_plots(client, run_id, fitted.tested, fitted.classes, folder / "plots")
        artefact, model_id = run_log.log_model(client, run, fitted, needed, folder / "model")
        failpoint("train.model_logged")
        candidate = candidate_of(key, run_id, artefact, fitted, refit_of)
        run_log.log_metrics(client, run_id, model_id, candidate.metrics)
        _log_candidate(client, run_id, candidate, folder / CANDIDATE_FILE)
        failpoint("train.candidate_logged")
        remember(candidate)
        failpoint("train.remembered")
        _finish(client, run_id, model_id)
    except BaseException:
        with suppress(Exception):
            client.set_terminated(run_id, "FAILED")
        raise
    for warning in fitted.warnings:
        log.info("warning: %s", warning)  # the run's report says them to people
    return candidate


def _finish(client: MlflowClient, run_id: str, model_id: str | None) -> None:
    if model_id:
        client.finalize_logged_model(model_id, "READY")
    failpoint("train.model_ready")
    client.set_terminated(run_id, "FINISHED")


def _log_candidate(client: MlflowClient, run_id: str, candidate: Candidate, file: Path) -> None:
    """Keep the candidate beside its model for people to read; no code reads it."""
    file.write_text(json.dumps(to_json(candidate), sort_keys=True, indent=1), encoding="utf-8")
    client.log_artifact(run_id, str(file))
