"""Imports everything once, then forks a process per task and lets it run the real operator.

Reads one JSON line per task from standard input, with the keys home, task, try_number and fail (the name
of a failpoint, or null); answers with one: {"code": ...}. Code 0: success, 99: skipped, 137: killed at
the failpoint, 1: error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

ERROR, SKIPPED = 1, 99
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
    "evergreen_airflow.factory",
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
    from evergreen_airflow.factory import build_retrain_dag

    os.environ["EVERGREEN_HOME"] = order["home"]
    if order["fail"]:
        os.environ["EVERGREEN_FAIL"] = order["fail"]
    end = datetime(2013, 4, 1, tzinfo=UTC)
    dag_run = SimpleNamespace(
        run_id="scheduled__2013-04-01",
        dag_id=f"{model_file.stem}__retrain",
        run_type=DagRunType.SCHEDULED,
        data_interval_end=end,
        run_after=end,
        consumed_asset_events=[],
        triggering_user_name=None,
    )
    ti = SimpleNamespace(try_number=order["try_number"], get_task_states=lambda dag_id, run_ids: {})
    print(f"--- {order}", flush=True)
    try:
        task = build_retrain_dag(load_spec(model_file), model_file).get_task(order["task"])
        task.execute({"dag_run": dag_run, "ti": ti, "params": {}})
    except AirflowSkipException:
        return SKIPPED
    return 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
