"""The page on expectations cannot rot: its examples are linted, judged and run."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from evergreen.adapters.gx_validator import GxValidator
from evergreen.lint import lint
from evergreen.loading import load_model
from tests.contracts.validator import snapshot_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/write-expectations.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
SUITE = next(text for kind, text in BLOCKS if kind == "yaml" and "type:" in text)
PYTHON = next(text for kind, text in BLOCKS if kind == "python")


@pytest.fixture
def model_file(tmp_path):
    """The example model with the page's suite in place of its own."""
    folder = tmp_path / "models"
    shutil.copytree(ROOT / "dags/models", folder)
    (folder / "expectations/flight_delay.yaml").write_text(SUITE)
    return folder / "flight_delay.yaml"


def flights(count: int, bad_origins: int) -> pa.Table:
    start = datetime(2013, 3, 1, tzinfo=UTC)
    departures = [start + timedelta(minutes=n) for n in range(count)]
    return pa.table(
        {
            "flight_id": list(range(count)),
            "origin": ["XXX" if n < bad_origins else "JFK" for n in range(count)],
            "distance_miles": [100 + n % 4000 for n in range(count)],
            "tail_number": [f"N{n}" for n in range(count)],
            "wind_speed": [None if n % 50 == 0 else 3.5 for n in range(count)],
            "late": [n % 4 == 0 for n in range(count)],
            "carrier": [f"C{n % 16}" for n in range(count)],
            "scheduled_departure": pa.array(departures, pa.timestamp("us", "UTC")),
            "scheduled_arrival": pa.array(
                [at + timedelta(hours=2) for at in departures], pa.timestamp("us", "UTC")
            ),
        }
    )


def test_the_suite_of_the_page_has_no_finding(model_file):
    assert lint([model_file]) == []


def test_the_suite_of_the_page_judges_good_rows_and_the_snippet_reads_the_bad_ones(
    model_file, tmp_path, monkeypatch, capsys
):
    suite = load_model(model_file).suite
    validator = GxValidator(str(tmp_path / "store"), {})
    good = flights(20_000, bad_origins=0)
    report = validator.validate("delay", snapshot_of(good, "aa"), good, suite, "flight_id")
    assert report.passed, report.errors
    assert report.warnings == ()
    bad = flights(20_000, bad_origins=3)
    report = validator.validate("delay", snapshot_of(bad, "bb"), bad, suite, "flight_id")
    assert [outcome.failing_rows for outcome in report.errors] == [3]
    monkeypatch.chdir(Path(report.quarantine_uri).parent)
    exec(compile(PYTHON, "docs", "exec"), {})
    printed = capsys.readouterr().out
    assert "error: expect_column_values_to_be_in_set" in printed
    assert "[3 rows x 10 columns]" in printed


def test_the_page_names_the_files_that_are_written():
    for name in ("report.html", "rows.parquet", "evergreen_reasons", "100,000"):
        assert name in PAGE
