"""Processes that take notices in and deliver them, to be killed: nothing may be lost or told twice.

`python -m tests.integration.alerts_process 500` kills as many and prints what came of it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from evergreen.adapters.webhook_sink import WebhookSink
from evergreen.alert_spec import WebhookChannel
from evergreen.alerts import storms
from evergreen.alerts.channels import receiver
from evergreen.alerts.event import Notice
from evergreen.connections import Connection
from evergreen.failpoints import EXIT_CODE
from evergreen.ledger import open_ledger, outbox, store
from evergreen.messenger import Messenger
from evergreen.steps.alerts import deliver, notice, take_in
from tests.contracts.web_server import WebServer, response, web_server
from tests.integration.ledger_process import CONTEXT, said, say

CLAIM_SECONDS = 0.4
NOTICES = 3
MOST_FAILPOINTS = 80
LONGEST_LIFE_SECONDS = 0.6
REFUSALS = 6
"""One of so many requests is answered with 503."""
PATIENCE_SECONDS = 120
PATHS = ("one", "two")
CHANNELS = tuple(WebhookChannel(type="webhook", connection=path, private_network=True) for path in PATHS)


@dataclass(frozen=True)
class Came:
    """What came of many kills.

    `lost` were written down and never told to one of the places; `doubled` were told to one place by
    two messages; `unheard` stand in the ledger as told and did not arrive, or the other way round.
    `again` counts arrivals of a message that had arrived with the same key, as happens where somebody is
    killed between sending and recording.
    """

    rounds: int
    killed: int
    notices: int
    messages: int
    digests: int
    lost: int
    doubled: int
    unheard: int
    again: int
    chain_ok: bool


def messenger_to(ledger, port: int) -> Messenger:
    """Return a messenger whose webhooks both lead to a local server."""

    def connection(name):
        return Connection(
            name,
            "http",
            "127.0.0.1",
            password="a signing secret",
            port=port,
            schema="http",
            extra={"path": name},
        )

    sink = WebhookSink(connection)
    return Messenger(ledger, ledger.outbox, lambda _: sink, lambda: CHANNELS, lambda _: None)


def hurry(stormy: bool = True) -> None:
    """Let claims, waits and storms last moments, so that a test sees their ends; or have no storms."""
    delivering = sys.modules["evergreen.steps.alerts.deliver"]
    delivering.CLAIM_SECONDS = CLAIM_SECONDS
    delivering.FIRST_WAIT = delivering.LONGEST_WAIT = timedelta(seconds=0.2)
    storms.HOLD = timedelta(seconds=0.3)
    if not stormy:
        storms.MOST_AT_ONCE = 1_000_000


def die_at(number: int) -> None:
    """Let the process die where it passes a failpoint for the n-th time."""
    passed = [0]

    def failpoint(_name):
        passed[0] += 1
        if passed[0] == number:
            os._exit(EXIT_CODE)

    for module in (store, outbox, sys.modules["evergreen.steps.alerts.deliver"]):
        module.failpoint = failpoint


def noticed(number: int) -> tuple[str, Notice]:
    """Return the model and the notice of a number: openings, updates, ends and single ones."""
    cause = None if number % 4 == 0 else "retrain"
    closes = ("retrain",) if number % 9 == 0 else ()
    return f"m{number % 5}", Notice(
        "failed", "medium", f"Notice {number}.", cause=cause, closes=closes, signature=str(number)
    )


def tell(url: str, port: int, first: int, dying_at: int, written: Path, ready=None) -> None:
    """Write a few notices, saying each once it stands, then take in and deliver."""
    hurry(stormy=first // NOTICES % 3 == 0)
    ledger = open_ledger(url, 600)
    if dying_at:
        die_at(dying_at)
    if ready is not None:
        ready.set()
    for number in range(first, first + NOTICES):
        model, one = noticed(number)
        notice(ledger, model, f"failed/{model}/{number}", one)
        say(written, f"failed/{model}/{number}")
    now = datetime.now(UTC)
    messenger = messenger_to(ledger, port)
    take_in(messenger, now)
    deliver(messenger, now)
    ledger.close()


def rounds_of(url: str, rounds: int, written: Path, seed: int = 7) -> Came:
    """Kill so many processes at their work, let one end it, and count."""
    rng = random.Random(seed)
    killed = 0
    ledger = open_ledger(url, 600)
    with web_server() as server:
        taken = _taken_now_and_then(server, random.Random(seed))
        for number in range(rounds):
            killed += _killed(rng, url, server.port, number * NOTICES, written)
        finish(ledger, server)
        came = _counted(ledger, taken, said(written), rounds, killed)
    ledger.close()
    return came


def _taken_now_and_then(server: WebServer, rng: random.Random) -> list[tuple[str, str]]:
    """Let the server refuse some requests, and return the list of the path and id of the others."""
    taken: list[tuple[str, str]] = []

    def answer(line, request, _over):
        if len(request.body) != int(request.headers.get("content-length", -1)):
            return  # whoever sent it was killed meanwhile
        if rng.randrange(REFUSALS) == 0:
            line.sendall(response("503 Service Unavailable"))
            return
        taken.append((request.path.strip("/"), request.headers["webhook-id"]))
        line.sendall(response("200 OK"))

    server.answer(answer)
    return taken


def _killed(rng: random.Random, url: str, port: int, first: int, written: Path) -> bool:
    dying_at = rng.randint(1, MOST_FAILPOINTS) if rng.random() < 0.5 else 0
    ready = CONTEXT.Event()
    process = CONTEXT.Process(
        target=tell, args=(url, port, first, dying_at, written, ready), daemon=True
    )
    process.start()
    if not dying_at and ready.wait(PATIENCE_SECONDS):
        time.sleep(rng.random() * LONGEST_LIFE_SECONDS)
        with suppress(ProcessLookupError):  # it came to its end before
            os.kill(process.pid, signal.SIGKILL)
    process.join(PATIENCE_SECONDS)
    if process.exitcode not in (0, EXIT_CODE, -signal.SIGKILL):
        raise AssertionError(f"a process ended with {process.exitcode}")
    return process.exitcode != 0


def finish(ledger, server: WebServer) -> None:
    hurry()
    messenger = messenger_to(ledger, server.port)
    patience = time.monotonic() + PATIENCE_SECONDS
    while take_in(messenger, datetime.now(UTC)) or ledger.outbox.undelivered():
        deliver(messenger, datetime.now(UTC))
        time.sleep(0.05)
        if time.monotonic() > patience:
            raise AssertionError(f"still waits: {ledger.outbox.undelivered()[:3]}")


def _counted(ledger, taken: list[tuple[str, str]], written: list[str], rounds: int, killed: int) -> Came:
    told: Counter[tuple[str, str]] = Counter()
    arrived = Counter(taken)
    names = {receiver(channel): channel.connection for channel in CHANNELS}
    bodies = [entry.body for entry in ledger.entries(kind="told")]
    for body in bodies:
        told.update((names[body["place"]], event) for event in body["events"])
    keys = {(names[body["place"]], quote(body["message"], safe="/:+@-_~")) for body in bodies}
    return Came(
        rounds=rounds,
        killed=killed,
        notices=len(set(written)),
        messages=len(bodies),
        digests=sum(body["purpose"] == "digest" for body in bodies),
        lost=sum((path, event) not in told for path in PATHS for event in set(written)),
        doubled=sum(count > 1 for count in told.values()),
        unheard=len(keys - set(arrived)) + len(set(arrived) - keys),
        again=sum(count - 1 for count in arrived.values()),
        chain_ok=ledger.verify().ok,
    )


def main() -> None:
    """Kill as often as asked and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rounds", type=int, nargs="?", default=500)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ledger.db"
        came = rounds_of(url, parser.parse_args().rounds, Path(folder) / "written")
    print(asdict(came))


if __name__ == "__main__":
    main()
