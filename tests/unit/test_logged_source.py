"""Predictions that a team logs itself, read under our names."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from evergreen.adapters.logged_source import LoggedSource
from evergreen.column_types import TIME
from evergreen.connections import from_environment
from evergreen.errors import DataUnusable
from evergreen.logged_rows import VALUE, VERSION, probability
from evergreen.monitor_spec import LoggedPredictions
from evergreen.profiles.layout import Cells, Layout
from evergreen.results import Candidate, ModelArtefact, PinnedModel
from evergreen.row_times import within
from evergreen.window import Window
from evergreen.wiring import logged_for, scoring_source_for, source_for
from tests.fakes.bench import pinned

START = datetime(2013, 4, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(START, START + 4 * DAY)
SOURCE = {"type": "sql", "connection": "w", "query": "SELECT :start, :end"}
SERVED = pa.table(
    {
        "at": pa.array([START + number * DAY / 2 for number in range(8)], TIME),
        "id": pa.array(range(8)),
        "x": pa.array([number / 2 for number in range(8)]),
        "p": pa.array([0.25, None, 1, 0, 0.5, 0.5, 0.5, 0.5], pa.float64()),
        "q": pa.array([0.75, None, 0, 1, 0.5, 0.5, 0.5, 0.5], pa.float64()),
        "v": pa.array([1, 1, 1, None, 2, 2, 2, 2]),
    }
)


class Rows:
    """Rows of a table; `windows` notes what was read."""

    def __init__(self, table: pa.Table = SERVED) -> None:
        self.table = table
        self.windows: list[Window] = []

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        self.windows.append(window)
        times = self.table.column("at").combine_chunks()
        yield from self.table.filter(within(times, window)).to_batches(max_chunksize=3)


def source(
    classes: tuple[str, ...] = ("no", "yes"), rows: Rows | None = None, **logged: object
) -> LoggedSource:
    mapping = LoggedPredictions.model_validate({"source": SOURCE, **(logged or {"prediction": "p"})})
    return LoggedSource(rows or Rows(), "at", mapping, classes, "model m, monitor.source")


def read(logged: LoggedSource, **asked: object) -> pa.Table:
    return pa.Table.from_batches(logged.read(WINDOW, **asked))


def test_with_two_classes_the_column_is_the_second_ones_probability_and_the_first_has_the_rest():
    found = read(source())
    assert found.column_names == ["at", "id", "x", "q", "v", probability("no"), probability("yes")]
    assert found.column(probability("yes")).to_pylist() == SERVED.column("p").to_pylist()
    assert found.column(probability("no")).to_pylist() == [0.75, None, 0, 1, 0.5, 0.5, 0.5, 0.5]
    assert found.column("id").to_pylist() == list(range(8))


def test_one_of_two_classes_is_enough_whichever_it_is():
    found = read(source(probabilities={"no": "p"}))
    assert found.column(probability("no")).to_pylist()[0] == 0.25
    assert found.column(probability("yes")).to_pylist()[0] == 0.75


def test_each_class_has_its_column():
    rows = Rows(SERVED.append_column("half", pa.array([0.5] * 8)))
    found = read(
        source(("a", "b", "c"), rows, probabilities={"c": "p", "a": "q", "b": "half"}, version="v"),
        columns=[probability("a"), probability("c"), "v", VERSION],
    )
    assert found.column_names == [probability("a"), probability("c"), VERSION]
    assert found.column(VERSION).to_pylist() == SERVED.column("v").to_pylist()


def test_a_regressions_column_is_its_value():
    found = read(source((), prediction="x"))
    assert found.column(VALUE).to_pylist() == SERVED.column("x").to_pylist()
    assert "x" not in found.column_names


def test_rows_of_another_version_are_left_out_and_rows_of_none_stay():
    logged = source(prediction="p", version="v")
    assert read(logged, version=1).column("id").to_pylist() == [0, 1, 2, 3]
    assert read(logged, version=2).column("id").to_pylist() == [3, 4, 5, 6, 7]
    assert len(read(source(prediction="p"), version=7)) == 8


def test_whole_numbers_are_taken_for_probabilities_and_versions_may_be_text():
    table = SERVED.set_column(3, "p", pa.array([0, 1] * 4)).set_column(5, "v", pa.array(["3"] * 8))
    found = read(source(rows=Rows(table), prediction="p", version="v"))
    assert found.column(probability("yes")).to_pylist() == [0, 1] * 4
    assert found.column(VERSION).to_pylist() == [3] * 8


@pytest.mark.parametrize(
    ("logged", "classes", "message"),
    [
        (
            {"prediction": "prob"},
            ("no", "yes"),
            "m, monitor.source: the logged rows have no column 'prob'; allowed: at, id, x, p, q, v",
        ),
        ({"prediction": "p", "version": "vv"}, ("no", "yes"), "no column 'vv'.*did you mean 'v'"),
        ({"prediction": "id"}, ("no", "yes"), "'id' holds values that are no probabilities; got 0 to 2"),
        (
            {"prediction": "at"},
            (),
            r"'at' holds no predictions; got timestamp\[us, tz=UTC\]; allowed: num",
        ),
        ({"prediction": "p", "version": "x"}, ("no", "yes"), "'x' holds no version numbers"),
        (
            {"prediction": "p"},
            ("a", "b", "c"),
            "one column cannot hold the probabilities of 3 classes; got p; name a column for each of "
            "'a', 'b', 'c' under monitor.source.probabilities",
        ),
        (
            {"probabilities": {"a": "p", "bb": "q"}},
            ("a", "b", "c"),
            "the classes that the champion knows; got a, bb; allowed: 'a', 'b', 'c'; did you mean 'b'",
        ),
        ({"probabilities": {"a": "p", "b": "q"}}, ("a", "b", "c"), "name the column of each class"),
        ({"probabilities": {"a": "p"}}, (), "allowed: a value; name one under prediction"),
    ],
)
def test_what_does_not_fit_is_told_with_what_is_there(logged, classes, message):
    with pytest.raises(DataUnusable, match=message):
        read(source(classes, **logged))


def test_a_probability_that_rounding_put_past_one_is_one():
    table = SERVED.set_column(3, "p", pa.array([1.0 + 1e-7] * 8))
    assert read(source(rows=Rows(table))).column(probability("yes")).to_pylist() == [1.0] * 8


def test_percentages_are_no_probabilities():
    table = SERVED.set_column(3, "p", pa.array([25.0] * 8))
    with pytest.raises(DataUnusable, match=r"got 25 to 25; allowed: 0 to 1; .*divide percentages"):
        read(source(rows=Rows(table)))


def test_rows_are_counted_by_day():
    layout = Layout((Cells(probability("yes"), "number", "double", edges=(0.0, 0.5, 1.0)),))
    counted = source(prediction="p", version="v").count(WINDOW, layout, version=1)
    assert {day: profile.rows for day, profile in counted.items()} == {
        date(2013, 4, 1): 2,
        date(2013, 4, 2): 2,
    }
    assert counted[date(2013, 4, 1)].counts.tolist() == [1, 0, 0, 1, 0, 0, 0]
    assert "p" not in {column.name for column in counted[date(2013, 4, 1)].columns}


def test_the_newest_row_is_looked_for_further_and_further_back():
    rows = Rows()
    logged = source(rows=rows)
    assert logged.newest(START + DAY) == START + DAY / 2
    assert logged.newest(START + 20 * DAY) == START + 3.5 * DAY
    assert rows.windows[-1] == Window(START - 11 * DAY, START + 5 * DAY)
    assert logged.newest(START) is None
    assert logged.newest(datetime(3, 1, 1, tzinfo=UTC)) is None


def candidate(classes: tuple[str, ...] = ("0", "1")) -> Candidate:
    artefact = ModelArtefact("runs:/1", "d", ())
    return Candidate("k", "r", "classification", artefact, (), classes, (), 1, 1, {})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database and a file of served rows, and neither has the label."""
    connection = sqlite3.connect(tmp_path / "served.db")
    connection.execute("CREATE TABLE served (at TEXT, id INTEGER, x REAL, p REAL)")
    for at, key, x, p in zip(
        *(SERVED.column(name).to_pylist() for name in ("at", "id", "x", "p")), strict=True
    ):
        connection.execute(
            "INSERT INTO served VALUES (?, ?, ?, ?)", (f"{at:%Y-%m-%d %H:%M:%S}", key, x, p)
        )
    connection.commit()
    connection.close()
    pq.write_table(SERVED, tmp_path / "served.parquet")
    monkeypatch.setenv("AIRFLOW_CONN_W", f"sqlite:///{tmp_path}/served.db")
    return tmp_path


