"""What the wheel holds, and what a clean clone promises."""

import configparser
import re
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel with its real backend, in this process: nothing is downloaded."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("dist")
    path = next(builders.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    with zipfile.ZipFile(path) as archive:
        yield archive


def in_repository(package: Path) -> set[str]:
    return {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("folder", ["include/evergreen", "plugins/evergreen_airflow"])
def test_the_wheel_holds_every_file_of_both_packages(wheel, folder):
    package = ROOT / folder
    held = {name for name in wheel.namelist() if name.startswith(f"{package.name}/")}
    assert held == in_repository(package)


@pytest.mark.parametrize(
    "name",
    [
        "evergreen/py.typed",
        "evergreen_airflow/py.typed",
        "evergreen/templates/validation.html.jinja",
        "evergreen/ledger/migrations/script.py.mako",
    ],
)
def test_the_wheel_holds_what_is_no_python(wheel, name):
    assert name in wheel.namelist()


def test_the_wheel_names_its_entry_points_and_each_can_be_found(wheel):
    name = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    points = configparser.ConfigParser(delimiters=("=",))
    points.read_string(wheel.read(name).decode())
    assert points["console_scripts"]["evergreen"] == "evergreen.cli.main:main"
    assert points["apache_airflow_provider"]["provider_info"]
    assert points["airflow.plugins"]["evergreen"]
    for section in points.sections():
        for target in points[section].values():
            module, _, attribute = target.partition(":")
            source = wheel.read(f"{module.replace('.', '/')}.py").decode()
            assert re.search(rf"^(def|class) {attribute}\b", source, re.MULTILINE), target


def test_the_wheel_carries_the_licence(wheel):
    name = next(name for name in wheel.namelist() if name.endswith("licenses/LICENSE"))
    assert b"Apache License" in wheel.read(name)


def test_constraints_name_versions_and_no_address():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    assert [line for line in lines if "://" in line or line.startswith("-") or "@" in line] == []
    assert all(next(iter(Requirement(line).specifier)).operator == "==" for line in lines)


def test_constraints_pin_every_requirement_of_every_extra():
    pinned = {
        canonicalize_name(Requirement(line).name)
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    }
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    assert {canonicalize_name(Requirement(text).name) for text in wanted} <= pinned


@pytest.mark.parametrize("folder", ["Makefile", ".ci/run", ".github", ".pre-commit-config.yaml"])
def test_set_up_names_no_address(folder):
    path = ROOT / folder
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    assert files
    for file in files:
        assert "://" not in file.read_text(encoding="utf-8"), file


def test_the_readme_begins_with_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    beginning = text[:1500]
    assert "make demo" in beginning
    assert "make test" in beginning


def test_every_command_the_readme_names_of_make_is_a_target():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set()
    for page in ("README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/ci.yaml"):
        named |= set(
            re.findall(r"\bmake ([a-z][a-z-]+)\b(?=`|\s*(?:#|$))", (ROOT / page).read_text(), re.M)
        )
    assert {"demo", "stop", "test", "check"} <= targets
    assert named
    assert named <= targets
