"""No flipped bit and no cut of a file that Evergreen keeps is read without a word."""

from __future__ import annotations

import os
from pathlib import Path

from tests.hostile.bounded import run

DAMAGES = 10_000 if os.environ.get("EVERGREEN_HOSTILE") == "all" else 350


def test_no_damage_is_silent(tmp_path: Path) -> None:
    said = run("flips", tmp_path, str(DAMAGES))
    assert said["done"] >= DAMAGES
    silent = {name: tally["silent"] for name, tally in said["found"].items() if "silent" in tally}
    assert silent == {}
    for name in ("snapshot rows", "snapshot manifest", "profile", "model", "baseline"):
        assert set(said["found"][name]) == {"found"}, name
    log = said["found"]["day of the prediction log"]
    assert log["found"] > 3 * log.get("harmless", 0)  # the rest lies where no reader looks