QUERY = "SELECT * FROM served WHERE at >= :start AND at < :end"
FILES = {"type": "files", "format": "parquet", "paths": ["served.parquet"]}


def watched(place: Path, source: dict[str, object]) -> PinnedModel:
    monitor = {
        "schedule": "@daily",
        "window": "7 days",
        "source": {"source": source, "prediction": "p"},
    }
    model = pinned(monitor=monitor, score={"schedule": None, "window": "1 day", "source": source})
    return replace(model, folder=str(place), score_query=QUERY, monitor_query=QUERY)


@pytest.mark.parametrize("named", [SOURCE, FILES], ids=["sql", "files"])
def test_the_model_files_own_log_is_read_and_needs_no_label(place, named):
    model = watched(place, named)
    rows = logged_for(model, candidate(), from_environment, None)
    found = pa.Table.from_batches(rows.read(WINDOW, ["id", probability("1")]))
    assert found.column(probability("1")).to_pylist() == SERVED.column("p").to_pylist()


@pytest.mark.parametrize("named", [SOURCE, FILES], ids=["sql", "files"])
def test_rows_to_score_need_no_label_and_rows_to_train_on_do(place, named):
    model = watched(place, named)
    batches = list(scoring_source_for(model, from_environment).read(WINDOW))
    assert sum(map(len, batches)) == 8
    train = replace(model, query=QUERY)
    spec = train.spec
    data = spec.data.model_copy(update={"source": spec.score.source})
    train = replace(train, spec=spec.model_copy(update={"data": data}))
    with pytest.raises(DataUnusable, match=r"no column 'late', which data\.label\.column names"):
        list(source_for(train, from_environment).read(WINDOW))


def test_without_a_source_of_its_own_scoring_reads_datas(place):
    model = pinned(score={"schedule": None, "window": "1 day"})
    rows = scoring_source_for(replace(model, query=QUERY), from_environment)
    assert pc.sum(pa.Table.from_batches(rows.read(WINDOW)).column("id")).as_py() == sum(range(8))


def test_a_missing_file_names_the_section_it_is_named_in(place):
    model = watched(place, FILES | {"paths": ["nothing/*.parquet"]})
    with pytest.raises(DataUnusable, match=r"score\.source\.paths: no file matches"):
        list(scoring_source_for(model, from_environment).read(WINDOW))
    with pytest.raises(DataUnusable, match=r"monitor\.source\.source\.paths: no file matches"):
        list(logged_for(model, candidate(), from_environment, None).read(WINDOW))
