"""What docs/how-to/run-on-kubernetes.md shows is read as what it says it is."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from evergreen.loading import load_spec
from evergreen.settings import VARIABLES
from tests.unit.model_files import write_model

PAGE = Path("docs/how-to/run-on-kubernetes.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
OPEN = object()
"""Below this key stands what Kubernetes or airflow.cfg knows, and the chart passes on."""
CHART: Mapping[str, Any] = {
    "executor": None,
    "airflowVersion": None,
    "defaultAirflowRepository": None,
    "defaultAirflowTag": None,
    "data": {"metadataSecretName": None},
    "fernetKeySecretName": None,
    "apiSecretKeySecretName": None,
    "jwtSecretName": None,
    "postgresql": {"enabled": None},
    "env": OPEN,
    "secret": OPEN,
    "volumes": OPEN,
    "volumeMounts": OPEN,
    "workers": {"serviceAccount": {"create": None, "annotations": OPEN}, "resources": OPEN},
    "config": OPEN,
    "logs": {"persistence": {"enabled": None}},
    "dags": {
        "gitSync": dict.fromkeys(("enabled", "repo", "branch", "subPath", "credentialsSecret")),
    },
}
"""The keys of the chart's values.yaml that the page uses."""


def unknown(values: Mapping[str, Any], known: Any, path: str = "") -> Iterator[str]:
    for key, value in values.items():
        if key not in known:
            yield f"{path}{key}"
        elif isinstance(known[key], Mapping):
            yield from unknown(value, known[key], f"{path}{key}.")


@pytest.fixture
def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(BLOCKS[1])
    return found


def test_the_section_pods_of_the_page_is_one_that_lint_takes(tmp_path):
    spec = load_spec(write_model(tmp_path, ("gate:\n", f"{BLOCKS[0]}gate:\n")))
    assert spec.pods is not None
    train = spec.pods.of("train")
    assert train is not None
    assert (train.gpu, train.node_selector) == (1, {"pool": "gpu"})


def test_every_key_of_the_values_is_one_of_the_charts(values):
    assert list(unknown(values, CHART)) == []
    assert list(unknown({"executer": 1, "dags": {"gitsync": 1}}, CHART)) == ["executer", "dags.gitsync"]


def test_every_setting_in_the_values_is_one_of_evergreens(values):
    names = [one["name"] for one in values["env"]] + [one["envName"] for one in values["secret"]]
    ours = {name for name in names if name.startswith("EVERGREEN_")}
    assert ours <= set(VARIABLES)
    assert ours >= {
        "EVERGREEN_ARTIFACTS",
        "EVERGREEN_LEDGER",
        "EVERGREEN_RELEASES",
        "EVERGREEN_STORE",
        "EVERGREEN_TRACKING",
    }
    assert {tuple(sorted(one)) for one in values["secret"]} == {("envName", "secretKey", "secretName")}


def test_no_secret_stands_in_the_values():
    assert not re.search(r"(?i)password|://[^\s/]+:[^\s/]+@", BLOCKS[1])
