"""Reads what earlier versions wrote: a ledger is never rewritten, so old entries stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def comparison(plain: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a comparison's JSON as of today.

    Before the gate gave three answers, a comparison held losses, two intervals and its reasons. What it
    did not measure stays unknown.
    """
    if "decision" in plain:
        return plain
    promoted = plain["promote"]
    over_champion = _difference(plain, "champion") if plain["champion_loss"] is not None else None
    verdict = "passed" if promoted else "failed"
    name = "baseline" if over_champion is None else "champion"
    interval = plain["over_champion"] or plain["over_baseline"]
    return {
        "decision": "promote" if promoted else "keep",
        "promote": promoted,
        "checks": [{"name": name, "verdict": verdict, "words": words} for words in plain["reasons"]],
        "metric": plain["metric"],
        "higher_is_better": False,
        "policy": plain["policy"],
        "margin": f"{plain['margin']:.10g}",
        "limit": None,
        "confidence": interval["confidence"] if interval else 0.95,
        "evidence": {
            "rows": plain["rows"],
            "clusters": plain["clusters"],
            "clustered_by": "day",
            "over_baseline": _difference(plain, "baseline"),
            "over_champion": over_champion,
        },
        "champion_version": plain["champion_version"],
        "champion_seq": plain["champion_seq"],
        "notes": plain["notes"],
    }


def _difference(plain: Mapping[str, Any], other: str) -> dict[str, Any]:
    interval = plain[f"over_{other}"]
    return {
        "value": plain["challenger_loss"],
        "other": plain[f"{other}_loss"],
        "interval": interval,
        "error": None,
        "degrees": None,
        "rows": plain["rows"],
        "clusters": plain["clusters"],
        "method": "cluster-robust t over days",
        "problem": None if interval else "all test rows fall into one cluster",
    }
