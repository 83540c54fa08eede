"""What a file source does with files that are missing, broken, or do not agree."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evergreen.adapters.files_source import FileRows, _groups_within
from evergreen.errors import BadConfiguration, DataUnusable, SourceUnavailable
from evergreen.source_spec import FilesSource
from evergreen.window import Window
from tests.contracts.data_source import MARCH, data, rows, table_of

HEADER = "id,at,late,x\n"


def source(folder, *paths, kind="csv", text=(), **fields):
    spec = FilesSource.model_validate(
        {"type": "files", "paths": list(paths or ["*.csv"]), "format": kind, "text": list(text)}
    )
    return FileRows(spec, folder, data(**fields), {})


def read(folder, *paths, **fields):
    return table_of(list(source(folder, *paths, **fields).read(MARCH)))


def refused(folder, *paths, error=DataUnusable, **fields):
    with pytest.raises(error) as caught:
        list(source(folder, *paths, **fields).read(MARCH))
    return str(caught.value)


def csv_of(folder, values, name="rows.csv"):
    lines = [f"{n},2013-03-{n + 1:02},0,{value}\n" for n, value in enumerate(values)]
    (folder / name).write_text(HEADER + "".join(lines))


@pytest.mark.parametrize(
    ("values", "kind", "got"),
    [
        (["1", "", "-3"], pa.int64(), [1, None, -3]),
        (["1", "2.5", "NA"], pa.float64(), [1.0, 2.5, None]),
        (["inf", "-inf", "nan"], pa.float64(), [float("inf"), -float("inf"), None]),
        (["true", "False", ""], pa.bool_(), [True, False, None]),
        (["a", "NA", "b"], pa.string(), ["a", None, "b"]),
        (["007", "012", ""], pa.string(), ["007", "012", None]),
        (["2013-01-01", "2013-01-02", ""], pa.date32(), [datetime.fromisoformat("2013-01-01").date()]),
        (["2013-01-01 05:00", "", ""], pa.timestamp("us", "UTC"), [datetime(2013, 1, 1, 5, tzinfo=UTC)]),
        (["", "", ""], pa.null(), [None, None, None]),
    ],
)
def test_the_values_of_a_csv_column_decide_its_type(tmp_path, values, kind, got):
    csv_of(tmp_path, values)
    column = read(tmp_path).column("x")
    assert column.type == kind
    assert column.to_pylist()[: len(got)] == got


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["1", "2", "two"], "int64, such as '1', and string, such as 'two'"),
        (["1.5", "x"], "double, such as '1.5', and string, such as 'x'"),
        (["true", "1"], "int64, such as '1', and bool, such as 'true'"),
        (["2013-01-01", "soon"], "date32[day], such as '2013-01-01', and string, such as 'soon'"),
        (["12", "012"], "string, such as '012'"),
    ],
)
def test_mixed_types_in_a_csv_column_name_file_column_and_examples(tmp_path, values, said):
    csv_of(tmp_path, values)
    text = refused(tmp_path)
    assert "rows.csv: column 'x' holds mixed types" in text
    assert said in text
    assert "data.source.text" in text


def test_a_column_listed_as_text_is_text(tmp_path):
    csv_of(tmp_path, ["12", "012", "NA", "", "x"])
    assert read(tmp_path, text=["x"]).column("x").to_pylist() == ["12", "012", "NA", None, "x"]


@pytest.mark.parametrize("value", ["2013-02-30", "99999999999999999999", "2013-01-01 25:00"])
def test_a_value_that_only_looks_right_is_named(tmp_path, value):
    csv_of(tmp_path, [value])
    text = refused(tmp_path)
    assert "'x'" in text
    assert value in text


def test_the_type_of_a_csv_column_does_not_depend_on_blocks(tmp_path, monkeypatch):
    csv_of(tmp_path, ["", "", "1", "2", "2.5"])
    whole = read(tmp_path)
    monkeypatch.setattr("evergreen.adapters.files_source.CSV_BLOCK_BYTES", 25)
    assert read(tmp_path).equals(whole)
    assert len(list(source(tmp_path).read(MARCH))) > 2


def test_files_are_read_in_sorted_order_and_once(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.csv").write_text(HEADER + "1,2013-03-05,0,1\n")
    (tmp_path / "b" / "c.csv").write_text(HEADER + "2,2013-03-04,0,1\n")
    table = read(tmp_path, "**/*.csv", "a.csv", "b/*.csv")
    assert table.column("id").to_pylist() == [1, 2]


def test_compressed_csv_and_a_byte_order_mark_are_read(tmp_path):
    with gzip.open(tmp_path / "rows.csv.gz", "wb") as file:
        file.write(b"\xef\xbb\xbf" + (HEADER + '1,2013-03-05,0,"a\nb"\n').encode())
    assert read(tmp_path, "*.gz").column("x").to_pylist() == ["a\nb"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        ("id;at;late\n1;2013-03-01;0\n", "id;at;late"),
        (HEADER + "1,2013-03-01\n", "Expected 4 columns"),
        (HEADER.encode() + b"1,2013-03-01,0,\xff\xfe\n", "codec"),
        ("id,id,at,late\n1,1,2013-03-01,0\n", "'id' stands twice"),
        (HEADER + "1,,0,2\n", "row"),
        (HEADER + "1,1362096000,0,2\n", "1362096000"),
        (HEADER + "1,2013-03-01,0,1\n2,1/3/2013,0,1\n", "'1/3/2013' in row 2"),
    ],
)
def test_a_broken_csv_file_is_named_with_what_is_wrong(tmp_path, content, said):
    (tmp_path / "rows.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    text = refused(tmp_path)
    assert "rows.csv" in text
    assert said in text


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_glob_without_a_file_says_where_it_looked(tmp_path, kind):
    text = refused(tmp_path, f"lake/*.{kind}", kind=kind)
    assert f"lake/*.{kind}" in text
    assert str(tmp_path) in text


@pytest.mark.parametrize("path", ["../x.csv", "/etc/*.csv", "~/x.csv", "a/../../x.csv"])
def test_a_path_out_of_the_folder_is_refused(tmp_path, path):
    assert path in refused(tmp_path, path, error=BadConfiguration)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "inside").mkdir()
    csv_of(tmp_path, ["1"])
    (tmp_path / "inside" / "link.csv").symlink_to(tmp_path / "rows.csv")
    assert "by a link" in refused(tmp_path / "inside", error=BadConfiguration)


@pytest.mark.parametrize("url", ["file:///etc/x.csv", "http://127.0.0.1/x.csv", "simplecache::s3://b/x"])
def test_other_kinds_of_storage_are_refused(tmp_path, url):
    assert "s3://" in refused(tmp_path, url, error=BadConfiguration)


def test_types_that_differ_between_files_name_the_file_and_the_column(tmp_path):
    pq.write_table(rows(3, x=pa.array([1, 2, 3])), tmp_path / "1.parquet")
    pq.write_table(rows(3, x=pa.array(["a", "b", "c"])), tmp_path / "2.parquet")
    text = refused(tmp_path, "*.parquet", kind="parquet")
    assert "2.parquet: column 'x' holds mixed types: int64, such as 1, and string, such as a" in text


def test_columns_that_differ_between_files_name_the_file_and_the_columns(tmp_path):
    pq.write_table(rows(3, x=pa.array([1, 2, 3])), tmp_path / "1.parquet")
    pq.write_table(rows(3, y=pa.array([1, 2, 3])), tmp_path / "2.parquet")
    text = refused(tmp_path, "*.parquet", kind="parquet")
    assert "2.parquet" in text
    assert "without ['x'], with ['y']" in text


def test_columns_in_another_order_and_widening_types_are_one_table(tmp_path):
    pq.write_table(rows(3, x=pa.array([1, 2, 3], pa.int8())), tmp_path / "1.parquet")
    other = rows(3, x=pa.array([0.5] * 3, pa.float32())).select(["x", "late", "at", "id"])
    pq.write_table(other, tmp_path / "2.parquet")
    table = read(tmp_path, "*.parquet", kind="parquet")
    assert table.column_names == ["id", "at", "late", "x"]
    assert table.column("x").to_pylist() == [1.0, 2.0, 3.0, 0.5, 0.5, 0.5]


def test_parquet_types_of_all_kinds_come_down_to_the_canonical_ones(tmp_path):
    table = rows(
        2,
        decimal=pa.array([1, 2], pa.decimal128(10, 2)),
        category=pa.array(["a", "b"]).dictionary_encode(),
        nanos=pa.array([1_362_096_000_000_000_001, None], pa.timestamp("ns", "Europe/Berlin")),
        small=pa.array([1, 2], pa.uint8()),
        large=pa.array(["a", None], pa.large_string()),
        milli=pa.array([0, 1], pa.timestamp("ms")),
    )
    pq.write_table(table, tmp_path / "1.parquet")
    schema = read(tmp_path, "1.parquet", kind="parquet").schema
    assert [str(schema.field(n).type) for n in ("decimal", "category", "nanos", "small", "large")] == [
        "double",
        "string",
        "timestamp[us, tz=UTC]",
        "int64",
        "string",
    ]


@pytest.mark.parametrize(
    "column", [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"x"]), pa.array([1], pa.duration("s"))]
)
def test_parquet_types_that_no_model_can_use_are_named(tmp_path, column):
    pq.write_table(rows(1, x=column), tmp_path / "1.parquet")
    text = refused(tmp_path, "1.parquet", kind="parquet")
    assert "1.parquet: column 'x'" in text
    assert str(column.type).split("<")[0] in text


@pytest.mark.parametrize("damage", ["cut", "flip", "other"])
def test_a_broken_parquet_file_is_named(tmp_path, damage):
    path = tmp_path / "1.parquet"
    pq.write_table(rows(5000), path, write_page_checksum=True, compression="none")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "flip":
        content[1000] ^= 1
    else:
        content = bytearray(b"id,at\n")
    path.write_bytes(content)
    text = refused(tmp_path, "1.parquet", kind="parquet")
    assert "1.parquet: the file cannot be read as parquet" in text


def test_row_groups_outside_the_window_are_not_read(tmp_path):
    path = tmp_path / "1.parquet"
    pq.write_table(rows(1000), path, row_group_size=100)
    start = MARCH.start.replace(hour=5)
    hour = Window(start, start.replace(hour=7))
    assert _groups_within(pq.read_metadata(path), "at", hour) == [3, 4]
    assert _groups_within(pq.read_metadata(path), "late", hour) == list(range(10))


def test_a_file_that_may_not_be_read_is_a_matter_of_permission(tmp_path, monkeypatch):
    csv_of(tmp_path, ["1"])

    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.open", denied)
    assert "not allowed" in refused(tmp_path, error=BadConfiguration)


def test_a_disk_that_fails_may_be_tried_again(tmp_path, monkeypatch):
    csv_of(tmp_path, ["1"])

    def broken(*_args, **_kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.open", broken)
    assert "did not answer" in refused(tmp_path, error=SourceUnavailable)
