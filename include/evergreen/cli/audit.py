"""`evergreen audit`: does the ledger's chain verify, and where does it first not."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from evergreen.cli.commands import FINDINGS, OK
from evergreen.cli.output import say, say_json
from evergreen.settings import Settings
from evergreen.wiring import open_ledger


def audit(arguments: Namespace) -> int:
    """Verify the chain; 1 where it is broken."""
    with open_ledger(Settings.from_environment()) as ledger:
        result = ledger.verify()
    if arguments.json:
        say_json(asdict(result))
    elif result.ok:
        say(f"the chain verifies: {result.count:,} entries, head {result.head}")
    else:
        say(f"the chain is broken at entry {result.first_bad_seq}: {result.what}")
    return OK if result.ok else FINDINGS
