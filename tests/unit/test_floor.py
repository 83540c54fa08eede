"""The oldest Airflow that is supported is said once, and everything else follows."""

import re
import tomllib
from pathlib import Path

PINNED = re.compile(r"^([a-z0-9-]+)==([^ ;\n]+)", re.MULTILINE)
AIRFLOW = re.compile(r"^(apache-airflow[a-z-]*)>=([0-9.]+)$")


def floors() -> dict[str, str]:
    """Return what pyproject.toml says of Airflow and its providers: the oldest of each."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    wanted = [one for extra in project["optional-dependencies"].values() for one in extra]
    return dict(match.groups() for match in map(AIRFLOW.match, wanted) if match)


def test_the_floors_constraints_have_the_oldest_of_airflow_and_of_each_provider():
    pinned = dict(PINNED.findall(Path("constraints-floor.txt").read_text()))
    assert floors()["apache-airflow"] == pinned["apache-airflow"]
    for name, oldest in floors().items():
        assert (pinned[name] + ".").startswith(oldest + "."), name


def test_the_usual_constraints_have_a_newer_airflow():
    pinned = dict(PINNED.findall(Path("constraints.txt").read_text()))
    oldest = tuple(map(int, floors()["apache-airflow"].split(".")))
    assert tuple(map(int, pinned["apache-airflow"].split("."))) > oldest
