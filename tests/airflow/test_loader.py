"""A folder of model files becomes DAGs, and one bad file costs no other model anything."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evergreen.errors import BadConfiguration
from tests.airflow.conftest import model_text

ROOT = Path(__file__).parents[2]


def load(folder: Path) -> dict[str, Any]:
    from evergreen_airflow.loader import load_models

    namespace: dict[str, Any] = {}
    load_models(folder, namespace)
    return namespace


def put(folder: Path, name: str, text: str | None = None, suffix: str = ".yaml") -> Path:
    path = folder / f"{name}{suffix}"
    path.write_text(model_text(name) if text is None else text)
    return path


@pytest.fixture
def as_task_of(monkeypatch):
    """Pretend to be the process of a task of a DAG."""

    def of(dag_id: str) -> None:
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "ingest")

    return of


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The names of the model files that were read."""
    import evergreen_airflow.loader as loader

    names: list[str] = []
    real = loader.load_spec

    def noted(path: Path):
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(loader, "load_spec", noted)
    return names


def test_every_model_file_gives_its_dag(models):
    put(models, "one")
    put(models, "two", suffix=".yml")
    assert sorted(load(models)) == ["one__retrain", "two__retrain"]


def test_files_beside_the_models_are_left_alone(models):
    put(models, "one")
    put(models, "notes", text="not a model", suffix=".txt")
    (models / "expectations").mkdir()
    put(models / "expectations", "one", text="expectations: []")
    assert sorted(load(models)) == ["one__retrain"]


