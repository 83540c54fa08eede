"""`evergreen checkpoint`: keep a checkpoint of the ledger's head, or print it."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.output import complain, say, say_json
from evergreen.connections import from_environment
from evergreen.settings import Settings
from evergreen.steps.witness import Witnessed, present, witness
from evergreen.wiring import checkpoint_places, open_ledger


def checkpoint(arguments: Namespace) -> int:
    """Keep a checkpoint in every place and print it; 1 where a place did not take it."""
    settings = Settings.from_environment()
    places = checkpoint_places(settings, from_environment, arguments.to or ())
    with open_ledger(settings) as ledger:
        done = witness(ledger, places) if places else Witnessed(present(ledger))
    if arguments.json:
        kept = None if done.checkpoint is None else asdict(done.checkpoint)
        say_json({"checkpoint": kept, "kept": list(done.kept), "problems": dict(done.problems)})
    elif done.checkpoint is None:
        complain("the ledger is empty: there is nothing to keep a checkpoint of")
    else:
        say(done.checkpoint.text())
        for place in done.kept:
            complain(f"kept at {place}")
    for place, why in done.problems:
        complain(f"not kept at {place}: {why}")
    return FINDINGS if done.problems else OK
