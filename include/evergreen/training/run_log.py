"""What a training writes into its MLflow run.

The model is written to a folder, digested there and only then handed to MLflow. MLflow's own
`log_model` would load and run the model once more, and what could be digested would be only what comes
back from the store.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.artefacts import describe_folder, folder_digest
from evergreen.errors import ModelRefused, bounded
from evergreen.metric_spec import Task
from evergreen.redaction import redact
from evergreen.results import Candidate, ModelArtefact, Retrain, Snapshot
from evergreen.serving.model_files import REFERENCE_FILE, TRUSTED_TYPES, untrusted
from evergreen.serving.signature import input_types, output_shape
from evergreen.training.fit import Fitted, Measured

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY_TAG = "evergreen.candidate_key"
REFIT_TAG = "evergreen.refit_of"
REFIT_RUN_TAG = "evergreen.refit_of_run"
MODEL_ID_TAG = "evergreen.model_id"
LONGEST_PARAM = 500
LONGEST_TAG = 5000
LONGEST_DATASET_DIGEST = 36
MOST_PARAMS_AT_ONCE = 100
PINNED = ("scikit-learn", "skops", "numpy", "scipy", "pandas")


def tags(
    key: str, retrain: Retrain, snapshot: Snapshot, refit_of: Candidate | None = None
) -> dict[str, str]:
    """Return the tags that say what a run is and rests on.

    The run of a refit has no test window, as all was learnt from; it names the tested candidate.
    """
    spec, windows = retrain.model.spec, retrain.windows
    rests_on = {
        "evergreen.train_window": str(windows.train),
        "evergreen.test_window": str(windows.test),
    }
    if refit_of is not None:
        rests_on = {
            "evergreen.train_window": str(windows.whole),
            REFIT_TAG: refit_of.key,
            REFIT_RUN_TAG: refit_of.run_id,
        }
    found = {
        KEY_TAG: key,
        "evergreen.run_key": retrain.run_key,
        "evergreen.as_of": windows.as_of.isoformat(),
        **rests_on,
        "evergreen.snapshot": snapshot.digest,
        "evergreen.model_file": retrain.model.digest,
        "evergreen.reason": retrain.reason,
        "evergreen.code_version": retrain.code_version,
        "evergreen.owner": spec.owner,
        "evergreen.tier": spec.tier,
        "mlflow.note.content": spec.description,
    }
    return {name: redact(value)[:LONGEST_TAG] for name, value in found.items()}


def log_params(client: MlflowClient, run_id: str, retrain: Retrain) -> None:
    """Log what was chosen in the model file."""
    from mlflow.entities import Param

    spec = retrain.model.spec
    chosen = {f"params.{name}": value for name, value in spec.train.params.items()}
    params = {
        "estimator": spec.train.estimator or f"pipeline {spec.train.pipeline}",
        "seed": spec.train.seed,
        "gate.metric": spec.gate.metric_name,
        "data.train_window": spec.data.train_window,
        "data.test_window": spec.data.test_window,
        **chosen,
    }
    entities = [Param(name, bounded(redact(str(v)), LONGEST_PARAM)) for name, v in params.items()]
    for start in range(0, len(entities), MOST_PARAMS_AT_ONCE):
        client.log_batch(run_id, params=entities[start : start + MOST_PARAMS_AT_ONCE])


def log_metrics(client: MlflowClient, run_id: str, model_id: str, metrics: Mapping[str, float]) -> None:
    """Log the metrics to the run and to its model."""
    from mlflow.entities import Metric

    now = now_ms()
    entities = [
        Metric(name, value, now, 0, model_id=model_id, run_id=run_id) for name, value in metrics.items()
    ]
    client.log_batch(run_id, metrics=entities)


def log_dataset(client: MlflowClient, run_id: str, retrain: Retrain, snapshot: Snapshot) -> None:
    """Log which snapshot went in; its rows stay where they are."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    schema = [{"name": column.name, "type": column.type} for column in snapshot.columns]
    dataset = Dataset(
        name=retrain.model.spec.name,
        digest=snapshot.digest[:LONGEST_DATASET_DIGEST],  # the whole one is a tag of the run
        source_type="evergreen_snapshot",
        source=json.dumps({"uri": redact(snapshot.uri), "window": str(snapshot.window)}),
        schema=json.dumps({"columns": schema}),
        profile=json.dumps({"num_rows": snapshot.rows}),
    )
    context = [InputTag("mlflow.data.context", "train and test")]
    client.log_inputs(run_id, [DatasetInput(dataset, context)])


