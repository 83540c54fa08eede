"""The page on gates cannot rot: its model files are linted and its own metric is registered and used."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from evergreen.amounts import Margin
from evergreen.document import read_document
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.metrics import row_values, value
from evergreen.gate_checks import metric_task
from evergreen.gate_spec import FairnessMetric, Gate
from evergreen.lint import lint
from evergreen.loading import load_spec
from evergreen.metric_spec import METRICS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/choose-a-gate.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
SECTIONS = [text for kind, text in BLOCKS if kind == "yaml"]
PYTHON = next(text for kind, text in BLOCKS if kind == "python")
TOML = next(text for kind, text in BLOCKS if kind == "toml")


@pytest.fixture
def models(tmp_path):
    shutil.copytree(ROOT / "dags/models", tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def shop_metrics(tmp_path, monkeypatch):
    """The page's package, installed: its module and the entry points of its project file."""
    project = tomllib.loads(TOML)["project"]
    site = tmp_path / "site"
    info = site / f"shop_metrics-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (site / "shop_metrics.py").write_text(PYTHON)
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in named.items())
        for group, named in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points))
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop("shop_metrics", None)


def with_sections(models: Path, text: str) -> Path:
    """Return the example model for the page's metric, with the page's sections put in."""
    part = models.parent / "part.yaml"
    part.write_text(text)
    document = read_document(part)
    name = "flight_arrival" if metric_task(document) == "regression" else "flight_delay"
    path = models / f"{name}.yaml"
    lines = path.read_text()
    for section in document.tree:
        ours = re.search(rf"^{section}:\n(?:[ #].*\n|\n)*", text, re.MULTILINE)
        theirs = re.search(rf"^{section}:\n(?:[ #].*\n)*", lines, re.MULTILINE)
        assert ours is not None
        assert theirs is not None
        kept = "" if section == "gate" else theirs[0].partition("\n")[2]
        lines = lines.replace(theirs[0], ours[0].rstrip() + "\n" + kept)
    path.write_text(lines)
    return path


@pytest.mark.parametrize("text", SECTIONS, ids=range(len(SECTIONS)))
def test_every_example_of_the_page_lints_clean_and_says_what_it_shows(models, shop_metrics, text):
    path = with_sections(models, text)
    assert [str(problem) for problem in lint([path])] == []
    spec = load_spec(path).model_dump(mode="json")
    for section, keys in read_document(models.parent / "part.yaml").tree.items():
        for key in keys:
            assert spec[section][key] is not None


def test_the_own_metric_is_refused_where_its_package_is_not_installed(models):
    (text,) = [text for text in SECTIONS if "net_revenue" in text]
    (problem,) = lint([with_sections(models, text)])
    assert problem.key == "gate.metric.name"


def test_the_own_metric_is_found_and_gives_the_money_it_says(models, shop_metrics):
    (text,) = [text for text in SECTIONS if "net_revenue" in text]
    metric = load_spec(with_sections(models, text)).gate.metric
    rows = JudgedRows(
        labels=np.array(["True", "True", "False", "False"]),
        classes=("False", "True"),
        clusters=np.arange(4),
        clustered_by="row",
        weights=np.array([1.0, 1.0, 1.0, 3.0]),
    )
    leaving = np.array([0.9, 0.1, 0.3, 0.2])
    predictions = np.column_stack([1 - leaving, leaving])
    assert row_values(metric, rows, predictions).tolist() == [13.0, 0.0, -2.0, 0.0]
    assert value(metric, rows, predictions) == pytest.approx(11 / 6)


def test_the_page_names_every_metric_every_key_and_every_fairness_metric():
    for name in [*METRICS, "own", *get_args(FairnessMetric), *Gate.model_fields]:
        assert name in PAGE, name


def test_the_first_example_is_what_the_page_says(models):
    gate = load_spec(with_sections(models, SECTIONS[0])).gate
    assert gate.margin == Margin(0.01, relative=True)
    assert gate.policy == "non_inferiority"
    assert gate.slices == ["origin", "carrier"]


@pytest.mark.parametrize("link", re.findall(r"\]\((\.\./[^)#]+)", PAGE))
def test_the_links_of_the_page_lead_somewhere(link):
    assert (ROOT / "docs/how-to" / link).resolve().is_file()


def test_the_anchors_of_the_page_are_its_own_headings():
    headings = {
        heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
