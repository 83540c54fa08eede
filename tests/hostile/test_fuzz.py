"""The fuzzer itself runs, counts, and keeps what it finds."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from tests.hostile import fuzz
from tests.hostile.reading import Reader

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None and not os.environ.get("CI"),
    reason="atheris has no wheel for this Python or machine",
)


@pytest.fixture(autouse=True)
def kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "KEPT", tmp_path / "fuzz")


def test_a_short_run_executes_inputs_and_finds_nothing() -> None:
    found = fuzz.fuzz(6, seed=3)
    assert found.findings == 0
    assert 0 < found.largest_mib < 200


def test_an_exception_would_be_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader lets through what is no `InvalidModelFile`."""
    from tests.hostile import reading

    def broken(_: Path) -> None:
        raise RecursionError("deep")

    monkeypatch.setattr(reading, "load_spec", broken)
    readings = dict(Reader(tmp_path).readings(b"a: 1"))
    with pytest.raises(RecursionError):
        readings["spec"]()
    assert readings["model"]() is False