BROKEN = {
    "an unknown key": model_text("bad", more="colour: red\n"),
    "a wrong type": model_text("bad", more="tier: 7\n"),
    "a syntax error": "name: [",
    "nothing": "",
    "another name than its file": model_text("other"),
    "brackets enough to crash a parser": "[" * 30_000,
    "bytes that are no text": "\x00\x01",
    "a schedule that does not exist": model_text("bad", schedule='"61 * * * *"'),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_visible_and_all_other_models_stay(models, what):
    put(models, "good")
    put(models, "bad", BROKEN[what])
    dags = load(models)
    assert sorted(dags) == ["bad__invalid_spec", "good__retrain"]
    broken = dags["bad__invalid_spec"]
    assert broken.tags == {"evergreen", "invalid"}
    assert r"bad.yaml" in broken.doc_md
    assert type(broken.timetable).__name__ == "NullTimetable"


def test_a_broken_files_page_and_task_say_every_problem(models):
    from airflow.sdk.exceptions import AirflowFailException

    put(models, "bad", model_text("bad", more="colour: red\nretries: {attempts: many}\n"))
    dag = load(models)["bad__invalid_spec"]
    (task,) = dag.tasks
    with pytest.raises(AirflowFailException) as told:
        task.execute({})
    for word in ("bad.yaml:", "colour", "attempts", "many"):
        assert word in str(told.value)
    assert "colour" in dag.doc_md
    assert task.retries == 0


def test_a_defect_met_in_one_file_costs_no_other_model_its_dag(models, monkeypatch):
    import evergreen_airflow.loader as loader

    retrain, *others = loader.KINDS

    def trips(spec, path):
        if spec.name == "bad":
            raise ZeroDivisionError("a defect of ours")
        return retrain.build(spec, path)

    monkeypatch.setattr(loader, "KINDS", (replace(retrain, build=trips), *others))
    put(models, "bad")
    put(models, "good")
    dags = load(models)
    assert sorted(dags) == ["bad__invalid_spec", "good__retrain"]
    assert "ZeroDivisionError: a defect of ours" in dags["bad__invalid_spec"].doc_md


def test_two_files_with_one_name_are_shown_and_neither_is_used(models):
    put(models, "one")
    put(models, "one", suffix=".yml")
    dags = load(models)
    assert sorted(dags) == ["one__invalid_spec"]
    assert r"one.yaml, one.yml" in dags["one__invalid_spec"].doc_md


def test_a_file_whose_stem_is_no_name_is_shown_under_an_id_of_its_own(models):
    put(models, "Flight Delay", model_text("flight_delay"))
    put(models, "flight-delay", model_text("flight_delay"))
    ids = sorted(load(models))
    assert len(ids) == 2
    assert all(id_.startswith("flight_delay__") and id_.endswith("__invalid_spec") for id_ in ids)


def test_a_missing_folder_says_where_it_looked(tmp_path):
    with pytest.raises(BadConfiguration, match="nowhere: there is no folder of model files"):
        load(tmp_path / "nowhere")


def test_an_empty_folder_gives_no_dag(models):
    assert load(models) == {}


def test_a_tasks_process_reads_only_its_own_file(models, as_task_of, read):
    for name in ("one", "two", "three"):
        put(models, name)
    as_task_of("two__retrain")
    assert list(load(models)) == ["two__retrain"]
    assert read == ["two.yaml"]


def test_a_tasks_process_of_a_foreign_dag_reads_nothing(models, as_task_of, read):
    put(models, "one")
    as_task_of("somebody_elses")
    assert load(models) == {}
    assert read == []


@pytest.mark.parametrize("text", ["name: [", None])
def test_a_running_retrain_finds_its_tasks_though_its_file_broke_or_vanished(models, as_task_of, text):
    from evergreen.steps import STEPS

    if text is not None:
        put(models, "one", text)
    as_task_of("one__retrain")
    dag = load(models)["one__retrain"]
    assert [task.task_id for task in dag.topological_sort()] == list(STEPS)
    assert dag.get_task("ingest").model == "one"
    assert dag.get_task("ingest").model_file == models / "one.yaml"


@pytest.mark.parametrize("stem", ["bad", "No Name"])
def test_the_task_of_a_broken_files_dag_finds_its_dag(models, as_task_of, stem):
    from evergreen.names import invalid_dag_id

    put(models, "good")
    put(models, stem, "name: [")
    dag_id = invalid_dag_id(stem)
    as_task_of(dag_id)
    dags = load(models)
    assert list(dags) == [dag_id]
    assert dags[dag_id].get_task("invalid_spec").problems


def test_the_task_of_a_mended_files_dag_says_that_it_is_mended(models, as_task_of):
    put(models, "one")
    as_task_of("one__invalid_spec")
    assert "no problem any more" in load(models)["one__invalid_spec"].doc_md


PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(json.dumps([sorted(bag.dags), bag.import_errors, {k: d.fileloc for k, d in bag.dags.items()}]))
"""


def parse(folder: Path) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(folder)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_airflow_finds_the_dags_of_a_folder_of_a_team(tmp_path):
    for team in ("flights", "hotels"):
        folder = tmp_path / team / "models"
        folder.mkdir(parents=True)
        put(folder, f"{team}_price")
        loader = (ROOT / "dags" / "evergreen_models.py").read_text()
        (tmp_path / team / "evergreen_models.py").write_text(loader)
    dag_ids, errors, places = parse(tmp_path)
    assert dag_ids == ["flights_price__retrain", "hotels_price__retrain"]
    assert errors == {}
    assert places["hotels_price__retrain"] == str(tmp_path / "hotels" / "evergreen_models.py")


def test_airflow_parses_the_dags_folder_of_this_repository():
    dag_ids, errors, _ = parse(ROOT / "dags")
    retrains = {f"{path.stem}__retrain" for path in (ROOT / "dags/models").glob("*.yaml")}
    watch = {"flight_delay__monitor", "flight_delay__score"}
    assert set(dag_ids) == retrains | watch | {"evergreen__fleet", "evergreen__reconcile"}
    assert errors == {}


HEAVY = (
    "evidently",
    "evergreen.drift",
    "evergreen.performance",
    "evergreen.profiles",
    "pandas",
    "sklearn",
    "scipy",
    "mlflow",
    "great_expectations",
    "pyarrow",
    "fsspec",
    "matplotlib",
    "skops",
    "alembic",
    "numpy",
    "evergreen.adapters",
    "evergreen.ledger",
    "evergreen.wiring",
    "evergreen.gate.",
)
LOADED = """
import json, sys
from airflow.sdk import DAG, Asset, BaseOperator
namespace = {"__file__": sys.argv[1], "__name__": "evergreen_models"}
if sys.argv[1]:
    exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), namespace)
print(json.dumps(sorted(sys.modules)))
"""


def loaded_by(dag_file: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, dag_file],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_parsing_the_dags_folder_loads_no_heavy_library(models):
    put(models, "one")
    put(models, "bad", "name: [")
    dag_file = models.parent / "evergreen_models.py"
    dag_file.write_text((ROOT / "dags" / "evergreen_models.py").read_text())
    ours = loaded_by(str(dag_file)) - loaded_by("")
    heavy = sorted(name for name in ours if name.startswith(HEAVY))
    assert "evergreen_airflow.factory" in ours
    assert heavy == []
