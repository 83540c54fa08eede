"""What the key of a run says of it: `MODEL/RUN_ID` where Airflow began it, else `MODEL/BY/…`."""

from __future__ import annotations

OTHER_DUTIES = frozenset({"score", "monitor", "hand", "reconcile"})


def airflow_run(run_key: str) -> str | None:
    """Return Airflow's id of a run, None for a run that was begun elsewhere: its id holds a slash.

    >>> airflow_run("churn/manual__1")
    'manual__1'
    """
    run_id = run_key.partition("/")[2]
    return None if "/" in run_id else run_id


def is_retrain(run_key: str) -> bool:
    """Return whether a run is a retrain, which alone says what it came to.

    A retrain of Airflow may have any id, also the name of another duty.

    >>> is_retrain("churn/reconcile/pass")
    False
    """
    return airflow_run(run_key) is not None or run_key.split("/")[1] not in OTHER_DUTIES


def pass_key(model: str) -> str:
    """Return the key by which a pass of reconcile holds a model's lease; no run of a scheduler has it.

    It is the same for every pass, so the one after a killed one need not wait for its lease to end; of
    two at once the second fences off the first, and both do the same.
    """
    return f"{model}/reconcile/pass"
