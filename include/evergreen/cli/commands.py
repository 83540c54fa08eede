"""The table of commands. Importing it is cheap: a command's code is imported when it is called.

Exit codes: 0 ok, 1 findings (an invalid file, rejected data, a broken chain), 2 usage, 3 environment
(a connection, database or server that is missing or does not answer, a run in the way), 130 interrupted.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

OK, FINDINGS, USAGE, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument, in argparse's words."""

    flags: tuple[str, ...]
    help: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `func` names `module:function`, which takes the parsed arguments."""

    name: str
    help: str
    func: str
    args: tuple[Arg, ...]

    def call(self, arguments: Any) -> int:
        """Run the command and return its exit code."""
        module, _, attribute = self.func.partition(":")
        function: Callable[[Any], int] = getattr(importlib.import_module(module), attribute)
        return function(arguments)


_NAME = Arg(("name",), "the model's name", {"metavar": "NAME"})
_JSON = Arg(("--json",), "print JSON, stable between releases", {"action": "store_true"})
_MODELS = Arg(
    ("--models",),
    "folder of the model files (default: EVERGREEN_MODELS, else dags/models)",
    {"metavar": "DIR"},
)

_WALK = (
    Arg(("--as-of",), "the instant the run pretends it is (default: now)", {"metavar": "DATE"}),
    Arg(
        ("--from",),
        "with --to: every time the schedule comes due after this date",
        {"metavar": "DATE", "dest": "since"},
    ),
    Arg(("--to",), "up to and including this date (default: now)", {"metavar": "DATE"}),
)

_WHY = Arg(
    ("--why",),
    "the reason, kept in the ledger with your account's name",
    {"required": True, "metavar": "TEXT"},
)
_ONLY = Arg(
    ("--only",),
    "only this DAG of the model (default: all)",
    {"choices": ("retrain", "score", "monitor")},
)

_RUN = Arg(
    ("run",),
    "the run, as approvals names it, or a model of which one run waits",
    {"metavar": "RUN"},
)
_EVIDENCE = Arg(
    ("--evidence",),
    "the digest you looked at: needed where the run asked anew; another than the question's is refused",
    {"metavar": "DIGEST"},
)

COMMANDS: tuple[Command, ...] = (
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
            _JSON,
        ),
    ),
    Command(
        "run",
        "Run a model's retrain here, without Airflow",
        "evergreen.cli.run:run",
        (
            _NAME,
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
            _MODELS,
            _JSON,
        ),
    ),
    Command(
        "score",
        "Score fresh rows with a model's champion here, without Airflow, into the prediction log",
        "evergreen.cli.score:score",
        (
            _NAME,
            *_WALK,
            Arg(
                ("--again",),
                "also windows that were scored by this command already: their rows are replaced",
                {"action": "store_true"},
            ),
            Arg(("--reason",), "why, for the record", {"default": "scored by hand", "metavar": "TEXT"}),
            _MODELS,
            _JSON,
        ),
    ),
    Command(
        "monitor",
        "Check a model's champion here, without Airflow: drift, loss, and whether to retrain",
        "evergreen.cli.monitor:monitor",
        (
            _NAME,
            *_WALK,
            Arg(("--reason",), "why, for the record", {"default": "checked by hand", "metavar": "TEXT"}),
            _MODELS,
            _JSON,
        ),
    ),
    Command(
        "watch",
        "How the watch over a model stands: the newest check, its numbers, and what was decided",
        "evergreen.cli.watch:watch",
        (_NAME, _JSON),
    ),
    Command(
        "history",
        "What was decided for a model, and why",
        "evergreen.cli.history:history",
        (
            _NAME,
            Arg(
                ("--watch",),
                "the checks of the watch instead, and what became of the retrains they asked for",
                {"action": "store_true"},
            ),
            _JSON,
        ),
    ),
    Command(
        "as-of",
        "Who was champion at a time, on what evidence",
        "evergreen.cli.as_of:as_of",
        (
            _NAME,
            Arg(("date",), "2013-04-01 or 2013-04-01T06:00:00+00:00", {"metavar": "DATE"}),
            Arg(
                ("--by",),
                "recorded: by when the ledger recorded it; data: by the as-of of the runs",
                {"choices": ("recorded", "data"), "default": "recorded"},
            ),
            _JSON,
        ),
    ),
    Command(
        "explain",
        "What is live, how the newest comparison came out, why, and what would change the answer",
        "evergreen.cli.explain:explain",
        (
            _NAME,
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
            _JSON,
        ),
    ),
    Command(
        "replay",
        "What the watch would have done over recorded history, and at what cost; leaves no trace",
        "evergreen.cli.replay:replay",
        (
            _NAME,
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
            _MODELS,
            _JSON,
        ),
    ),
    Command(
        "approvals",
        "Which releases wait for a person's approval",
        "evergreen.cli.approvals:approvals",
        (
            Arg(("name",), "only of this model (default: all)", {"nargs": "?", "metavar": "NAME"}),
            _JSON,
        ),
    ),
    Command(
        "approve",
        "Agree to a release that waits for it; not in your own run",
        "evergreen.cli.approvals:approve",
        (
            _RUN,
            Arg(("--why",), "the reason, kept with the answer", {"default": "", "metavar": "TEXT"}),
            _EVIDENCE,
            _JSON,
        ),
    ),
    Command(
        "reject",
        "Keep the champion instead of a release that waits for approval",
        "evergreen.cli.approvals:reject",
        (
            _RUN,
            Arg(
                ("--why",),
                "the reason, kept with the answer",
                {"required": True, "metavar": "TEXT"},
            ),
            Arg(
                ("--more-data",),
                "say that the evidence does not suffice, not that the version is bad",
                {"action": "store_true"},
            ),
            _EVIDENCE,
            _JSON,
        ),
    ),
    Command(
        "rollback",
        "Make an earlier champion champion again",
        "evergreen.cli.rollback:rollback",
        (
            _NAME,
            Arg(
                ("--to",),
                "a version that was champion before (default: the one before the present champion)",
                {"type": int, "metavar": "VERSION"},
            ),
            _WHY,
            Arg(
                ("--dry-run",),
                "say what would be done, having checked that it can be; change nothing",
                {"action": "store_true"},
            ),
            Arg(
                ("--wait",),
                "how long to wait for a run that is at work on the model (default: not at all)",
                {"type": float, "default": 0.0, "metavar": "SECONDS"},
            ),
            _JSON,
        ),
    ),
    Command(
        "pin",
        "Let no retrain replace the champion: it goes on serving until it is unpinned",
        "evergreen.cli.hand:pin",
        (
            _NAME,
            Arg(
                ("--version",),
                "the version you take to be the champion; it is an error where it is not",
                {"type": int, "metavar": "VERSION"},
            ),
            _WHY,
            _JSON,
        ),
    ),
    Command("unpin", "Let retrains release again", "evergreen.cli.hand:unpin", (_NAME, _WHY, _JSON)),
    Command(
        "pause",
        "Let no run of a model begin; one under way goes on, but releases nothing",
        "evergreen.cli.hand:pause",
        (_NAME, _ONLY, _WHY, _JSON),
    ),
    Command(
        "resume",
        "Let runs of a paused model begin again",
        "evergreen.cli.hand:resume",
        (_NAME, _ONLY, _WHY, _JSON),
    ),
    Command(
        "alerts",
        "What people were told of that is still open, and what could not be delivered to them",
        "evergreen.cli.alerts:alerts",
        (
            Arg(("name",), "only of this model (default: all)", {"nargs": "?", "metavar": "NAME"}),
            _JSON,
        ),
    ),
    Command(
        "acknowledge",
        "Say that you see to an incident, so that nobody else is called",
        "evergreen.cli.alerts:acknowledge",
        (
            Arg(
                ("incident",),
                "the incident, as alerts and every message name it, or a model with one open incident",
                {"metavar": "INCIDENT"},
            ),
            Arg(("--who",), "who sees to it (default: your account's name)", {"metavar": "NAME"}),
            Arg(
                ("--why",),
                "what you know or do, kept in the ledger",
                {"required": True, "metavar": "TEXT"},
            ),
        ),
    ),
    Command(
        "notify",
        "Tell people what there is to tell, without Airflow",
        "evergreen.cli.notify:notify",
        (
            Arg(
                ("--seconds",),
                "how long to go on delivering (default: 60)",
                {"type": float, "default": 60.0, "metavar": "N"},
            ),
            Arg(
                ("--again",),
                "send what was given up as well, once its channel is mended",
                {"action": "store_true"},
            ),
            Arg(
                ("--test",),
                "only send a test message to every channel of this model, and say what it met",
                {"metavar": "NAME"},
            ),
            _MODELS,
            _JSON,
        ),
    ),
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
            _MODELS,
            _JSON,
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
            _JSON,
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
            _JSON,
        ),
    ),
    Command(
        "schema",
        "Print the JSON Schema of model files",
        "evergreen.cli.schema:schema",
        (
            Arg(
                ("--write",), "write the schema and its reference page into a folder", {"metavar": "DIR"}
            ),
        ),
    ),
    Command(
        "new",
        "Scaffold a model file that lints clean",
        "evergreen.cli.new:new",
        (
            _NAME,
            Arg(("--source",), "where rows come from", {"choices": ("sql", "files"), "default": "sql"}),
            _MODELS,
        ),
    ),
)
