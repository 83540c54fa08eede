"""Commands with which people answer, take things in hand, and are told."""

from __future__ import annotations

from evergreen.cli.args import JSON, MODELS, NAME
from evergreen.cli.command import Arg, Command

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

PEOPLE: tuple[Command, ...] = (
    Command(
        "approvals",
        "Which releases wait for a person's approval",
        "evergreen.cli.approvals:approvals",
        (
            Arg(("name",), "only of this model (default: all)", {"nargs": "?", "metavar": "NAME"}),
            JSON,
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
            JSON,
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
            JSON,
        ),
    ),
    Command(
        "rollback",
        "Make an earlier champion champion again",
        "evergreen.cli.rollback:rollback",
        (
            NAME,
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
            JSON,
        ),
    ),
    Command(
        "pin",
        "Let no retrain replace the champion: it goes on serving until it is unpinned",
        "evergreen.cli.hand:pin",
        (
            NAME,
            Arg(
                ("--version",),
                "the version you take to be the champion; it is an error where it is not",
                {"type": int, "metavar": "VERSION"},
            ),
            _WHY,
            JSON,
        ),
    ),
    Command("unpin", "Let retrains release again", "evergreen.cli.hand:unpin", (NAME, _WHY, JSON)),
    Command(
        "pause",
        "Let no run of a model begin; one under way goes on, but releases nothing",
        "evergreen.cli.hand:pause",
        (NAME, _ONLY, _WHY, JSON),
    ),
    Command(
        "resume",
        "Let runs of a paused model begin again",
        "evergreen.cli.hand:resume",
        (NAME, _ONLY, _WHY, JSON),
    ),
    Command(
        "alerts",
        "What people were told of that is still open, and what could not be delivered to them",
        "evergreen.cli.alerts:alerts",
        (
            Arg(("name",), "only of this model (default: all)", {"nargs": "?", "metavar": "NAME"}),
            JSON,
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
            MODELS,
            JSON,
        ),
    ),
)
