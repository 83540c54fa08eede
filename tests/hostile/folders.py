"""Every hostile artefact: a folder of model files, and how plain libraries would run what is in it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import skops.io

from tests.hostile.pickles import by_value, gadgets, opcodes, prepare
from tests.hostile.schemas import calling, predicting
from tests.stored_models import StoredModel

Make = Callable[[StoredModel], None]
LOADED = ("numpy: reference.npy", "a pickle before a zip", "a .pth file")
"""Those whose hostile part Evergreen does not so much as read: the model beside it is an honest one."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One hostile artefact.

    `make` puts it into a stored model's folder; `live` loads it as the library it is meant for does,
    which makes the model's marker.
    """

    name: str
    make: Make
    live: Callable[[StoredModel], object]


def payloads() -> tuple[Payload, ...]:
    """Return all of them; names are distinct."""
    return (*_pickles(), *_compressed(), *_arrays(), *_skops(), *_folders())


def _file(name: str, content: Callable[[Path], bytes]) -> Make:
    def make(stored: StoredModel) -> None:
        prepare(stored.marker)
        stored.write(name, content(stored.marker))

    return make


def _pickle_of(stored: StoredModel, loads: Callable[[bytes], object] = pickle.loads) -> object:
    return loads((stored.folder / "model.skops").read_bytes())


def _named(table: Callable[[Path], Mapping[str, bytes]], kind: str) -> Iterator[tuple[str, Make]]:
    """Yield each entry of a table as a payload's name and a way to put it in our model file's place."""
    for name in table(Path("/nowhere/marker")):
        yield f"{kind}: {name}", _file("model.skops", partial(_entry, table, name))


def _entry(table: Callable[[Path], Mapping[str, bytes]], name: str, marker: Path) -> bytes:
    return table(marker)[name]


def _pickles() -> Iterator[Payload]:
    """Pickles under the name of our own model file."""
    for table, kind in ((_gadgets, "pickle"), (opcodes, "opcodes"), (by_value, "cloudpickle")):
        for name, make in _named(table, kind):
            yield Payload(name, make, _pickle_of)


def _gadgets(marker: Path) -> Mapping[str, bytes]:
    return {name: cloudpickle.dumps(call) for name, call in gadgets(marker).items()}


def _mkdir(marker: Path) -> bytes:
    return cloudpickle.dumps(gadgets(marker)["os.mkdir"])  # type: ignore[no-any-return]


def _compressed() -> Iterator[Payload]:
    """Pickles that joblib unpacks before it reads them."""
    for name, make in _named(_packings, "joblib"):
        yield Payload(name, make, _by_joblib)


def _packings(marker: Path) -> Mapping[str, bytes]:
    content, array = _mkdir(marker), io.BytesIO()
    joblib.dump(np.array([gadgets(marker)["os.mkdir"]], dtype=object), array)
    return {
        "gzip": gzip.compress(content),
        "zlib": zlib.compress(content),
        "bz2": bz2.compress(content),
        "xz": lzma.compress(content),
        "lzma": lzma.compress(content, lzma.FORMAT_ALONE),
        "an array of objects": array.getvalue(),
    }


def _by_joblib(stored: StoredModel) -> object:
    return joblib.load(stored.folder / "model.skops")


def _arrays() -> Iterator[Payload]:
    """Arrays of objects, where Evergreen keeps what the training process predicted."""
    yield Payload(
        "numpy: reference.npy", _file("reference.npy", _objects), partial(_by_numpy, "reference.npy")
    )
    yield Payload("numpy: npy", _file("model.skops", _objects), partial(_by_numpy, "model.skops"))
    yield Payload("numpy: npz", _file("model.skops", _npz), partial(_by_numpy, "model.skops"))


def _by_numpy(name: str, stored: StoredModel) -> object:
    read = np.load(stored.folder / name, allow_pickle=True)
    return read if isinstance(read, np.ndarray) else [read[key] for key in read.files]


def _objects(marker: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([gadgets(marker)["os.mkdir"]], dtype=object))
    return buffer.getvalue()


def _npz(marker: Path) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([gadgets(marker)["os.mkdir"]], dtype=object))
    return buffer.getvalue()


def _skops() -> Iterator[Payload]:
    for name, make in _named(calling, "skops"):
        yield Payload(name, make, _by_skops)
    for name, make in _named(predicting, "skops"):
        yield Payload(name, make, _by_predicting)


def _by_skops(stored: StoredModel) -> Any:
    """Load as a model's own list of trusted types, which may name anything, would have it loaded."""
    file = stored.folder / "model.skops"
    return skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))


def _by_predicting(stored: StoredModel) -> object:
    return _by_skops(stored).predict(pd.DataFrame({"x": [1.0, 2.0]}))


def _by_mlflow(stored: StoredModel) -> object:
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(stored.folder))


