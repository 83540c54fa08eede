"""The fleet's own file: read like a model file, and never in the way of a message."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from evergreen.alert_spec import EmailChannel, LogChannel, SlackChannel
from evergreen.errors import InvalidModelFile
from evergreen.fleet_file import fleet_channels, read_fleet


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fleet.yaml"


def problems(path: Path, text: str) -> list[str]:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidModelFile) as raised:
        read_fleet(path)
    return [str(problem) for problem in raised.value.problems]


def test_a_file_names_the_fleets_channels(path):
    path.write_text("alerts:\n  - {type: slack, connection: slack_ml}\n  - {type: email, to: [a@b.c]}\n")
    assert fleet_channels(path) == [
        SlackChannel(type="slack", connection="slack_ml"),
        EmailChannel(type="email", to=["a@b.c"]),
    ]


def test_no_file_or_an_empty_list_is_not_the_same(path):
    assert fleet_channels(None) == (LogChannel(type="log"),)
    path.write_text("alerts: []\n")
    assert fleet_channels(path) == []


def test_every_problem_is_found_at_its_place(path):
    found = problems(
        path,
        "alerts:\n"
        "  - {type: slak, connection: x}\n"
        "  - {type: email, to: [nobody]}\n"
        "  - {type: log, events: [faild]}\n"
        "owner: me\n",
    )
    assert len(found) == 4
    assert found[0].startswith(f"{path}:2:")
    assert "did you mean 'slack'?" in found[0]
    assert f"{path}:3:" in found[1]
    assert "team@example.com" in found[1]
    assert "did you mean 'failed'?" in found[2]
    assert "owner" in found[3]


def test_an_escalation_that_would_come_after_the_last_date_is_a_problem(path):
    text = "alerts: [{type: log, unacknowledged_for: 9999 years}]\n"
    (told,) = problems(path, text)
    assert told.startswith(f"{path}:1:42: alerts[0].unacknowledged_for: too long; got 9999 years; ")


@pytest.mark.parametrize("text", ["", "- a\n", "alerts: [\n", "alerts: 3\n", "{}\n"])
def test_a_file_that_is_none_is_a_clear_error(path, text):
    assert problems(path, text)[0].startswith(f"{path}:")


def test_a_missing_file_is_a_clear_error(path):
    with pytest.raises(InvalidModelFile, match=r"fleet\.yaml"):
        read_fleet(path)


def test_a_broken_file_stops_no_message_and_says_so(path, caplog):
    path.write_text("alerts: nobody\n")
    with caplog.at_level(logging.ERROR):
        assert fleet_channels(path) == (LogChannel(type="log"),)
    assert "EVERGREEN_ALERTS" in caplog.text
