"""A validator that keeps its store in a folder and reaches no network, and rows for it to judge."""

from __future__ import annotations

import pyarrow as pa
import pytest

from evergreen.adapters.gx_validator import GxValidator
from tests.contracts.validator import snapshot_of, suite_of

IN_SET = "expect_column_values_to_be_in_set"
MEAN = "expect_column_mean_to_be_between"


@pytest.fixture
def validator(tmp_path):
    return GxValidator(str(tmp_path / "store"), {})


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args):
        raise AssertionError(f"the validator went to the network: {args[1:]}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


def judge(validator, rows, *expectations):
    key = rows.column_names[0] if "key" not in rows.column_names else "key"
    return validator.validate("m", snapshot_of(rows), rows, suite_of(*expectations), key)


def only(validator, rows, rule):
    (outcome,) = judge(validator, rows, rule).outcomes
    return outcome


def keyed(**columns):
    length = len(next(iter(columns.values())))
    return pa.table({"key": list(range(length)), **columns})
