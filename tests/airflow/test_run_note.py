"""The decision stands in the note of Airflow's run, where a connection to its API is set."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from evergreen.redaction import hide
from evergreen_airflow.run_note import LONGEST_NOTE, noted, write_note

RUN = SimpleNamespace(dag_id="flight_delay__retrain", run_id="manual__2013-06-01T00:00:00+00:00/x")
PATH = "/api/v2/dags/flight_delay__retrain/dagRuns/manual__2013-06-01T00%3A00%3A00%2B00%3A00%2Fx"
LINES = ("flight_delay: kept version 3", "Judged on 9,000 rows of 30 days.")


class Api:
    """Answers as Airflow's API does, for one run with a note."""

    def __init__(self) -> None:
        self.note: str | None = None
        self.asked: list[tuple[str, str, str | None]] = []
        self.status = 200
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                sent = json.loads(self.rfile.read(length) or b"{}")
                parts = urlsplit(self.path)
                api.asked.append((self.command, self.path, self.headers.get("Authorization")))
                body: dict[str, Any] = {"note": api.note}
                if parts.path == "/auth/token":
                    good = sent == {"username": "reporter", "password": "hunter22-of-the-api"}
                    body = {"access_token": "issued"} if good else {}
                elif self.command == "PATCH":
                    api.note = sent["note"]
                self.send_response(api.status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            do_GET = do_PATCH = do_POST  # noqa: N815 - as above

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Return an API that the settings name."""
    api = Api()
    thread = threading.Thread(target=api.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("EVERGREEN_AIRFLOW_CONNECTION", "own_api")
    monkeypatch.setenv(
        "AIRFLOW_CONN_OWN_API", f"http://reporter:hunter22-of-the-api@127.0.0.1:{api.port}"
    )
    yield api
    api.server.shutdown()
    api.server.server_close()
    thread.join()


def test_the_decision_is_written_into_the_runs_note(api: Api):
    write_note(RUN, LINES)
    assert api.note == (
        "**Evergreen**\n\n- flight\\_delay: kept version 3\n- Judged on 9,000 rows of 30 days."
    )
    assert api.asked == [
        ("POST", "/auth/token", None),
        ("GET", PATH, "Bearer issued"),
        ("PATCH", f"{PATH}?update_mask=note", "Bearer issued"),
    ]


def test_a_second_try_replaces_its_own_lines_and_keeps_a_persons(api: Api):
    api.note = "Asked for by Ann."
    write_note(RUN, ["first"])
    write_note(RUN, ["second"])
    assert api.note == "Asked for by Ann.\n\n**Evergreen**\n\n- second"
    patches = sum(method == "PATCH" for method, *_ in api.asked)
    write_note(RUN, ["second"])
    assert sum(method == "PATCH" for method, *_ in api.asked) == patches, "nothing has changed"


def test_a_token_of_the_connection_is_used_as_it_is(api: Api, monkeypatch: pytest.MonkeyPatch):
    extra = {
        "conn_type": "http",
        "host": "127.0.0.1",
        "port": api.port,
        "extra": {"token": "own-token-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_OWN_API", json.dumps(extra))
    write_note(RUN, LINES)
    assert {authorization for *_, authorization in api.asked} == {"Bearer own-token-1"}
    assert api.note


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_an_api_that_refuses_is_a_warning_and_no_more(
    api: Api, status: int, caplog: pytest.LogCaptureFixture
):
    api.status = status
    write_note(RUN, LINES)
    assert "the run's note was not written" in caplog.text
    assert "hunter22" not in caplog.text
    assert api.note is None


@pytest.mark.parametrize(
    "connection", ["http://127.0.0.1:1", "http:///", '{"conn_type": "http"}', None, "http://[::bad"]
)
def test_a_connection_that_leads_nowhere_is_a_warning_and_no_more(
    api: Api, connection: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    if connection is None:
        monkeypatch.delenv("AIRFLOW_CONN_OWN_API")
    else:
        monkeypatch.setenv("AIRFLOW_CONN_OWN_API", connection)
    write_note(RUN, LINES)
    assert "the run's note was not written" in caplog.text
    assert not api.asked


def test_nothing_is_asked_where_no_connection_is_set(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("EVERGREEN_AIRFLOW_CONNECTION")
    write_note(RUN, LINES)
    assert not api.asked


def test_a_note_keeps_to_its_length_by_whole_lines():
    note = noted(None, ["x" * 300] * 9)
    assert len(note) <= LONGEST_NOTE
    assert note.count("\n- ") == 3
    theirs = "t" * (LONGEST_NOTE - 5)
    assert noted(theirs, LINES) == theirs, "what a person wrote is never cut"


def test_a_note_shows_names_as_they_are_and_no_secret():
    hide("correct-horse-battery")
    note = noted(None, ["<b>*origin*</b> = [JFK](javascript:1)", "at correct-horse-battery"])
    assert "correct-horse-battery" not in note
    assert "\\<b\\>\\*origin\\*" in note
