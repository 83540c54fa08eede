"""Names of code are never imported, paths never lead out, and SQL is never put together of names."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from evergreen.adapters.local_target import LocalTarget
from evergreen.adapters.parquet_store import ParquetStore
from evergreen.errors import EvergreenError
from evergreen.lint import lint
from evergreen.paths import contained
from evergreen.quarantine import Folder
from evergreen.spec import Train
from evergreen.training.estimators import make_estimator
from tests.contracts.data_source import MARCH, data, rows
from tests.contracts.snapshot_store import batches
from tests.unit.model_files import write_model
from tests.unit.test_sql_source import read

CODE = (
    "os.system",
    "posix.system",
    "builtins.eval",
    "builtins.exec",
    "builtins.__import__",
    "subprocess.Popen",
    "subprocess.call",
    "importlib.import_module",
    "pickle.loads",
    "joblib.load",
    "runpy.run_path",
    "canary_module.Estimator",
    "canary_package.canary_module.Estimator",
    "sklearn.utils.os.system",
    "sklearn.__builtins__.eval",
    "sklearn.base.os.system",
    "sklearn.linear_model.__loader__",
    "sklearn.linear_model._logistic.LogisticRegression.__init__.__globals__",
    "sklearn.svm.SVC.__class__.__base__.__subclasses__",
    "sklearn.datasets.fetch_openml",
    "sklearn.utils._testing.raises",
    "sklearn/../canary_module.Estimator",
    "sklearn.linear_model:LogisticRegression",
    "canary_module:Estimator",
    ".canary_module.Estimator",
    "sklearn..canary_module",
    "sklearn.linear_model.LogisticRegression\u200b",
    "\u0455klearn.linear_model.LogisticRegression",
    "evergreen.cli.main.main",
    "evergreen_airflow.plugin.EvergreenPlugin",
)


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module on the path that makes this folder as it is imported."""
    found = tmp_path / "imported"
    code = f"import os\nos.mkdir({str(found)!r})\nclass Estimator: ...\n"
    place = tmp_path / "path"
    (place / "canary_package").mkdir(parents=True)
    (place / "canary_package" / "__init__.py").touch()
    for file in ("canary_module.py", "canary_package/canary_module.py"):
        (place / file).write_text(code)
    monkeypatch.syspath_prepend(place)
    monkeypatch.setattr(os, "system", lambda command: found.mkdir())
    return found


@pytest.mark.parametrize("name", CODE)
def test_a_dotted_name_is_neither_imported_nor_called(name: str, marker: Path, tmp_path: Path) -> None:
    with pytest.raises((EvergreenError, ValueError)):
        make_estimator(Train.model_validate({"estimator": name}), "classification", ("0", "1"))
    estimator = "sklearn.ensemble.HistGradientBoostingClassifier"
    path = write_model(tmp_path, (f"estimator: {estimator}", f"estimator: {name!r}"))
    assert lint([path])
    path = write_model(tmp_path, (f"estimator: {estimator}", f"pipeline: {name!r}"))
    assert lint([path])
    assert not marker.exists()
    assert not [module for module in sys.modules if "canary_module" in module]


def test_the_canary_would_sing(marker: Path) -> None:
    import importlib

    importlib.import_module("canary_module")
    assert marker.exists()
    del sys.modules["canary_module"]


