"""From a failure to its message: seconds from the moment a step writes its failure into the ledger to
the moment a web server on this machine has the message, in a real Airflow with its scheduler.

Each run of a model whose table is empty fails in its second task. The task's own callback, in the task's
process, writes the notice down and delivers it; nothing waits for the fleet's DAG, which is not there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.contracts.web_server import WebServer, web_server
from tests.integration.airflow_world import Api, World, lay_out, model_text, running

ALERTS = """\
retries: {{attempts: 0, delay: 0 minutes}}
alerts: [{{type: webhook, connection: hook_{name}, private_network: true, events: [failed]}}]
"""
"""A place of its own for each model: a storm into one would be gathered into a digest."""


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds from each failure to its message."""

    message: list[float]


@contextmanager
def world(folder: Path, models: list[str], hook: WebServer) -> Iterator[World]:
    """Run an Airflow whose models all fail."""
    files = lay_out(folder)
    for name in models:
        text = model_text(name, more=ALERTS.format(name=name)).replace("WHERE at", "WHERE id < 0 AND at")
        (files / f"{name}.yaml").write_text(text)
    connection = {
        "conn_type": "http",
        "host": "127.0.0.1",
        "schema": "http",
        "port": hook.port,
        "password": "signed with this",
    }
    hooks = {f"AIRFLOW_CONN_HOOK_{name.upper()}": json.dumps(connection) for name in models}
    dags = [f"{name}__retrain" for name in models]
    with running(folder, Api, dags, port=18110, more=hooks) as (airflow, api):
        yield World(airflow, api, files, folder / "evergreen")


def measure(count: int) -> Delays:
    """Let so many runs fail, one after another, and return how long each message took."""
    models = [f"m{number}" for number in range(count)]
    arrived: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        web_server() as hook,
        world(Path(folder), models, hook) as failing,
    ):
        for name in models:
            failing.api.unpause(f"{name}__retrain")
            failing.api.trigger(f"{name}__retrain")
            while len(hook.requests) <= len(arrived):
                time.sleep(0.01)
            arrived[name] = time.time()
            assert hook.requests[-1].json["data"]["model"] == name
        with failing.opened_ledger() as ledger:
            failed = {entry.model: entry.at.timestamp() for entry in ledger.entries(kind="step_failed")}
    return Delays([arrived[name] - failed[name] for name in models])


def markdown(delays: Delays) -> str:
    """Return the figures as Markdown."""
    low, middle, high = np.quantile(delays.message, [0.1, 0.5, 0.9])
    return (
        f"{len(delays.message)} failures: median **{middle:.1f} s**, "
        f"one in ten within {low:.1f} s, nine in ten within {high:.1f} s."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=15, help="how many runs fail")
    print(markdown(measure(parser.parse_args().count)))


if __name__ == "__main__":
    main()
