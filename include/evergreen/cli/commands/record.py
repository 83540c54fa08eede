"""Commands that say what was decided for a model, and what would have been."""

from __future__ import annotations

from evergreen.cli.args import JSON, MODELS, NAME
from evergreen.cli.command import Arg, Command

RECORD: tuple[Command, ...] = (
    Command(
        "watch",
        "How the watch over a model stands: the newest check, its numbers, and what was decided",
        "evergreen.cli.watch:watch",
        (NAME, JSON),
    ),
    Command(
        "history",
        "What was decided for a model, and why",
        "evergreen.cli.history:history",
        (
            NAME,
            Arg(
                ("--watch",),
                "the checks of the watch instead, and what became of the retrains they asked for",
                {"action": "store_true"},
            ),
            JSON,
        ),
    ),
    Command(
        "as-of",
        "Who was champion at a time, on what evidence",
        "evergreen.cli.as_of:as_of",
        (
            NAME,
            Arg(("date",), "2013-04-01 or 2013-04-01T06:00:00+00:00", {"metavar": "DATE"}),
            Arg(
                ("--by",),
                "recorded: by when the ledger recorded it; data: by the as-of of the runs",
                {"choices": ("recorded", "data"), "default": "recorded"},
            ),
            JSON,
        ),
    ),
    Command(
        "explain",
        "What is live, how the newest comparison came out, why, and what would change the answer",
        "evergreen.cli.explain:explain",
        (
            NAME,
            Arg(
                ("--as-of",),
                "what the ledger had recorded by then (default: now)",
                {"metavar": "DATE"},
            ),
            Arg(
                ("--run",),
                "the comparison of this run, as history --json names it (default: the newest)",
                {"metavar": "RUN"},
            ),
            JSON,
        ),
    ),
    Command(
        "replay",
        "What the watch would have done over recorded history, and at what cost; leaves no trace",
        "evergreen.cli.replay:replay",
        (
            NAME,
            Arg(
                ("--from",),
                "as-of of the first champion; rows from then on are scored and watched",
                {"dest": "start", "required": True, "metavar": "DATE"},
            ),
            Arg(
                ("--to",),
                "where the replay ends",
                {"dest": "end", "required": True, "metavar": "DATE"},
            ),
            Arg(
                ("--with",),
                "another model file of this model, anywhere, to lay beside its own; the files it names "
                "are those of the models folder",
                {"dest": "other", "metavar": "FILE"},
            ),
            MODELS,
            JSON,
        ),
    ),
)
