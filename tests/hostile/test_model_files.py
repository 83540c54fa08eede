"""Hostile model files: no crash, no hang over a second, no memory over 200 MB, one file affected."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evergreen.errors import InvalidModelFile
from evergreen.lint import lint
from evergreen.loading import find_model_files, load_spec
from tests.hostile.bounded import run
from tests.hostile.grammar import changed, seeds
from tests.hostile.model_corpus import ODD_FILES, contents
from tests.unit.model_files import write_model

MOST_MIB = 200
INPUTS = 1_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found: dict[str, Any] = run("corpus_trial", tmp_path_factory.mktemp("corpus"))
    return found


def test_every_file_of_the_corpus_is_refused_within_a_second_of_work(corpus: dict[str, Any]) -> None:
    assert corpus["refused"] == corpus["whole"] > 60
    assert corpus["read"] > 1500


def test_no_file_of_the_corpus_takes_much_memory(corpus: dict[str, Any]) -> None:
    mib, name = corpus["largest"]
    assert mib < MOST_MIB, name


def test_a_hostile_value_is_taken_only_where_any_text_may_stand(corpus: dict[str, Any]) -> None:
    fields = {name.rpartition(" ")[0] for name in corpus["taken"]}
    free = {
        "description",
        "owner",
        "schedule",
        "connection",
        "key",
        "time_column",
        "estimator",
        "params",
    }
    assert fields <= free


def test_two_thousand_readings_of_changed_files_are_taken_or_refused_in_bounds(tmp_path: Path) -> None:
    found = run("mutated", tmp_path, str(INPUTS))
    assert found["read"] == 2 * INPUTS
    mib, name = found["largest"]
    assert mib < MOST_MIB, name
    assert found["taken"] > 0


def test_changes_are_those_of_their_seed_and_differ() -> None:
    starts = list(seeds().values())
    assert changed(starts[0], 7, starts) == changed(starts[0], 7, starts)
    assert len({changed(starts[0], seed, starts) for seed in range(100)}) > 90


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A folder of honest models among all that is hostile."""
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "outside.yaml").write_text("name: outside")
    for name in ("first", "middle", "zebra"):
        write_model(folder, name=name)
    for number, content in enumerate(contents().values()):
        (folder / f"bad_{number}.yaml").write_bytes(content)
    for stem, make in ODD_FILES.items():
        make(folder / f"{stem}.yaml")
    (folder / "a\nb\x1b[31m.yaml").touch()
    (folder / ("x" * 240 + ".yaml")).touch()
    (folder / "\u202egpj.yaml").touch()
    return folder


def test_each_hostile_file_is_told_by_its_own_name_and_no_other_file_is(crowded: Path) -> None:
    told = {Path(problem.path).stem for problem in lint([crowded])}
    assert not told & {"first", "middle", "zebra"}
    expected = {path.stem for path in find_model_files(crowded) if path.stem.isidentifier()}
    assert told >= expected - {"first", "middle", "zebra"}


def test_every_hostile_file_costs_its_own_dag_only(crowded: Path) -> None:
    from evergreen_airflow.loader import load_models

    namespace: dict[str, Any] = {}
    load_models(crowded, namespace)
    honest = {"first__retrain", "middle__retrain", "zebra__retrain"}
    assert honest <= namespace.keys()
    others = namespace.keys() - honest
    assert all(dag_id.endswith("__invalid_spec") for dag_id in others)
    assert len(others) == len(find_model_files(crowded)) - 3


def test_a_file_that_vanishes_costs_its_own_dag_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evergreen_airflow import loader

    write_model(tmp_path, name="here")
    listed = [tmp_path / "gone.yaml", tmp_path / "here.yaml"]
    monkeypatch.setattr(loader, "find_model_files", lambda _: listed)
    namespace: dict[str, Any] = {}
    loader.load_models(tmp_path, namespace)
    assert sorted(namespace) == ["gone__invalid_spec", "here__retrain"]


def test_a_file_that_may_not_be_read_is_an_invalid_model_file(tmp_path: Path) -> None:
    path = write_model(tmp_path)
    path.chmod(0)
    assert in_a_fork(lambda: _as_nobody(path))


def _as_nobody(path: Path) -> bool:
    if not os.geteuid():
        os.setuid(65534)
    try:
        load_spec(path)
    except InvalidModelFile as exc:
        return "cannot be read" in str(exc) or "cannot be followed" in str(exc)
    return False


def in_a_fork(act: Callable[[], bool]) -> bool:
    child = os.fork()
    if not child:
        os._exit(not act())
    return not os.waitpid(child, 0)[1]
