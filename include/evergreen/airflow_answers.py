"""Airflow's form through its REST API: answers it, as a user of Airflow, and reads its answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from evergreen.airflow_rest import http_library, run_path, signed_in
from evergreen.approval_form import EVIDENCE, OPTIONS, REASON
from evergreen.approval_results import Answer, Asked
from evergreen.connections import Connection
from evergreen.errors import AnswerRefused, BadConfiguration, StoreUnavailable, bounded
from evergreen.redaction import redact

TASK = "approve"


def give(connection: Connection, dag_id: str, run_id: str, asked: Asked, said: Answer) -> str:
    """Give an answer to Airflow's form and return the name of the user that Airflow takes us for.

    Raises:
        AnswerRefused: Airflow does not take it: not from this user, not now, or not any more.
        BadConfiguration: the connection is not good for signing in.
        StoreUnavailable: Airflow did not answer.
    """
    httpx = http_library()
    option = next(name for name, word in OPTIONS.items() if word == said.answer)
    entered = {REASON: said.reason or None, EVIDENCE: said.evidence or asked.evidence}
    where = f"connection {connection.id!r}"
    try:
        with signed_in(connection) as client:
            answer = client.patch(
                _path(dag_id, run_id), json={"chosen_options": [option], "params_input": entered}
            )
    except httpx.HTTPStatusError as exc:
        if exc.response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
            raise BadConfiguration(
                "Airflow does not let this connection sign in",
                where=where,
                got=str(exc.response.status_code),
                fix="correct its login and password",
            ) from None
        raise StoreUnavailable("Airflow did not answer", where=where, got=_what(exc)) from None
    except httpx.HTTPError as exc:
        raise StoreUnavailable("Airflow did not answer", where=where, got=_what(exc)) from None
    if answer.is_success:
        user: dict[str, Any] = answer.json().get("responded_by") or {}
        return str(user.get("name") or user.get("id") or connection.login)
    raise _refused(answer.status_code, answer.text, asked, connection)


def given(connection: Connection, dag_id: str, run_id: str) -> dict[str, Any]:
    """Return how the form of a run was answered, as Airflow hands it to a task; empty: it was not.

    Raises:
        BadConfiguration: the connection names no host, or httpx is not installed.
        httpx.HTTPError: Airflow did not answer, or refused.
    """
    with signed_in(connection) as client:
        form: dict[str, Any] = client.get(_path(dag_id, run_id)).raise_for_status().json()
    if not form.get("response_received"):
        return {}
    kept = {name: form.get(name) for name in ("chosen_options", "params_input", "responded_by_user")}
    return {**kept, "responded_at": datetime.fromisoformat(form["responded_at"])}


def _path(dag_id: str, run_id: str) -> str:
    return f"{run_path(dag_id, run_id)}/taskInstances/{TASK}/-1/hitlDetails"


def _refused(
    status: int, text: str, asked: Asked, connection: Connection
) -> AnswerRefused | StoreUnavailable:
    if status >= http_library().codes.INTERNAL_SERVER_ERROR:
        return StoreUnavailable("Airflow did not answer", got=f"{status} {bounded(redact(text), 200)}")
    what = {
        403: f"Airflow does not let {connection.login or 'this user'} answer",
        404: "Airflow knows no such question: its task approve does not wait",
        409: "the question was answered already",
    }.get(status, "Airflow refused the answer")
    return AnswerRefused(
        what, where=f"run {asked.run_key}", got=f"{status} {bounded(redact(text), 200)}"
    )


def _what(exc: Exception) -> str:
    return bounded(redact(f"{type(exc).__name__}: {exc}"), 200)
