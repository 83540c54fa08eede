"""Commands that mend what a crash left, and hold the ledger against what others saw of it."""

from __future__ import annotations

from evergreen.cli.args import JSON, MODELS
from evergreen.cli.command import Arg, Command

RECOVERY: tuple[Command, ...] = (
    Command(
        "reconcile",
        "Find, and finish or close, what a crash left; a healthy model is left alone",
        "evergreen.cli.reconcile:reconcile",
        (
            Arg(("names",), "only these models (default: all)", {"nargs": "*", "metavar": "NAME"}),
            Arg(
                ("--dry-run",),
                "only say what there is to do; 1 where there is anything",
                {"action": "store_true"},
            ),
            Arg(
                ("--adopt",),
                "instead: accept a ledger that its checkpoints contradict, such as a restored backup",
                {"action": "store_true"},
            ),
            Arg(("--why",), "why it is adopted, kept in the ledger", {"metavar": "TEXT"}),
            MODELS,
            JSON,
        ),
    ),
    Command(
        "audit",
        "Verify the ledger's hash chain, and hold it against its checkpoints",
        "evergreen.cli.audit:audit",
        (
            Arg(
                ("--checkpoints",),
                "folder, URI or file of checkpoints (default: EVERGREEN_CHECKPOINTS)",
                {"nargs": "+", "metavar": "PLACE"},
            ),
            Arg(
                ("--export",),
                "also write every entry to this new file, for the stand-alone verifier",
                {"metavar": "FILE"},
            ),
            Arg(
                ("--verifier",),
                "only print the stand-alone verifier: one Python file that needs no Evergreen",
                {"action": "store_true"},
            ),
            JSON,
        ),
    ),
    Command(
        "checkpoint",
        "Keep a checkpoint of the ledger's head where its owner cannot reach, and print it",
        "evergreen.cli.checkpoint:checkpoint",
        (
            Arg(
                ("--to",),
                "folder or URI to keep it in (default: EVERGREEN_CHECKPOINTS)",
                {"nargs": "+", "metavar": "PLACE"},
            ),
            JSON,
        ),
    ),
)
