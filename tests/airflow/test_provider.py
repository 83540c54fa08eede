"""How Airflow meets the package: provider, plugin, plugins folder, command line."""

import importlib
import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from evergreen.settings import VARIABLES
from evergreen_airflow import factory, monitor_dag, score_dag

ROOT = Path(__file__).parents[2]


def provider_info():
    (point,) = entry_points(group="apache_airflow_provider", name="provider_info").select(
        module="evergreen_airflow.provider_info"
    )
    return point.load()()


def test_the_provider_info_follows_airflows_runtime_schema():
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(provider_info(), schema)


def test_every_setting_has_its_option_in_airflow_cfg():
    options = provider_info()["config"]["evergreen"]["options"]
    assert {f"EVERGREEN_{name.upper()}" for name in options} == set(VARIABLES)


def test_every_step_is_named_as_an_operator_module():
    (operators,) = provider_info()["operators"]
    tasks = [task for kind in (factory, score_dag, monitor_dag) for task in kind.OPERATORS]
    tasks += ["tell", "reconcile"]
    assert operators["python-modules"] == [f"evergreen_airflow.operators.{task}" for task in tasks]
    of_files = {path.stem for path in (ROOT / "plugins/evergreen_airflow/operators").glob("[a-z]*.py")}
    assert of_files - {*tasks} == {"invalid_spec"}, "that one tells of a file, and is no step"


@pytest.mark.parametrize("kind", ["sensors", "triggers"])
def test_the_sensor_and_its_trigger_are_named_where_they_are(kind):
    (found,) = provider_info()[kind]
    for module in found["python-modules"]:
        importlib.import_module(module)


def test_the_provider_info_imports_neither_airflow_nor_pydantic():
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; import evergreen_airflow.provider_info as p; p.get_provider_info();"
            "print({'airflow', 'pydantic', 'yaml', 'sqlalchemy'} & set(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert loaded.strip() == "set()"


@pytest.fixture(scope="module")
def plugins() -> tuple[list[str], list[str], str]:
    """Scan the plugins folder as an Airflow does where the package is installed as well."""
    code = (
        "import json, sys\n"
        "from airflow import plugins_manager\n"
        "found, errors = plugins_manager._get_plugins()\n"
        "print(json.dumps([[p.name for p in found], list(errors), 'factory' in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins")},
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_plugin_is_registered_once_although_it_is_found_in_two_ways(plugins):
    names, errors, _ = plugins
    assert names.count("evergreen") == 1
    assert errors == []


def test_the_plugin_scanner_does_not_import_the_package_file_by_file(plugins):
    assert plugins[2] is False


def test_airflow_answers_evergreens_commands_with_their_exit_code(tmp_path):
    env = {**os.environ, "AIRFLOW__EVERGREEN__MODELS": str(tmp_path / "nowhere")}
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "evergreen", "lint"], capture_output=True, text=True, env=env
    )
    assert done.returncode not in (0, 1), done.stderr
    assert "nowhere" in done.stderr + done.stdout
    help_text = subprocess.run(
        [sys.executable, "-m", "airflow", "evergreen", "--help"], capture_output=True, text=True, env=env
    ).stdout
    from evergreen.cli.commands import COMMANDS

    assert all(command.name in help_text for command in COMMANDS)
