"""Writes the decision into the note of Airflow's run, where a connection to Airflow's API is set.

A task has no other way: the Task SDK can read a run's note and give one to a run that it triggers, but
no message of its protocol changes the note of a run that is there, and the token a task holds is for
that protocol only. So this signs in to the public REST API as a user of the operator's choosing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from evergreen.airflow_rest import run_path, signed_in
from evergreen.redaction import redact
from evergreen.text import markdown

log = logging.getLogger(__name__)

LONGEST_NOTE = 1000
"""What Airflow's API takes."""
OURS = "**Evergreen**"
"""Begins our part of a note; what a person wrote before it stays."""


def write_note(dag_run: Any, lines: Iterable[str]) -> None:
    """Write lines into the run's note; whatever goes wrong is a warning and changes no outcome.

    Args:
        dag_run: The task's run, with `dag_id` and `run_id`.
        lines: Sentences, the foremost first; those for which there is no room are left out.
    """
    from evergreen_airflow.configuration import settings_from_airflow
    from evergreen_airflow.connections import from_airflow

    try:
        connection_id = settings_from_airflow().airflow_connection
        if connection_id is None:
            return
        with signed_in(from_airflow(connection_id)) as client:
            path = run_path(dag_run.dag_id, dag_run.run_id)
            found = client.get(path).raise_for_status().json().get("note")
            note = noted(found, lines)
            if note != found:
                client.patch(
                    path, params={"update_mask": "note"}, json={"note": note}
                ).raise_for_status()
    except Exception as exc:  # noqa: BLE001 - a note is a courtesy: no run fails for want of it
        log.warning("the run's note was not written: %s: %s", type(exc).__name__, redact(str(exc)))


def noted(found: str | None, lines: Iterable[str]) -> str:
    r"""Return the note with our lines below what a person wrote; an earlier try's are replaced.

    >>> noted("Look at this one.", ["Kept version 3.", "Judged on 9,000 rows."])
    'Look at this one.\n\n**Evergreen**\n\n- Kept version 3.\n- Judged on 9,000 rows.'
    """
    theirs = (found or "").partition(OURS)[0].rstrip()
    note = f"{theirs}\n\n{OURS}\n" if theirs else f"{OURS}\n"
    if len(note) > LONGEST_NOTE:
        return found or ""
    for line in lines:
        longer = f"{note}\n- {markdown(redact(line))}"
        if len(longer) > LONGEST_NOTE:
            break
        note = longer
    return note
