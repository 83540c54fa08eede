"""The log takes a letter as one line."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from evergreen.adapters.log_sink import LogSink
from evergreen.outbox import Receipt
from tests.contracts.letters import CHANNELS, FAILED, letter


class TestLog:
    @pytest.mark.parametrize(
        ("severity", "level"), [("low", "INFO"), ("medium", "WARNING"), ("high", "WARNING")]
    )
    def test_a_letter_is_one_line_whose_level_is_its_severity(self, caplog, severity, level):
        caplog.set_level(logging.INFO)
        event = replace(FAILED, severity=severity, lines=("two\nlines",))
        assert LogSink(lambda _: None).send(letter(CHANNELS["log"], event)) == Receipt()
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("evergreen.alerts", level)
        said = record.getMessage()
        assert "\n" not in said
        for part in (FAILED.headline, "two lines", FAILED.owner, FAILED.command):
            assert part in said
