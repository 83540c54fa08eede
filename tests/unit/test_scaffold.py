"""What is scaffolded lints clean, and nothing is overwritten."""

import pytest

from evergreen.errors import BadConfiguration
from evergreen.lint import lint
from evergreen.loading import load_model
from evergreen.scaffold import scaffold


@pytest.mark.parametrize("source", ["sql", "files"])
@pytest.mark.parametrize("name", ["flights", "7", "a_b", "x" * 63])
def test_what_is_written_lints_clean_and_loads(tmp_path, source, name):
    written = scaffold(name, tmp_path, source)
    assert written[0] == tmp_path / f"{name}.yaml"
    assert all(path.is_file() for path in written)
    assert [str(problem) for problem in lint([tmp_path])] == []
    model = load_model(written[0])
    assert model.spec.name == name
    assert model.suite is not None
    assert (model.query is not None) == (source == "sql")


def test_what_is_commented_out_lints_clean_too(tmp_path):
    path = scaffold("flights", tmp_path, "sql")[0]
    gate = path.read_text().partition("gate:")[2]
    assert gate.count("\n  # ") == 5
    path.write_text(path.read_text().replace("\n  # ", "\n  "))
    assert [str(problem) for problem in lint([tmp_path])] == []
    spec = load_model(path).spec
    assert spec.gate.slices == ["country"]
    assert spec.gate.serving.size is not None


def test_each_source_gets_the_files_it_needs(tmp_path):
    assert [path.relative_to(tmp_path).as_posix() for path in scaffold("a", tmp_path, "sql")] == [
        "a.yaml",
        "sql/a.sql",
        "expectations/a.yaml",
    ]
    assert [path.relative_to(tmp_path).as_posix() for path in scaffold("b", tmp_path, "files")] == [
        "b.yaml",
        "expectations/b.yaml",
    ]


@pytest.mark.parametrize("there", ["a.yaml", "a.yml", "sql/a.sql", "expectations/a.yaml"])
def test_a_file_that_is_there_is_kept_and_nothing_is_written(tmp_path, there):
    path = tmp_path / there
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=there):
        scaffold("a", tmp_path, "sql")
    assert path.read_text() == "mine"
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]


def test_a_broken_link_is_not_written_through(tmp_path):
    (tmp_path / "a.yaml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        scaffold("a", tmp_path, "sql")
    assert not (tmp_path / "elsewhere").exists()


def test_scaffolding_again_after_a_stop_half_way_finishes(tmp_path):
    written = scaffold("a", tmp_path, "sql")
    written[0].unlink()
    assert scaffold("a", tmp_path, "sql") == written
    assert written[0].is_file()


@pytest.mark.parametrize("name", ["A", "../a", "", "latest"])
def test_a_bad_name_is_refused_and_nothing_is_written(tmp_path, name):
    with pytest.raises(BadConfiguration):
        scaffold(name, tmp_path, "sql")
    assert list(tmp_path.iterdir()) == []


def test_the_header_names_the_published_schema_relative_to_the_folder(tmp_path):
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    (tmp_path / "docs" / "reference" / "model.schema.json").write_text("{}")
    (tmp_path / "dags" / "models").mkdir(parents=True)
    path = scaffold("a", tmp_path / "dags" / "models", "sql")[0]
    header = path.read_text().splitlines()[0]
    assert header == "# yaml-language-server: $schema=../../docs/reference/model.schema.json"


def test_without_a_published_schema_the_header_says_how_to_get_it(tmp_path):
    path = scaffold("a", tmp_path, "sql")[0]
    assert "evergreen schema > model.schema.json" in path.read_text().splitlines()[1]
