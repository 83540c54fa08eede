"""What telling people works with: the ports, filled. `wiring.py` fills them for real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evergreen.alert_spec import Channel
from evergreen.outbox import AlertSink, Outbox
from evergreen.ports import Ledger
from evergreen.witness_ports import CheckpointPlace


@dataclass(frozen=True, slots=True)
class Messenger:
    """The ports of one installation.

    `sink` gives what sends to a type of channel. `fleet` gives the channels of models whose file names
    none. `run_url` links a run key to the run in Airflow, where there is one. `checkpoints` are the
    places that the ledger is held against.
    """

    ledger: Ledger
    outbox: Outbox
    sink: Callable[[str], AlertSink]
    fleet: Callable[[], Sequence[Channel]]
    run_url: Callable[[str], str | None]
    checkpoints: Sequence[CheckpointPlace] = ()