def _folders() -> Iterator[Payload]:
    """What MLflow's own loader runs, because the folder says so."""
    for name, make in MLFLOW.items():
        yield Payload(f"mlflow: {name}", make, _by_mlflow)
    yield Payload("a pickle before a zip", _pickle_before_zip, _pickle_of)
    yield Payload("a tag in MLmodel", _tag, _by_unsafe_yaml)
    yield Payload("a .pth file", _pth, _by_site)


def _pickle_before_zip(stored: StoredModel) -> None:
    honest = (stored.folder / "model.skops").read_bytes()
    stored.write("model.skops", stored.pickle() + honest)


def _tag(stored: StoredModel) -> None:
    stored.write("MLmodel", f"flavors: !!python/object/apply:os.mkdir ['{stored.marker}']".encode())


def _by_unsafe_yaml(stored: StoredModel) -> object:
    import yaml

    return yaml.unsafe_load((stored.folder / "MLmodel").read_text())


def _pth(stored: StoredModel) -> None:
    stored.write("evil.pth", b"import os; os.mkdir(" + repr(str(stored.marker)).encode() + b")\n")


def _by_site(stored: StoredModel) -> None:
    import site

    site.addsitedir(str(stored.folder))


def _sklearn_pickle(stored: StoredModel, name: str = "model.pkl", serialization: str = "pickle") -> None:
    stored.write("model.pkl", stored.pickle())
    stored.describe(
        sklearn={"pickled_model": name, "serialization_format": serialization},
        python_function={"model_path": name},
    )


def _outside(stored: StoredModel) -> None:
    _sklearn_pickle(stored, "../outside.pkl")
    stored.write("../outside.pkl", stored.pickle())


def _absolute(stored: StoredModel) -> None:
    _outside(stored)
    _sklearn_pickle(stored, str(stored.folder.parent / "outside.pkl"))


def _nested(stored: StoredModel) -> None:
    _sklearn_pickle(stored, "data/model.pkl")
    stored.write("data/model.pkl", stored.pickle())


def _own_loader(stored: StoredModel, folder: str = "code") -> None:
    stored.write(f"{folder}/evil_loader.py", stored.code() + b"def _load_pyfunc(path):\n    pass\n")
    stored.describe(python_function={"loader_module": "evil_loader", "code": folder})


def _loader_of_data(stored: StoredModel) -> None:
    stored.write("data/evil_loader.py", stored.code() + b"def _load_pyfunc(path):\n    pass\n")
    stored.describe(python_function={"loader_module": "evil_loader", "code": "data", "data": "data"})


def _only_python_function(stored: StoredModel) -> None:
    _own_loader(stored)
    text = (stored.folder / "MLmodel").read_text()
    stored.write("MLmodel", text.replace("sklearn:", "my_sklearn:").encode())


def _python_model(stored: StoredModel, loader: str = "mlflow.pyfunc.model") -> None:
    stored.write("python_model.pkl", stored.pickle())
    stored.describe(
        python_function={
            "loader_module": loader,
            "python_model": "python_model.pkl",
            "cloudpickle_version": cloudpickle.__version__,
            "model_path": None,
        }
    )


def _model_from_code(stored: StoredModel, loader: str = "mlflow.pyfunc.model") -> None:
    stored.write("model.py", stored.code())
    stored.describe(
        python_function={"loader_module": loader, "model_code_path": "model.py", "model_path": None}
    )


def _statsmodels(stored: StoredModel) -> None:
    stored.write("model.statsmodels", stored.pickle())
    stored.describe(
        python_function={"loader_module": "mlflow.statsmodels", "data": "model.statsmodels"},
        statsmodels={"data": "model.statsmodels", "statsmodels_version": "0.14"},
    )


def _trusting_itself(stored: StoredModel) -> None:
    """MLflow reads the list of trusted types from the model's own description."""
    stored.write("model.skops", calling(stored.marker)["a constructor"])
    stored.describe(sklearn={"skops_trusted_types": ["posix.mkdir"]})


MLFLOW: Mapping[str, Make] = {
    "the format pickle": _sklearn_pickle,
    "the format cloudpickle": partial(_sklearn_pickle, serialization="cloudpickle"),
    "a pickle outside": _outside,
    "a pickle at an absolute path": _absolute,
    "a pickle in a folder": _nested,
    "a loader of its own": _own_loader,
    "a loader beside the model": partial(_own_loader, folder="."),
    "a loader among the data": _loader_of_data,
    "a flavour of another name": _only_python_function,
    "a python model": _python_model,
    "a chat model": partial(_python_model, loader="mlflow.pyfunc.loaders.chat_model"),
    "a chat agent": partial(_python_model, loader="mlflow.pyfunc.loaders.chat_agent"),
    "a responses agent": partial(_python_model, loader="mlflow.pyfunc.loaders.responses_agent"),
    "a model from code": _model_from_code,
    "a chat model from code": partial(_model_from_code, loader="mlflow.pyfunc.loaders.chat_model"),
    "statsmodels": _statsmodels,
    "a list of types of its own": _trusting_itself,
}
