"""How many events a minute become messages at a receiver, from the ledger through the outbox, and what
random kills do to them.

Each event is an entry of the ledger that opens, continues or ends an incident, and is taken in and
posted, signed, to a web server on this machine, one message after the other. Every message is claimed,
sent, and recorded in its row and in the chain, each on disk before the next. So that every event is a
message of its own, each model has a channel of its own; a storm into one channel would be gathered into
a few digests. The throw-away PostgreSQL of the tests runs with fsync off: its figures show the code, not
a disk.

Under kills, processes that write events, take them in and deliver them to two channels die at a random
moment, or at a random one of the places between two side effects, while the server refuses every sixth
message. Lost is what was written down and not told to a channel; doubled what two messages told one
channel. A message that arrives again bears the same key, by which a receiver tells.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from evergreen.adapters.webhook_sink import WebhookSink
from evergreen.alert_spec import WebhookChannel
from evergreen.alerts.channels import canonical
from evergreen.alerts.event import Notice
from evergreen.connections import Connection
from evergreen.ledger import open_ledger
from evergreen.messenger import Messenger
from evergreen.steps.alerts import deliver, notice, take_in
from tests.integration.alerts_process import Came, rounds_of
from tests.integration.postgres import find_binary, start_postgres

EVENTS_PER_MODEL = 4
AIM = 1000


class Receiver(BaseHTTPRequestHandler):
    """Takes every message."""

    def do_POST(self) -> None:
        """Read the message and say yes."""
        self.rfile.read(int(self.headers["content-length"]))
        self.server.arrived.append(self.headers["webhook-id"])
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiver() -> Iterator[ThreadingHTTPServer]:
    """Run a web server that keeps the keys of the messages that arrive."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.arrived = []
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def write(ledger: object, count: int) -> None:
    """Write events of many models: each opens an incident, goes on twice, and ends it."""
    for number in range(count):
        model, step = f"m{number // EVENTS_PER_MODEL}", number % EVENTS_PER_MODEL
        channel = WebhookChannel(type="webhook", connection=model, private_network=True)
        ends = step == EVENTS_PER_MODEL - 1
        one = Notice(
            "recovered" if ends else "failed",
            "medium",
            f"{model}: the retrain failed at train.",
            ("train: TrainingFailed: the estimator refused its parameters.",) * 5,
            cause=None if ends else "retrain",
            closes=("retrain",) if ends else (),
            signature=str(step),
            owner="team@example.com",
            command=f"evergreen explain {model}",
            channels=(canonical(channel),),
        )
        notice(ledger, model, f"failed/{model}/{step}", one)


def measure(url: str, count: int) -> tuple[float, float]:
    """Return events a minute that are written, and that are taken in and arrive."""
    ledger = open_ledger(url, 600)
    with receiver() as server:

        def connection(name: str) -> Connection:
            port = server.server_address[1]
            return Connection(
                name, "http", "127.0.0.1", password="a signing secret", port=port, schema="http"
            )

        sink = WebhookSink(connection)
        messenger = Messenger(ledger, ledger.outbox, lambda _: sink, lambda: (), lambda _: None)
        began = time.perf_counter()
        write(ledger, count)
        written = time.perf_counter()
        take_in(messenger, datetime.now(UTC))
        while ledger.outbox.undelivered():
            deliver(messenger, datetime.now(UTC), 600)
        ended = time.perf_counter()
        arrived = len(set(server.arrived))
    whole = ledger.verify().ok
    ledger.close()
    if arrived != count or not whole:
        raise SystemExit(f"{arrived} of {count} messages arrived; the chain verifies: {whole}")
    return 60 * count / (written - began), 60 * count / (ended - written)


def under_kills(rounds: int) -> Came:
    """Kill so many processes at their work."""
    with tempfile.TemporaryDirectory() as folder:
        return rounds_of(f"sqlite:///{folder}/ledger.db", rounds, Path(folder) / "written")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print Markdown tables and, where asked to, write the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.alerts")
    parser.add_argument("--count", type=int, default=1000, help="events")
    parser.add_argument("--kills", type=int, default=500, help="processes that are killed")
    parser.add_argument("--out", type=Path, help="write the figures as JSON to this file")
    chosen = parser.parse_args(arguments)
    figures: dict[str, object] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "events": chosen.count,
    }
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        urls = {"SQLite": f"sqlite:///{folder}/ledger.db"}
        if find_binary("postgres"):
            server = stack.enter_context(start_postgres())
            urls["PostgreSQL (fsync off)"] = server.url.render_as_string(hide_password=False)
        print(f"| database | events written a minute | told a minute | aim of {AIM:,} a minute |")
        print("|---|---:|---:|---|")
        for name, url in urls.items():
            written, told = measure(url, chosen.count)
            reached = "reached" if told >= AIM else "missed"
            print(f"| {name} | {written:,.0f} | {told:,.0f} | {reached} |", flush=True)
            figures[name] = {"written_per_minute": written, "told_per_minute": told}
    came = under_kills(chosen.kills)
    figures["kills"] = asdict(came)
    print("\n| killed | events | messages | digests | lost | doubled | arrived again, same key |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {came.killed} of {came.rounds} | {came.notices:,} | {came.messages:,} | {came.digests} | "
        f"{came.lost} | {came.doubled} | {came.again} |"
    )
    if chosen.out:
        chosen.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
