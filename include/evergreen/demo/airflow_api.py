"""What the demo asks of a running Airflow through its public REST API."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import httpx
import tenacity

from evergreen.demo.airflow_home import RunningAirflow
from evergreen.errors import BadConfiguration

FINISHED = frozenset({"success", "failed"})


@dataclass(frozen=True, slots=True)
class DagRun:
    """A run of a DAG. `day` is the first day of its data interval; None for runs that have none."""

    dag_id: str
    run_id: str
    state: str
    day: date | None
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class TaskRun:
    """A task of a run; `state` is None before the scheduler looked at it."""

    dag_id: str
    run_id: str
    task_id: str
    state: str | None
    try_number: int
    started: datetime | None
    ended: datetime | None


class _Busy(Exception):
    """The server answered that it could not answer: SQLite was locked."""


# SQLite answers some requests with "database is locked" (as 500 or 503) while tasks report.
_patiently = tenacity.retry(
    retry=tenacity.retry_if_exception_type((httpx.TransportError, _Busy)),
    wait=tenacity.wait_random_exponential(multiplier=0.2, max=3),
    stop=tenacity.stop_after_delay(60),
    reraise=True,
)


class AirflowApi:
    """A signed-in client. Every call is repeated for up to a minute where Airflow is busy."""

    def __init__(self, airflow: RunningAirflow) -> None:
        self._airflow = airflow
        self._client = httpx.Client(base_url=airflow.url, timeout=60, trust_env=False)
        credentials = {"username": airflow.user, "password": airflow.password}
        token = self._send("POST", "/auth/token", json=credentials)["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def import_errors(self) -> list[str]:
        """Return what is wrong with DAG files, if anything."""
        found = self._send("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in found]

    def wait_for_dags(self, dag_ids: Collection[str], patience_seconds: float = 180) -> None:
        """Wait until every DAG has been parsed.

        Raises:
            BadConfiguration: a DAG file does not import, or a DAG does not appear.
        """
        missing = tenacity.Retrying(
            stop=tenacity.stop_after_delay(patience_seconds),
            wait=tenacity.wait_fixed(0.5),
            retry=tenacity.retry_if_result(bool),
            retry_error_callback=lambda last: last.outcome.result() if last.outcome else None,
        )(self._missing, dag_ids)
        if missing:
            raise BadConfiguration(
                "Airflow did not find every DAG",
                got="missing: " + ", ".join(sorted(missing)),
                fix=f"see {self._airflow.home / 'logs' / 'dag-processor.log'}",
            )

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run the DAG."""
        self._send("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def backfill(self, dag_id: str, first: date, last: date) -> None:
        """Ask the scheduler for one run per data interval that begins in `[first, last]`.

        Intervals that have a successful run already are left alone, failed ones are run again. A
        backfill that is still on its way is left to go on.
        """
        self._send(
            "POST",
            "/api/v2/backfills",
            json={
                "dag_id": dag_id,
                "from_date": f"{first}T00:00:00Z",
                "to_date": f"{last}T23:59:59Z",
                "max_active_runs": 1,
                "reprocess_behavior": "failed",
            },
            fine=(httpx.codes.CONFLICT,),
        )

    def end_backfills(self, dag_id: str) -> None:
        """End the DAG's backfills, whose runs are over: Airflow itself notices that only later.

        Until then it refuses another backfill of the same DAG.
        """
        found = self._send("GET", "/api/v2/backfills", params={"dag_id": dag_id})["backfills"]
        for one in found:
            if one["completed_at"] is None:
                self._send("PUT", f"/api/v2/backfills/{one['id']}/cancel", fine=(httpx.codes.CONFLICT,))

    def runs(self, dag_ids: Iterable[str]) -> list[DagRun]:
        """Return the runs of some DAGs, oldest first."""
        wanted = set(dag_ids)
        found = self._send("GET", "/api/v2/dags/~/dagRuns", params={"limit": 100, "order_by": "id"})
        return [
            DagRun(
                run["dag_id"],
                run["dag_run_id"],
                run["state"],
                start.date() if (start := _instant(run["data_interval_start"])) else None,
                _instant(run["start_date"]),
                _instant(run["end_date"]),
            )
            for run in found["dag_runs"]
            if run["dag_id"] in wanted
        ]

    def tasks(self, run: DagRun) -> list[TaskRun]:
        """Return the tasks of a run."""
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        return [
            TaskRun(
                run.dag_id,
                run.run_id,
                task["task_id"],
                task["state"],
                task["try_number"],
                _instant(task["start_date"]),
                _instant(task["end_date"]),
            )
            for task in self._send("GET", path)["task_instances"]
        ]

    def log(self, task: TaskRun, lines: int = 30) -> str:
        """Return the end of a task's log."""
        path = (
            f"/api/v2/dags/{task.dag_id}/dagRuns/{task.run_id}/taskInstances/{task.task_id}"
            f"/logs/{max(task.try_number, 1)}"
        )
        content = self._send("GET", path, params={"full_content": True})["content"]
        events = [_log_line(event) for event in content] if isinstance(content, list) else [str(content)]
        return "\n".join("\n".join(events).splitlines()[-lines:])

    def _missing(self, dag_ids: Collection[str]) -> set[str]:
        self._airflow.check()
        errors = self.import_errors()
        if errors:
            raise BadConfiguration("a DAG file does not import", fix="\n".join(errors)[:4000])
        found = self._send("GET", "/api/v2/dags", params={"limit": 100})["dags"]
        return set(dag_ids) - {dag["dag_id"] for dag in found}

    @_patiently
    def _send(self, method: str, path: str, *, fine: tuple[int, ...] = (), **request: Any) -> Any:
        answer = self._client.request(method, path, **request)
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise _Busy(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        if answer.is_error and answer.status_code not in fine:
            raise BadConfiguration(
                f"Airflow refused {method} {path}",
                where=self._airflow.url,
                got=f"{answer.status_code} {answer.text[:400]}",
                fix=f"see {self._airflow.home / 'logs' / 'api-server.log'}",
            )
        return answer.json()


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _log_line(event: Any) -> str:
    if not isinstance(event, dict):
        return str(event)
    detail = event.get("error_detail")
    return f"{event.get('level', '')} {event.get('event', '')}" + (f" {detail}" if detail else "")
