"""The page and the quarantined rows that a judgement leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evergreen import quarantine
from evergreen.adapters.gx_validator import GxValidator
from evergreen.failpoints import EXIT_CODE
from evergreen.redaction import hide
from tests.contracts.validator import BETWEEN, expectation, flights, snapshot_of, suite_of
from tests.integration.gx_bench import IN_SET, judge, keyed, no_network, validator

__all__ = ["no_network", "validator"]

XSS = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def test_fifty_expectations_make_a_page_under_100_kilobytes(validator):
    rows = keyed(**{f"column_{n}": [n, -n, 7] for n in range(1, 51)})
    rules = [expectation(BETWEEN, column=f"column_{n}", min_value=1000) for n in range(1, 51)]
    report = judge(validator, rows, *rules)
    assert len(report.errors) == 50
    assert report.quarantined_rows == 3
    assert Path(report.report_uri).stat().st_size < 100_000


def test_text_of_the_data_and_of_the_suite_stands_on_the_page_as_text(validator):
    rows = pa.table({"key": [f"{XSS}1"], f"{XSS}2": [f"{XSS}3"]})
    rule = expectation(
        IN_SET, why=f"{XSS}4", column=f"{XSS}2", value_set=[f"{XSS}5", "{{ 7*7 }}", "</title>"]
    )
    report = judge(validator, rows, rule)
    page = Path(report.report_uri).read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert "49" not in page.replace("{{ 7*7 }}", "")
    for number in range(1, 6):
        assert f"onerror=alert(2)&gt;{number}" in page


def test_the_page_fetches_nothing_and_says_who_judged_what(validator):
    rows = flights()
    rule = expectation(BETWEEN, column="hour", min_value=0, max_value=24)
    report = validator.validate("delay", snapshot_of(rows), rows, suite_of(rule), "flight")
    page = Path(report.report_uri).read_text()
    for word in ("http:", "https:", "src=", "href=", "@import", "url("):
        assert word not in page
    for word in ("delay", "[2013-03-01T00:00Z, 2013-04-01T00:00Z)", "ab12ab12ab12", "F3", ">99<"):
        assert word in page
    assert "Rejected: 1 of 1 expectations failed as an error." in page
    assert "Judged by Great Expectations 1." in page


def test_secrets_in_the_data_reach_neither_report_nor_page(validator):
    hide("hunter2-secret")
    report = judge(
        validator, keyed(x=["hunter2-secret"]), expectation(IN_SET, column="x", value_set=["a"])
    )
    assert "hunter2" not in repr(report)
    assert "hunter2" not in Path(report.report_uri).read_text()


def test_quarantine_keeps_a_bounded_number_of_rows_and_the_page_says_so(validator, monkeypatch):
    collect = quarantine.collect
    monkeypatch.setattr(
        "evergreen.adapters.gx_validator.collect", lambda rows, faults: collect(rows, faults, most=4)
    )
    rows = keyed(x=[99] * 10)
    report = judge(validator, rows, expectation(BETWEEN, column="x", max_value=5))
    assert report.outcomes[0].failing_rows == 10
    assert report.quarantined_rows == 4
    assert pq.read_table(report.quarantine_uri)["key"].to_pylist() == [0, 1, 2, 3]
    assert "The first 4 of 10 failing rows are" in Path(report.report_uri).read_text()


def test_a_flipped_bit_in_the_quarantine_is_noticed(validator):
    report = judge(validator, keyed(x=[99] * 500), expectation(BETWEEN, column="x", max_value=5))
    path = Path(report.quarantine_uri)
    whole = bytearray(path.read_bytes())
    whole[60] ^= 1
    path.write_bytes(whole)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(path, page_checksum_verification=True)


KILLED = """
from tests.contracts.validator import *
from evergreen.adapters.gx_validator import GxValidator
import sys
rows = flights()
rule = expectation(BETWEEN, column="hour", min_value=0, max_value=24)
GxValidator(sys.argv[1], {}).validate("delay", snapshot_of(rows), rows, suite_of(rule), "flight")
"""


def test_a_try_killed_between_its_files_is_finished_by_the_next(tmp_path):
    store = tmp_path / "killed"
    for place, files in (
        ("validate.quarantined", ["rows.parquet"]),
        ("validate.reported", ["report.html", "rows.parquet"]),
    ):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(store)],
            env=os.environ | {"EVERGREEN_FAIL": place},
            check=False,
        )
        assert done.returncode == EXIT_CODE
        assert sorted(path.name for path in store.rglob("*") if path.is_file()) == files
    rows = flights()
    suite = suite_of(expectation(BETWEEN, column="hour", min_value=0, max_value=24))
    undisturbed = tmp_path / "undisturbed"
    for folder in (store, undisturbed):
        GxValidator(str(folder), {}).validate("delay", snapshot_of(rows), rows, suite, "flight")
    assert content(store) == content(undisturbed)


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
