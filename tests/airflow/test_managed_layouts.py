"""The layouts of managed Airflows, made from the built wheel, parsed by Airflow's own DagBag.

Each folder is laid out as `docs/how-to/managed-airflow.md` says, and has on its path what the service
puts there: the installed wheel, Airflow's `config/` and `plugins/`, the folder of DAGs, and nothing of
this repository.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
MODELS = sorted(path.stem for path in (ROOT / "dags" / "models").glob("*.yaml"))

PARSE = """
import json, sys
from pathlib import Path
from airflow import plugins_manager, settings
settings.prepare_syspath_for_config_and_plugins()
from airflow.dag_processing.dagbag import DagBag
dags, repository = Path(sys.argv[1]), sys.argv[2]
ours = {f"{repository}/include", f"{repository}/plugins"}
sys.path = [entry for entry in sys.path if entry not in ours]
sys.path.append(str(dags))  # as the dag-processor does with each bundle
bag = DagBag(dags, safe_mode=True)
import evergreen, evergreen_airflow
found, errors = plugins_manager._get_plugins()
print(json.dumps({
    "dags": sorted(bag.dags),
    "errors": bag.import_errors,
    "plugin_errors": [why for why in errors.values() if "already" not in why],
    "from": sorted({str(Path(one.__file__).parents[1]) for one in (evergreen, evergreen_airflow)}),
    "plugins": [plugin.name for plugin in found].count("evergreen"),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])))


def installed(wheel: Path, into: Path) -> Path:
    """Put the wheel where pip would: it holds no code to build, so that is its archive."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    return into


def put_dags(folder: Path) -> None:
    for name in ("evergreen_models.py", "evergreen_fleet.py", "evergreen_reconcile.py"):
        shutil.copy(ROOT / "dags" / name, folder)
    shutil.copytree(ROOT / "dags" / "models", folder / "models")


def astro(wheel: Path, root: Path) -> tuple[Path, Path]:
    """`dags/ include/ plugins/` below AIRFLOW_HOME; the Dockerfile installs the wheel in `include/`."""
    home = root / "usr" / "local" / "airflow"
    for name in ("dags", "include", "plugins"):
        (home / name).mkdir(parents=True)
    shutil.copy(wheel, home / "include")
    put_dags(home / "dags")
    return home, home / "dags"


def mwaa(wheel: Path, root: Path) -> tuple[Path, Path]:
    """`dags/` of the bucket, and `plugins.zip` with the wheel, unpacked into `plugins/`."""
    home = root / "usr" / "local" / "airflow"
    (home / "dags").mkdir(parents=True)
    put_dags(home / "dags")
    packed = root / "plugins.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(wheel, wheel.name)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(home / "plugins")
    return home, home / "dags"


def composer(wheel: Path, root: Path) -> tuple[Path, Path]:
    """`dags/` and `data/` of the bucket below `/home/airflow/gcs`; the wheel comes from a registry."""
    home = root / "home" / "airflow" / "gcs"
    for name in ("dags", "data"):
        (home / name).mkdir(parents=True)
    put_dags(home / "dags")
    return home, home / "dags"


@pytest.mark.parametrize("layout", [astro, mwaa, composer])
def test_a_managed_airflow_finds_every_dag_and_the_plugin_once(
    layout: Callable[[Path, Path], tuple[Path, Path]], wheel: Path, tmp_path: Path
):
    site = installed(wheel, tmp_path / "site-packages")
    home, dags = layout(wheel, tmp_path)
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "EVERGREEN", "PYTHON"))
    }
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(dags), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=env
        | {
            "PYTHONPATH": str(site),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path / 'airflow.db'}",
        },
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["errors"] == {}
    assert told["plugin_errors"] == [], "only that tests have the package installed twice is no error"
    assert told["from"] == [str(site)], "nothing may come from this repository"
    assert {f"{name}__retrain" for name in MODELS} <= set(told["dags"])
    assert {"evergreen__fleet", "evergreen__reconcile"} <= set(told["dags"])
    assert told["plugins"] == 1
