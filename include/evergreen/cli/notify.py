"""`evergreen notify`: what `evergreen__fleet` does, without Airflow: looks, takes in, delivers."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from datetime import UTC, datetime

from evergreen.alerts.channels import place
from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.output import say, say_json
from evergreen.cli.usage import model_path, models_folder
from evergreen.connections import Connection, from_environment
from evergreen.errors import NoConnection
from evergreen.evidence.numbers import counted
from evergreen.fleet_file import read_fleet
from evergreen.loading import load_spec
from evergreen.outbox import SinkUnavailable
from evergreen.settings import Settings
from evergreen.steps.alerts import deliver, take_in
from evergreen.steps.alerts.fleet import look_over
from evergreen.steps.alerts.try_out import try_out
from evergreen.steps.alerts.witness import keep_and_tell
from evergreen.wiring import open_messenger


def notify(arguments: Namespace) -> int:
    """Tell people what there is to tell; 1 where a message could not be delivered.

    Raises:
        InvalidModelFile: the fleet's file cannot be used; what is due was told all the same.
    """
    settings = Settings.from_environment()
    if arguments.test is not None:
        return _try_out(arguments, settings)
    with open_messenger(settings, _known_here) as messenger:
        if arguments.again:
            messenger.outbox.again()
        try:
            behind = keep_and_tell(messenger, datetime.now(UTC)).behind
            if settings.models.is_dir():
                look_over(messenger.ledger, [settings.models], datetime.now(UTC), behind=behind)
        finally:  # what waits is told whatever the fleet looks like
            events = take_in(messenger, datetime.now(UTC))
            done = deliver(messenger, datetime.now(UTC), arguments.seconds)
        waiting = sum(one.state == "waiting" for one in messenger.outbox.undelivered())
    if arguments.json:
        say_json({"events": events, **asdict(done), "waiting": waiting})
    else:
        say(
            f"{counted(events, 'event')} taken in; {counted(done.sent, 'message')} sent, "
            f"{done.postponed} failed for now, {done.given_up} given up; {waiting} wait for their time"
        )
    if settings.alerts is not None:
        read_fleet(settings.alerts)
    return FINDINGS if done.postponed or done.given_up else OK


def _known_here(connection_id: str) -> Connection:
    """Return a connection of the environment.

    Raises:
        SinkUnavailable: there is none. Airflow, or another shell, may have it, so a message is not given
            up for that: it waits.
        BadConfiguration: it cannot be read.
    """
    try:
        return from_environment(connection_id)
    except NoConnection as exc:
        raise SinkUnavailable(exc.what, where=exc.where, allowed=exc.allowed, fix=exc.fix) from None


def _try_out(arguments: Namespace, settings: Settings) -> int:
    """Send a test message to every channel of a model file; 1 where one does not take it."""
    path = model_path(models_folder(arguments.models), arguments.test)
    named = load_spec(path).alerts
    with open_messenger(settings, from_environment) as messenger:
        channels = messenger.fleet() if named is None else named
        tried = try_out(messenger, path.stem, channels, datetime.now(UTC))
    if arguments.json:
        say_json([{"channel": place(one.channel), "problem": one.problem} for one in tried])
    elif not tried:
        say(f"nobody is told of {path.stem}: its file says alerts: []")
    else:
        for one in tried:
            say(f"{place(one.channel)}: {one.problem or 'took the message'}")
    return FINDINGS if any(one.problem for one in tried) else OK
