"""The only place where trained models are loaded.

A model's own files are not believed. What is loaded is the one skops file of a fixed name, out of a
private copy whose every byte has the digest the ledger recorded, and it may hold no type but those
that this module and `EVERGREEN_TRUSTED_TYPES` name. MLflow's `MLmodel` file could name code to run
(`loader_module`, `code`), files elsewhere (`pickled_model`) and types to trust: it is only checked
for saying nothing of the kind.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from evergreen.artefacts import folder_digest, verify
from evergreen.document import read_document
from evergreen.errors import ArtefactDamaged, InvalidModelFile, ModelRefused
from evergreen.paths import contained
from evergreen.results import Artefact, ModelArtefact
from evergreen.serving.tracking import answering, import_mlflow

MODEL_FILE = "model.skops"
DESCRIPTION_FILE = "MLmodel"
REFERENCE_FILE = "reference.npy"
"""What the training process predicted for the first test rows: float64, never a pickle."""

_TREES = "arrays of a fitted tree; compiled, calls nothing"
_DISTANCES = "compiled distance function without state of its own"
_LOSSES = "compiled loss function without state of its own"
_PARTS = "part of a fitted scikit-learn estimator; plain attributes, each checked by itself"
# What skops does not trust by itself, with the reason why a model may hold it.
TRUSTED_TYPES: Mapping[str, str] = {
    "functools.partial": "the function inside and its arguments must be trusted by themselves",
    "numpy.dtype": "names a type of numbers",
    "scipy.sparse._csr.csr_matrix": "arrays of numbers, which SciPy reads without pickle",
    "sklearn._loss.loss.HalfGammaLoss": _LOSSES,
    "sklearn._loss.loss.HalfPoissonLoss": _LOSSES,
    "sklearn._loss.loss.HalfSquaredError": _LOSSES,
    "sklearn._loss.loss.HalfTweedieLoss": _LOSSES,
    "sklearn._loss.loss.HalfTweedieLossIdentity": _LOSSES,
    "sklearn.calibration._CalibratedClassifier": _PARTS,
    "sklearn.calibration._SigmoidCalibration": _PARTS,
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": _TREES,
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace": _PARTS,
    "sklearn.gaussian_process.kernels.ConstantKernel": _PARTS,
    "sklearn.gaussian_process.kernels.Product": _PARTS,
    "sklearn.gaussian_process.kernels.RBF": _PARTS,
    "sklearn.metrics._dist_metrics.EuclideanDistance64": _DISTANCES,
    "sklearn.metrics._dist_metrics.ManhattanDistance64": _DISTANCES,
    "sklearn.metrics._dist_metrics.MinkowskiDistance64": _DISTANCES,
    "sklearn.neighbors._ball_tree.BallTree": _TREES,
    "sklearn.neighbors._kd_tree.KDTree": _TREES,
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer": _PARTS,
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer": _PARTS,
    "sklearn.tree._tree.Tree": _TREES,
    "sklearn.utils.validation.check_array": "checks and converts an array",
}


@contextmanager
def private_folder() -> Iterator[Path]:
    """Give a folder that only this user can read (mode 0700), removed at the end of the block."""
    with TemporaryDirectory(prefix="evergreen-") as folder:
        yield Path(folder)


def fetch(model: ModelArtefact, tracking_uri: str, into: Path) -> Path:
    """Copy the model's files to the folder `into` and verify each against the ledger's record.

    Returns:
        `into`, which holds exactly the recorded files.

    Raises:
        ArtefactDamaged: a file is missing, added, of another size, or not the bytes recorded.
        StoreUnavailable: the artifact store did not answer.
    """
    _check_list(model)
    import_mlflow()
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    for artefact in model.artefacts:
        _inside(into, artefact.name)
    with answering(tracking_uri):
        store: Any = get_artifact_repository(model.uri, tracking_uri=tracking_uri)
        _compare_listing(dict(_listing(store, model.artefacts)), model)
        for artefact in model.artefacts:
            store.download_artifacts(artefact.name, str(into))
    verify(into, model.artefacts)
    return into


def fetch_file(model: ModelArtefact, name: str, tracking_uri: str) -> bytes | None:
    """Return one of the model's files, verified against the ledger's record; None: it never had one.

    Raises:
        ArtefactDamaged: the file is missing or not the bytes recorded.
        StoreUnavailable: the artifact store did not answer.
    """
    _check_list(model)
    recorded = [artefact for artefact in model.artefacts if artefact.name == name]
    if not recorded:
        return None
    import_mlflow()
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with private_folder() as folder:
        _inside(folder, name)
        with answering(tracking_uri):
            store: Any = get_artifact_repository(model.uri, tracking_uri=tracking_uri)
            _compare_listing(dict(_listing(store, model.artefacts)), model)
            store.download_artifacts(name, str(folder))
        verify(folder, recorded)
        return _inside(folder, name).read_bytes()


def load(folder: Path, trusted_types: Collection[str] = ()) -> Any:
    """Return the scikit-learn estimator in a folder that `fetch` made.

    Call this in a process that holds nothing worth stealing.

    Args:
        folder: Private copy, already verified.
        trusted_types: From our own configuration, on top of `TRUSTED_TYPES`.

    Raises:
        ModelRefused: no plain scikit-learn model in skops format, or one with a type not trusted.
    """
    import skops.io

    _check_description(folder)
    file = _inside(folder, MODEL_FILE)
    if not zipfile.is_zipfile(file):
        raise ModelRefused(
            "the model file is not in skops format", where=MODEL_FILE, allowed="skops", fix=_RETRAIN
        )
    _check_packing(file)
    needed = untrusted(file)
    refused = sorted(needed - TRUSTED_TYPES.keys() - {*trusted_types})
    if refused:
        raise ModelRefused(
            "the model holds types that are not trusted",
            where=MODEL_FILE,
            got=", ".join(refused),
            allowed="scikit-learn's own types and those named in EVERGREEN_TRUSTED_TYPES",
            fix="name them in EVERGREEN_TRUSTED_TYPES if loading them can do no harm",
        )
    try:
        return skops.io.load(file, trusted=sorted(needed))
    except Exception as exc:
        raise ModelRefused(
            f"the model file cannot be read: {type(exc).__name__}: {exc}", where=MODEL_FILE, fix=_RETRAIN
        ) from exc


def untrusted(file: Path) -> frozenset[str]:
    """Return the types a skops file holds that skops does not trust by itself; runs nothing of it.

    Raises:
        ModelRefused: the file is not one that skops can read.
    """
    import skops.io

    try:
        return frozenset(skops.io.get_untrusted_types(file=file))
    except Exception as exc:
        raise ModelRefused(
            f"the model file cannot be read: {type(exc).__name__}: {exc}", where=file.name, fix=_RETRAIN
        ) from exc


_RETRAIN = "retrain the model with Evergreen"


def _check_packing(file: Path) -> None:
    """Refuse a file that holds more than its own size: Evergreen stores models unpacked."""
    try:
        with zipfile.ZipFile(file) as members:
            unpacked = sum(member.file_size for member in members.infolist())
    except (OSError, ValueError, zipfile.BadZipFile) as exc:
        raise ModelRefused(
            f"the model file cannot be read: {exc}", where=MODEL_FILE, fix=_RETRAIN
        ) from exc
    size = file.stat().st_size
    if unpacked > size:
        raise ModelRefused(
            "the model file unpacks to more than its size",
            where=MODEL_FILE,
            got=f"{unpacked} bytes",
            allowed=f"{size} bytes",
            fix=_RETRAIN,
        )


def _check_list(model: ModelArtefact) -> None:
    if folder_digest(model.artefacts) != model.digest:
        raise ArtefactDamaged(
            "the list of files does not have the model's digest",
            where=model.uri,
            got=folder_digest(model.artefacts),
            allowed=model.digest,
        )


def _listing(store: Any, artefacts: tuple[Artefact, ...]) -> Iterator[tuple[str, int | None]]:
    """Yield (name, size) of stored files; folders that no recorded file lies in come with size -1."""
    folders = {str(parent) for a in artefacts for parent in PurePosixPath(a.name).parents} - {"."}
    for folder in (None, *sorted(folders)):
        for entry in store.list_artifacts(folder):
            if not entry.is_dir:
                yield entry.path, entry.file_size
            elif entry.path not in folders:
                yield f"{entry.path}/", -1


def _compare_listing(found: Mapping[str, int | None], model: ModelArtefact) -> None:
    expected = {artefact.name: artefact.size for artefact in model.artefacts}
    for name in sorted(expected.keys() | found.keys()):
        if name in expected and name in found and found[name] in (None, expected[name]):
            continue
        state = "missing" if name not in found else "unknown" if name not in expected else "altered"
        raise ArtefactDamaged(
            f"{state} file {name!r}: the model's files are not what the ledger recorded",
            where=model.uri,
            got=f"{found[name]} bytes" if name in found else None,
            allowed=f"{expected[name]} bytes" if name in expected else "no such file",
            fix="restore the files from a backup, or retrain",
        )


def _check_description(folder: Path) -> None:
    try:
        document = read_document(_inside(folder, DESCRIPTION_FILE))
        if document.problems:
            raise InvalidModelFile(list(document.problems))
    except InvalidModelFile as exc:
        raise ModelRefused(
            "the model's description cannot be read", where=DESCRIPTION_FILE, fix=_RETRAIN
        ) from exc
    tree = document.tree
    flavors = tree.get("flavors") if isinstance(tree, dict) else None
    flavors = flavors if isinstance(flavors, dict) else {}
    for flavor, allowed in _ALLOWED.items():
        said = flavors.get(flavor)
        said = said if isinstance(said, dict) else {}
        for key, value in allowed.items():
            if said.get(key) != value:
                raise ModelRefused(
                    f"the model asks to be loaded in another way than Evergreen's own: {flavor}.{key}",
                    where=DESCRIPTION_FILE,
                    got=said.get(key),
                    allowed=repr(value),
                    fix=_RETRAIN,
                )
    if unknown := sorted(map(str, flavors.keys() - _ALLOWED.keys())):
        raise ModelRefused(
            "the model has a flavour that Evergreen does not load",
            where=DESCRIPTION_FILE,
            got=", ".join(unknown),
            allowed=", ".join(_ALLOWED),
            fix=_RETRAIN,
        )


_ALLOWED: Mapping[str, Mapping[str, str | None]] = {
    "sklearn": {"serialization_format": "skops", "pickled_model": MODEL_FILE, "code": None},
    "python_function": {"loader_module": "mlflow.sklearn", "model_path": MODEL_FILE, "code": None},
}


def _inside(folder: Path, name: str) -> Path:
    try:
        return contained(folder, name)
    except ValueError as exc:
        raise ModelRefused(f"a file of the model lies outside its folder: {exc}", where=name) from exc
