"""A messenger around a real outbox in SQLite, with a clock that a test moves and sinks that remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from evergreen.alert_spec import Channel, LogChannel
from evergreen.alerts.channels import canonical, channel_of, place
from evergreen.alerts.event import Notice
from evergreen.ledger import open_ledger
from evergreen.ledger.chain import instant_text
from evergreen.ledger.store import SqlLedger
from evergreen.messenger import Messenger
from evergreen.outbox import Letter, Receipt
from evergreen.results import to_json
from evergreen.steps.alerts import Delivered, deliver, notice, take_in

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
Fails = Callable[[Letter], BaseException | None]


class FakeSink:
    """Remembers what it was sent, once per try; `fails` says what a letter meets."""

    def __init__(self, fails: Fails = lambda letter: None) -> None:
        self.fails = fails
        self.tried: list[Letter] = []
        self.letters: list[Letter] = []

    def send(self, letter: Letter) -> Receipt:
        self.tried.append(letter)
        met = self.fails(letter)
        if met is not None:
            raise met
        self.letters.append(letter)
        return Receipt(letter.thread or f"thread of {letter.message.key}")


@dataclass
class MessengerBench:
    """What tests of the messages work with. The database's clock is `now`, too."""

    ledger: SqlLedger
    fleet: Sequence[Channel] = (LogChannel(type="log"),)
    sink: FakeSink = field(default_factory=FakeSink)
    now: datetime = NOON

    def __post_init__(self) -> None:
        self.ledger._database.now = lambda connection: instant_text(self.now)  # type: ignore[method-assign]

    @classmethod
    def at(cls, path: Any, fleet: Sequence[Channel] = (LogChannel(type="log"),)) -> MessengerBench:
        return cls(open_ledger(f"sqlite:///{path / 'ledger.db'}", 600), fleet)

    @property
    def messenger(self) -> Messenger:
        return Messenger(
            self.ledger,
            self.ledger.outbox,
            lambda _: self.sink,
            lambda: self.fleet,
            lambda run_key: f"https://airflow.example.com/{run_key}",
        )

    def notice(self, key: str, name: str = "failed", model: str = "churn", **parts: Any) -> None:
        """Write a notice down; what is not said is what most tests want."""
        said = {"severity": "medium", "headline": f"{key} happened"} | parts
        notice(self.ledger, model, key, Notice(name, **said))

    def write(self, kind: str, key: str, result: object, model: str = "churn") -> None:
        """Append any entry."""
        body = result if isinstance(result, Mapping) else to_json(result)
        lease = self.ledger.acquire(model, f"{model}/test", "hand")
        self.ledger.append(kind, key, body, lease)
        self.ledger.free(lease)

    def tell(self, seconds: float = 60.0) -> Delivered:
        """Take in and deliver."""
        take_in(self.messenger, self.now)
        return deliver(self.messenger, self.now, seconds)

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)

    def told(self) -> list[tuple[str, str, str]]:
        """Return purpose, name of the event and place of every letter that arrived."""
        return [
            (one.message.purpose, one.message.event.name, place(channel_of(one.message.channel)))
            for one in self.sink.letters
        ]

    def kinds(self) -> list[str]:
        """Return the kinds of the entries of the ledger."""
        return [entry.kind for entry in self.ledger.entries()]


def texts(*channels: Channel) -> tuple[str, ...]:
    """Return channels as a notice names them."""
    return tuple(map(canonical, channels))