LEADING_OUT = (
    "../secret",
    "..",
    "../../../../etc/passwd",
    "a/../../secret",
    "a/b/../../../secret",
    "/etc/passwd",
    "//etc/passwd",
    "//proc/self/root/etc/passwd",
    "/proc/self/cwd/secret",
    "~/secret",
    "~root/secret",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "https://evil.example/x",
    "s3://bucket/x",
    "..\\secret",
    "C:\\secret",
    "\\\\server\\share",
    "a\0b",
    "\0",
    "link/secret",
    "link_to_root/etc/passwd",
    "circle/secret",
)
LOOKALIKE = (
    "%2e%2e/secret",
    "%2e%2e%2fsecret",
    "..%00/secret",
    "\uff0e\uff0e/secret",
    "\u2024\u2024/secret",
    "..;/secret",
    "....//secret",
    "a" * 300,
    "x?query",
    "x#fragment",
)
"""Paths that only look as though they led out: what they name lies inside, or nowhere."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_text("secret")
    (inside / "link").symlink_to(tmp_path)
    (inside / "link_to_root").symlink_to("/")
    (inside / "circle").symlink_to(inside / "circle")
    return inside


def _contained(folder: Path, path: str) -> object:
    return contained(folder, path)


def _target(folder: Path, path: str) -> object:
    return LocalTarget(folder).serving(path)


def _store(folder: Path, path: str) -> object:
    return ParquetStore(str(folder), {}).write(path, MARCH, batches(rows(3)), data())


def _quarantine_folder(folder: Path, path: str) -> object:
    return Folder(str(folder), {}, f"quarantine/{path}").write("rows.parquet", b"x")


def _quarantine_file(folder: Path, path: str) -> object:
    return Folder(str(folder), {}, ".").write(path, b"x")


def _query_file(folder: Path, path: str) -> object:
    found = lint([write_model(folder, (_QUERY_LINE, f"    query_file: {_quoted(path)}"))])
    if found:
        raise ValueError(str(found))
    return None


def _suite(folder: Path, path: str) -> object:
    found = lint([write_model(folder, ("train:\n", f"expectations: {_quoted(path)}\ntrain:\n"))])
    if found:
        raise ValueError(str(found))
    return None


def _quoted(path: str) -> str:
    return json.dumps(path)


_QUERY_LINE = "    query: SELECT * FROM flights WHERE time_hour >= :start AND time_hour < :end"
TAKING: tuple[Callable[[Path, str], object], ...] = (
    _contained,
    _target,
    _store,
    _query_file,
    _suite,
)
JOINING = (_quarantine_folder, _quarantine_file)
"""They put what they are given behind a name of their own, so that an absolute path becomes relative."""


def everything(tmp_path: Path) -> set[Path]:
    return {path for path in tmp_path.rglob("*") if "inside" not in path.relative_to(tmp_path).parts}


@pytest.mark.parametrize("take", TAKING, ids=lambda take: take.__name__.strip("_"))
@pytest.mark.parametrize("path", LEADING_OUT, ids=ascii)
def test_a_path_that_leads_out_is_refused(
    take: Callable[[Path, str], object], path: str, folder: Path, tmp_path: Path
) -> None:
    before = everything(tmp_path)
    with pytest.raises((EvergreenError, ValueError)):
        take(folder, path)
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("take", "path"),
    [*product(TAKING, LOOKALIKE), *product(JOINING, (*LEADING_OUT, *LOOKALIKE))],
    ids=lambda value: ascii(value) if isinstance(value, str) else value.__name__.strip("_"),
)
def test_a_path_that_looks_as_though_it_led_out_stays_inside(
    take: Callable[[Path, str], object], path: str, folder: Path, tmp_path: Path
) -> None:
    before = everything(tmp_path)
    try:
        found = take(folder, path)
    except (EvergreenError, ValueError, OSError):
        found = None
    assert everything(tmp_path) == before
    assert found is None or not isinstance(found, Path) or folder in found.parents


SQL = (
    "x; DROP TABLE canary; --",
    "x'; DROP TABLE canary; --",
    'x"; DROP TABLE canary; --',
    "x`; DROP TABLE canary; --",
    "x]; DROP TABLE canary; --",
    "x\\'; DROP TABLE canary; --",
    "x) UNION SELECT * FROM canary --",
    "x /* */ OR 1=1",
    "x:start",
    "x%s",
    "x?",
    "x{0}",
    "select",
    "\uff58\uff07",
)


@pytest.mark.parametrize("name", SQL)
def test_a_column_of_any_name_is_read_and_no_other_table_is_touched(name: str, tmp_path: Path) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as connection, connection:
        connection.execute("CREATE TABLE canary (a)")
        connection.execute("INSERT INTO canary VALUES (1)")
        connection.execute(f"CREATE TABLE rows (id, {quoted}, late)")
        connection.execute("INSERT INTO rows VALUES (1, '2013-03-02', 1)")
    query = f"SELECT * FROM rows WHERE {quoted} >= :start AND {quoted} < :end"
    fit = ":" not in name  # SQLAlchemy would bind it; the model file's own check says so, too
    with contextlib.suppress(*([] if fit else [EvergreenError])):
        (batch,) = read(tmp_path, query, time_column=name)
        assert batch.schema.names == ["id", name, "late"]
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as connection:
        assert connection.execute("SELECT count(*) FROM canary").fetchone() == (1,)
