"""The how-to on object storage says what the code does, and its JSON can be pasted."""

from __future__ import annotations

import json
import re
from pathlib import Path

from evergreen import aws_connection, log_days, storage, storage_errors
from evergreen.aws_session import BOUNDS

PAGE = Path("docs/how-to/object-storage.md").read_text(encoding="utf-8")


def table_after(heading: str) -> list[list[str]]:
    """Return the cells of the first table that follows a heading of a column."""
    lines = PAGE[PAGE.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_entry_of_a_connection_that_is_heeded_is_told():
    told = {
        name for row in table_after("entry of the extra") for name in re.findall(r"`([\w.]+)`", row[0])
    }
    also = {
        "assume_role_method",
        "service_config",
    }  # told in the words below the table, and by its parts
    assert {name for name in told if "." not in name} == set(aws_connection._EXTRAS) - also
    assert "service_config.s3.endpoint_url" in told


def test_every_refusal_is_told_with_whether_it_is_tried_again():
    told = {
        each: again == "yes"
        for words, again, _fix in table_after("the message says")
        for each in words.split(" / ")
    }
    for meaning in {*storage_errors._MEANINGS.values(), storage_errors._OTHER}:
        assert told[meaning.what] is meaning.later, meaning.what


def test_sizes_times_and_days_are_those_of_the_code():
    assert f"{storage.PART_BYTES // 2**20} MiB" in PAGE
    assert f"{2 * storage.PART_BYTES // 2**20} MiB and more" in PAGE
    assert f"up to {log_days.MOST_ASKED} days" in PAGE
    words = (
        f"waits {BOUNDS['connect_timeout']} seconds for the connection and {BOUNDS['read_timeout']} for"
    )
    assert words in PAGE
    assert BOUNDS["retries"]["total_max_attempts"] == 3
    assert "three times by botocore" in PAGE
    assert (storage.TRIES, storage.PARTS_AT_ONCE) == (2, 4)


def test_what_can_be_pasted_is_json():
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    assert all(json.loads(block) for block in blocks)
    connection = re.search(r"AIRFLOW_CONN_LAKE='(.*?)'", PAGE, re.DOTALL)
    assert json.loads(connection[1])["conn_type"] == "aws"
