"""The demo's table of months: what was decided, by how much, and which way is better."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from io import StringIO

import pytest
from rich.console import Console

from evergreen.comparison import Interval
from evergreen.demo.summary import Month, print_months

MONTH = Month(
    month=date(2013, 4, 1),
    champion_before=1,
    challenger=None,
    metric="log_loss",
    higher_is_better=False,
    compared_with="champion",
    difference=Interval(-0.001, -0.004, 0.002, 0.95),
    outcome="inconclusive",
    reasons=("these rows cannot tell whether the new model is better than version 1",),
    seconds=19.4,
)


def printed(*months: Month) -> list[str]:
    out = StringIO()
    print_months(Console(file=out, width=80), "flight_delay", months)
    return out.getvalue().splitlines()


def test_a_month_is_one_line_of_the_table_and_one_reason_below():
    said = printed(MONTH)
    row = next(line for line in said if "inconclusive" in line)
    assert row.split() == [
        "Apr", "2013", "v1", "-", "-0.0010", "(-0.0040", "to", "+0.0020)", "inconclusive", "19", "s",
    ]  # fmt: skip
    assert max(map(len, said[:6])) <= 80
    assert said[-1].strip() == f"Apr 2013  {MONTH.reasons[0]}"


@pytest.mark.parametrize(("up", "better"), [(False, "negative"), (True, "positive")])
def test_the_table_says_which_way_is_better(up: bool, better: str):
    assert any(f"; {better} is better." in line for line in printed(replace(MONTH, higher_is_better=up)))
