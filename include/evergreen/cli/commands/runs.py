"""Commands that do to a model, without Airflow, what its DAGs do."""

from __future__ import annotations

from evergreen.cli.args import JSON, MODELS, NAME
from evergreen.cli.command import Arg, Command

_WALK = (
    Arg(("--as-of",), "the instant the run pretends it is (default: now)", {"metavar": "DATE"}),
    Arg(
        ("--from",),
        "with --to: every time the schedule comes due after this date",
        {"metavar": "DATE", "dest": "since"},
    ),
    Arg(("--to",), "up to and including this date (default: now)", {"metavar": "DATE"}),
)

RUNS: tuple[Command, ...] = (
    Command(
        "lint",
        "Find every error of every model file",
        "evergreen.cli.lint:lint",
        (
            Arg(
                ("paths",),
                "model files or folders (default: the models folder)",
                {"nargs": "*", "metavar": "PATH"},
            ),
            JSON,
        ),
    ),
    Command(
        "run",
        "Run a model's retrain here, without Airflow",
        "evergreen.cli.run:run",
        (
            NAME,
            Arg(("--as-of",), "the instant the run pretends it is (default: now)", {"metavar": "DATE"}),
            Arg(
                ("--requested",),
                "serve the newest request of the watch, as of its alarm; without one there is nothing "
                "to do",
                {"action": "store_true"},
            ),
            Arg(("--reason",), "why, for the record", {"default": "run by hand", "metavar": "TEXT"}),
            Arg(
                ("--release",),
                "auto: release a challenger that proves itself; never: only register it; unopposed: do "
                "not compare with the champion, who cannot be scored any more",
                {"choices": ("auto", "never", "unopposed"), "default": "auto"},
            ),
            MODELS,
            JSON,
        ),
    ),
    Command(
        "score",
        "Score fresh rows with a model's champion here, without Airflow, into the prediction log",
        "evergreen.cli.score:score",
        (
            NAME,
            *_WALK,
            Arg(
                ("--again",),
                "also windows that were scored by this command already: their rows are replaced",
                {"action": "store_true"},
            ),
            Arg(("--reason",), "why, for the record", {"default": "scored by hand", "metavar": "TEXT"}),
            MODELS,
            JSON,
        ),
    ),
    Command(
        "monitor",
        "Check a model's champion here, without Airflow: drift, loss, and whether to retrain",
        "evergreen.cli.monitor:monitor",
        (
            NAME,
            *_WALK,
            Arg(("--reason",), "why, for the record", {"default": "checked by hand", "metavar": "TEXT"}),
            MODELS,
            JSON,
        ),
    ),
)
