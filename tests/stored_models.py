"""Model folders as Evergreen stores them, honest and hostile; a payload that runs leaves a marker."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import skops.io
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from evergreen.artefacts import describe_folder, folder_digest
from evergreen.results import ModelArtefact
from tests.odd_models import Answering

DESCRIPTION: dict[str, Any] = {
    "flavors": {
        "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.skops"},
        "sklearn": {
            "code": None,
            "pickled_model": "model.skops",
            "serialization_format": "skops",
            "skops_trusted_types": ["os.system", "posix.system"],
        },
    }
}


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


class Unknown:
    """A type nobody said may be trusted."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A folder of model files, and the folder that a payload in them would make."""

    folder: Path
    marker: Path

    def recorded(self) -> ModelArtefact:
        """Return the model as a ledger would record what the folder holds now."""
        artefacts = describe_folder(self.folder)
        return ModelArtefact(self.folder.as_uri(), folder_digest(artefacts), artefacts)

    def describe(self, **flavors: Any) -> None:
        """Write an MLmodel file whose flavours have these keys changed."""
        changed = {k: DESCRIPTION["flavors"].get(k, {}) | v for k, v in flavors.items()}
        tree = {"flavors": DESCRIPTION["flavors"] | changed}
        (self.folder / "MLmodel").write_text(yaml.safe_dump(tree))

    def sign(self, inputs: Sequence[tuple[str, str]], shape: Sequence[int]) -> None:
        """Write an honest MLmodel file with a signature."""
        columns = [{"type": kind, "name": name, "required": False} for name, kind in inputs]
        output = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [*shape]}}
        signature = {"inputs": json.dumps(columns), "outputs": json.dumps([output]), "params": None}
        (self.folder / "MLmodel").write_text(yaml.safe_dump(DESCRIPTION | {"signature": signature}))

    def refer(self, predictions: np.ndarray) -> None:
        """Write what the training process predicted for the first test rows."""
        np.save(self.folder / "reference.npy", predictions)

    def write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def pickle(self) -> bytes:
        return pickle.dumps(Payload(self.marker))

    def code(self) -> bytes:
        return f"import os\nos.mkdir({str(self.marker)!r})\n".encode()


def fitted() -> LogisticRegression:
    return LogisticRegression().fit([[0.0], [1.0]], [0, 1])


def honest(folder: Path) -> StoredModel:
    """Return a model that may be loaded."""
    stored = StoredModel(folder / "stored", folder / "marker")
    stored.write("model.skops", skops.io.dumps(fitted()))
    stored.describe()
    return stored


def answering(folder: Path, manner: str, rows: pa.Table, reference_rows: int) -> StoredModel:
    """Return a regressor of `x` and `c` with its signature and its predictions of the first rows."""
    stored = StoredModel(folder / "stored", folder / "marker")
    stored.write("model.skops", skops.io.dumps(Answering(manner)))
    stored.sign([("x", "double"), ("c", "string")], [-1])
    stored.refer(Answering("well").predict(rows.slice(0, reference_rows).to_pandas()))
    return stored


def with_loader_module(stored: StoredModel) -> None:
    stored.write("code/evil_loader.py", stored.code() + b"def _load_pyfunc(path):\n    pass\n")
    stored.describe(python_function={"loader_module": "evil_loader", "code": "code"})


def with_code(stored: StoredModel) -> None:
    stored.write("code/sklearn.py", stored.code())
    stored.describe(sklearn={"code": "code"})


def with_pickle_outside(stored: StoredModel) -> None:
    stored.write("../x.pkl", stored.pickle())
    stored.describe(sklearn={"pickled_model": "../x.pkl", "serialization_format": "pickle"})


def with_skops_outside(stored: StoredModel) -> None:
    stored.describe(sklearn={"pickled_model": "../../model.skops"})


def with_pickle_format(stored: StoredModel) -> None:
    stored.write("model.pkl", stored.pickle())
    stored.describe(sklearn={"pickled_model": "model.pkl", "serialization_format": "cloudpickle"})


def with_pickle_for_skops(stored: StoredModel) -> None:
    stored.write("model.skops", stored.pickle())


def with_system_call(stored: StoredModel) -> None:
    call = FunctionTransformer(func=os.mkdir, kw_args={"path": str(stored.marker)})
    stored.write("model.skops", skops.io.dumps(make_pipeline(call, fitted())))


def with_partial_system_call(stored: StoredModel) -> None:
    call = FunctionTransformer(func=partial(os.mkdir, str(stored.marker)))
    stored.write("model.skops", skops.io.dumps(make_pipeline(call, fitted())))


def with_unknown_type(stored: StoredModel) -> None:
    stored.write("model.skops", skops.io.dumps(Unknown()))


def with_other_flavour(stored: StoredModel) -> None:
    stored.describe(pytorch={"model_data": "data"})


def with_other_model_path(stored: StoredModel) -> None:
    stored.write("data/model.skops", stored.pickle())
    stored.describe(python_function={"model_path": "data/model.skops"})


def without_description(stored: StoredModel) -> None:
    (stored.folder / "MLmodel").unlink()


def with_deep_description(stored: StoredModel) -> None:
    stored.write("MLmodel", b"[" * 100_000)


def with_tagged_description(stored: StoredModel) -> None:
    stored.write("MLmodel", f"!!python/object/apply:os.mkdir ['{stored.marker}']".encode())


def with_cut_file(stored: StoredModel) -> None:
    content = (stored.folder / "model.skops").read_bytes()
    stored.write("model.skops", content[: len(content) // 2])


# How a recorded model may be hostile, and the reason it is refused with.
HOSTILE = {
    with_loader_module: r"python_function\.loader_module.*got evil_loader",
    with_code: r"sklearn\.code; got code",
    with_pickle_outside: r"sklearn\.\w+; got (\.\./x\.pkl|pickle)",
    with_skops_outside: r"sklearn\.pickled_model; got \.\./\.\./model\.skops",
    with_pickle_format: r"sklearn\.serialization_format; got cloudpickle",
    with_pickle_for_skops: "not in skops format",
    with_system_call: r"got .*posix\.mkdir.*EVERGREEN_TRUSTED_TYPES",
    with_partial_system_call: r"got .*posix\.mkdir.*EVERGREEN_TRUSTED_TYPES",
    with_unknown_type: r"got tests\.stored_models\.Unknown",
    with_other_flavour: "flavour.*got pytorch",
    with_other_model_path: r"python_function\.model_path",
    without_description: "MLmodel.*description cannot be read",
    with_deep_description: "description cannot be read",
    with_tagged_description: "description cannot be read",
    with_cut_file: "not in skops format|cannot be read",
}