def log_plots(
    client: MlflowClient, run_id: str, tested: Measured, classes: tuple[str, ...], folder: Path
) -> None:
    """Log the pictures of the test window under plots/."""
    from evergreen.training.plots import plots

    folder.mkdir()
    task: Task = "classification" if classes else "regression"
    pictures = plots(task, tested.labels, tested.predictions, classes)
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    client.log_artifacts(run_id, str(folder), "plots")


def log_model(
    client: MlflowClient, run: Any, fitted: Fitted, needed: list[str], folder: Path
) -> tuple[ModelArtefact, str]:
    """Write the model's files, take their digests, then hand them to MLflow; with the model's id."""
    import mlflow.sklearn
    import numpy as np
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    from evergreen.profiles.baseline import BASELINE_FILE
    from evergreen.profiles.codec import baseline_to_bytes

    run_id = run.info.run_id
    logged = client.create_logged_model(
        run.info.experiment_id, name="model", source_run_id=run_id, model_type=fitted.task
    )
    client.set_tag(run_id, MODEL_ID_TAG, logged.model_id)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    mlflow.sklearn.save_model(
        fitted.model,
        str(folder),
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            run_id=run_id,
            model_id=logged.model_id,
            metadata={"evergreen.classes": list(fitted.classes)},
        ),
        serialization_format="skops",
        skops_trusted_types=needed,
        pip_requirements=_requirements(fitted.requirement),
        signature=_signature(fitted),
        input_example=fitted.example,
        pyfunc_predict_fn="predict_proba" if fitted.classes else "predict",
    )
    np.save(folder / REFERENCE_FILE, fitted.reference, allow_pickle=False)
    if fitted.watched is not None:
        (folder / BASELINE_FILE).write_bytes(baseline_to_bytes(fitted.watched))
    artefacts = describe_folder(folder)
    client.log_model_artifacts(logged.model_id, str(folder))
    return ModelArtefact(logged.artifact_location, folder_digest(artefacts), artefacts), logged.model_id


def needed_types(model: Any, file: Path, trusted_types: tuple[str, ...]) -> list[str]:
    """Return the types the model needs trusted, all of which are.

    Raises:
        ModelRefused: the model cannot be stored without pickle, or holds a type not trusted.
    """
    import skops.io

    try:
        skops.io.dump(model, file)
    except Exception as exc:
        raise ModelRefused(
            f"the fitted model cannot be stored without pickle: {type(exc).__name__}: {exc}",
            where="train.estimator",
            got=type(model).__name__,
            fix="use parts of scikit-learn, or classes whose attributes are plain values",
        ) from exc
    needed = untrusted(file)
    file.unlink()
    refused = sorted(needed - TRUSTED_TYPES.keys() - {*trusted_types})
    if refused:
        raise ModelRefused(
            "the fitted model holds types that are not trusted: it could not be loaded again",
            where="train.estimator",
            got=", ".join(refused),
            allowed="scikit-learn's own types and those named in EVERGREEN_TRUSTED_TYPES",
            fix=f"set EVERGREEN_TRUSTED_TYPES={','.join(refused)} if loading them can do no harm",
        )
    return sorted(needed)


def _requirements(further: str | None) -> list[str]:
    pinned = [f"{name}=={version(name)}" for name in PINNED]
    return [*pinned, further] if further else pinned


def _signature(fitted: Fitted) -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs: list[Any] = [
        ColSpec(kind, name, required=False) for name, kind in input_types(fitted.example).items()
    ]
    output = TensorSpec(np.dtype("float64"), output_shape(fitted.classes))
    return ModelSignature(Schema(inputs), Schema([output]))


def now_ms() -> int:
    """Return the time as MLflow writes it."""
    return time.time_ns() // 1_000_000
