"""Imports everything once, then forks a process per task and lets it run the real operator.

Reads one JSON line per task from standard input, with the keys home, task, try_number and fail (the name
of a failpoint, or null), and for other DAGs than the retrain of April dag and end; answers with one:
{"code": ...}. Code 0: success, 98: it waits for people, 99: skipped, 137: killed at the failpoint, 1:
error. With who, the name of a user, Airflow goes on with a task that waited, for that user approved.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections import defaultdict
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

ERROR, WAITS, SKIPPED = 1, 98, 99
PRELOADED = (
    "great_expectations",
    "matplotlib.figure",
    "mlflow.sklearn",
    "pandas",
    "pyarrow.parquet",
    "skops.io",
    "evergreen.wiring",
    "evergreen.ledger.store",
    "evergreen.adapters.gx_validator",
    "evergreen.adapters.mlflow_trainer",
    "evergreen_airflow.dag_kinds",
)


def main(model_file: Path, log: Path) -> None:
    """Serve until standard input ends."""
    for module in PRELOADED:
        importlib.import_module(module)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            with log.open("a") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            _end_as(model_file, order)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _end_as(model_file: Path, order: dict) -> None:
    code = ERROR
    try:
        code = run_task(model_file, order)
    finally:
        if code == ERROR:
            traceback.print_exc()
        os._exit(code)


def run_task(model_file: Path, order: dict) -> int:
    """Run one task as Airflow's task runner would, by the operator's `execute`."""
    from airflow.sdk.exceptions import AirflowSkipException
    from airflow.utils.types import DagRunType

    from evergreen.loading import load_spec
    from evergreen_airflow.dag_kinds import KINDS
    from evergreen_airflow.waiting import SIGNAL

    os.environ["EVERGREEN_HOME"] = order["home"]
    if order["fail"]:
        os.environ["EVERGREEN_FAIL"] = order["fail"]
    if order["task"] == "ask":
        return ask_for_a_retrain(model_file.stem, Path(order["home"]))
    end = datetime.fromisoformat(order.get("end", "2013-04-01T00:00:00+00:00"))
    dag_id = f"{model_file.stem}__{order.get('dag', 'retrain')}"
    kind = next(kind for kind in KINDS if kind.dag_id(model_file.stem) == dag_id)
    dag_run = SimpleNamespace(
        run_id=f"scheduled__{end:%Y-%m-%d}",
        dag_id=dag_id,
        run_type=DagRunType.SCHEDULED,
        data_interval_end=end,
        run_after=end,
        consumed_asset_events=[],
        triggering_user_name=None,
    )
    ti = SimpleNamespace(
        id="ti", try_number=order["try_number"], max_tries=0, get_task_states=lambda dag_id, run_ids: {}
    )
    print(f"--- {order}", flush=True)
    try:
        task = kind.build(load_spec(model_file), model_file).get_task(order["task"])
        events = defaultdict(SimpleNamespace)
        context = {"dag_run": dag_run, "ti": ti, "params": {}, "outlet_events": events}
        with without_forms():
            if who := order.get("who"):
                task.execute_complete(context, approved_by(who))
            else:
                task.execute(context)
    except AirflowSkipException:
        return SKIPPED
    except SIGNAL:
        return WAITS
    return 0


def without_forms() -> AbstractContextManager[object]:
    """Leave out the forms that Airflow keeps in its database."""
    return mock.patch("evergreen_airflow.operators.approve.upsert_hitl_detail", autospec=True)


def approved_by(who: str) -> dict:
    """Return what Airflow hands to a task when a user has approved."""
    return {
        "chosen_options": ["Approve"],
        "params_input": {},
        "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": who, "name": who},
    }


def ask_for_a_retrain(model: str, home: Path) -> int:
    """Put a request into the queue, as a check of the watch does."""
    from evergreen.ledger import open_ledger
    from evergreen.steps import requests
    from evergreen.watch_results import RetrainRequest

    request = RetrainRequest(
        f"{model}/monitor/1", datetime(2013, 3, 31, tzinfo=UTC), "x drifted", "watch"
    )
    home.mkdir(parents=True, exist_ok=True)
    ledger = open_ledger(f"sqlite:///{home / 'ledger.db'}", 600)
    lease = ledger.acquire(model, request.key, "monitor")
    requests.ask(SimpleNamespace(ledger=ledger), request, lease)
    ledger.close()
    return 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
