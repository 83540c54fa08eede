"""Where a person finds a run in Airflow's own pages."""

from __future__ import annotations

from urllib.parse import quote

from evergreen.names import monitor_dag_id, retrain_dag_id, score_dag_id

_DAGS = {"score": score_dag_id, "monitor": monitor_dag_id}


def run_url(base: str | None, run_key: str) -> str | None:
    """Return the address of a run's page; None for runs outside Airflow, or where no base is known.

    >>> run_url("https://airflow.example.com", "churn/monitor/scheduled__2026-01-01T00:00:00+00:00")
    'https://airflow.example.com/dags/churn__monitor/runs/scheduled__2026-01-01T00%3A00%3A00%2B00%3A00'
    >>> run_url("https://airflow.example.com", "churn/cli/2026-01-01T00:00:00Z/abc/auto") is None
    True
    """
    model, _, run = run_key.partition("/")
    dag_id = retrain_dag_id
    duty, slash, rest = run.partition("/")
    if slash and duty in _DAGS:
        dag_id, run = _DAGS[duty], rest
    if not base or not run or "/" in run:
        return None
    return f"{base}/dags/{quote(dag_id(model), safe='')}/runs/{quote(run, safe='')}"
