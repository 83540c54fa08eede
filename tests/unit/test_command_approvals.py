"""`evergreen approvals`, `approve`, `reject`: what a person at a terminal reads, and what is written."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from evergreen import steps
from evergreen.approval_results import Asked
from evergreen.cli.exit_codes import ENVIRONMENT, FINDINGS, OK, USAGE
from evergreen.cli.main import main
from evergreen.cli.person import person
from evergreen.steps import approve
from tests.fakes.bench import MARCH, Bench, pinned

PASSWORD = "hunter22-of-the-api"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path)

    @contextmanager
    def opened(_: Any) -> Iterator[Any]:
        yield bench.ledger

    monkeypatch.setattr("evergreen.cli.approvals.open_ledger", opened)
    monkeypatch.delenv("EVERGREEN_AIRFLOW_CONNECTION", raising=False)
    return bench


def asked(
    bench: Bench, run: str = "cli/2013", triggered_by: str | None = "os:bob", **approval: Any
) -> Asked:
    key = f"churn/{run}"
    steps.resolve_window(
        bench.workspace,
        run_key=key,
        model=pinned(release={"approval": approval}),
        as_of=MARCH,
        reason="test",
        release="auto",
        triggered_by=triggered_by,
    )
    bench.until_trained(key)
    bench.good(key)
    question = approve.ask(bench.workspace, key)
    assert isinstance(question, Asked)
    return question


class Airflow:
    """Answers as Airflow's API does to one form."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.sign_in = 201
        self.form: dict[str, Any] = {}
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.command == "POST":
                    self.answer(stand_in.sign_in, {"access_token": "issued"})
                    return
                stand_in.sent.append((self.path, sent))
                name = {"id": "alice", "name": "alice"}
                self.answer(stand_in.status, {"responded_by": name, "detail": f"no {PASSWORD}"})

            do_PATCH = do_POST  # noqa: N815 - the server's own name

            def do_GET(self) -> None:
                self.answer(stand_in.status, stand_in.form)

            def answer(self, status: int, body: dict[str, Any]) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> Iterator[Airflow]:
    stand_in = Airflow()
    thread = threading.Thread(target=stand_in.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    port = stand_in.server.server_address[1]
    monkeypatch.setenv("EVERGREEN_AIRFLOW_CONNECTION", "own_api")
    monkeypatch.setenv("AIRFLOW_CONN_OWN_API", f"http://alice:{PASSWORD}@127.0.0.1:{port}")
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()
    thread.join()


def test_what_waits_is_listed_with_who_may_answer_until_when(
    bench: Bench, capsys: pytest.CaptureFixture[str]
):
    assert main(["approvals"]) == OK
    assert capsys.readouterr().out == "no release waits for approval\n"
    question = asked(bench, approvers=["alice"])
    assert main(["approvals", "churn"]) == OK
    told = capsys.readouterr().out
    for word in ("churn/cli/2013", "version 1 as the first champion", "alice (not os:bob)"):
        assert word in told
    assert question.evidence[:12] in told
    assert f"{question.deadline:%Y-%m-%d %H:%M}" in told
    assert main(["approvals", "--json"]) == OK
    assert json.loads(capsys.readouterr().out)[0]["run_key"] == "churn/cli/2013"
    assert main(["approvals", "other"]) == OK
    assert "no release of other waits" in capsys.readouterr().out


@pytest.mark.parametrize("named", ["churn", "churn/cli/2013"])
def test_a_run_is_approved_by_its_key_or_its_models_name(
    bench: Bench, named: str, capsys: pytest.CaptureFixture[str]
):
    question = asked(bench)
    assert main(["approve", named, "--why", "good", "--evidence", question.evidence[:12]]) == OK
    assert f"approved by os:{person()}: good" in capsys.readouterr().out
    (answered,) = bench.ledger.bodies("approval_answered")
    assert (answered["who"], answered["how"]) == (f"os:{person()}", "cli")
    assert main(["approve", "churn/cli/2013"]) == FINDINGS
    assert "answered already" in capsys.readouterr().err


@pytest.mark.parametrize("answer", [["approve"], ["reject", "--why", "no"]])
def test_an_answer_to_what_was_asked_anew_says_which_evidence_was_looked_at(
    bench: Bench, answer: list[str], capsys: pytest.CaptureFixture[str]
):
    key = asked(bench).run_key
    steps.report(bench.workspace, key, "failed task: approve")
    anew = approve.ask(bench.workspace, key)
    assert isinstance(anew, Asked)
    command, *why = answer
    assert main([command, key, *why]) == USAGE
    assert f"--evidence {anew.evidence[:12]}" in capsys.readouterr().err
    assert bench.ledger.bodies("approval_answered") == []
    assert main([command, key, *why, "--evidence", anew.evidence[:12]]) == OK


def test_an_answer_is_about_the_question_that_stood_when_the_command_began(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    question = asked(bench)
    given: list[Any] = []

    def take(_: Any, run_key: str, said: Any) -> Any:
        given.append(said)
        return approve.answer(bench.ledger, run_key, said)

    monkeypatch.setattr("evergreen.cli.approvals.answer", take)
    assert main(["approve", "churn"]) == OK
    assert given[0].evidence == question.evidence


@pytest.mark.parametrize(("flags", "word"), [([], "reject"), (["--more-data"], "more_data")])
def test_a_run_is_rejected_with_a_reason(bench: Bench, flags: list[str], word: str):
    asked(bench)
    assert main(["reject", "churn", "--why", " ", *flags]) == FINDINGS
    assert bench.ledger.bodies("approval_answered") == []
    assert main(["reject", "churn", "--why", "JFK is worse", *flags]) == OK
    (answered,) = bench.ledger.bodies("approval_answered")
    assert (answered["answer"], answered["reason"]) == (word, "JFK is worse")


def test_who_started_the_run_may_not_approve_it(bench: Bench, capsys: pytest.CaptureFixture[str]):
    asked(bench, triggered_by=f"os:{person()}")
    assert main(["approve", "churn"]) == FINDINGS
    assert "who started the run may not answer" in capsys.readouterr().err
    assert bench.ledger.bodies("approval_answered") == []


def test_a_name_that_fits_no_run_or_several_is_an_error_that_lists_them(
    bench: Bench, capsys: pytest.CaptureFixture[str]
):
    asked(bench)
    assert main(["approve", "chrun"]) == USAGE
    assert "did you mean 'churn'?" in capsys.readouterr().err
    assert main(["approve", "churn/unknown"]) == FINDINGS
    assert "no such run" in capsys.readouterr().err
    asked(bench, "cli/2014")
    assert main(["approve", "churn"]) == USAGE
    told = capsys.readouterr().err
    assert "2 runs of churn wait, name one: churn/cli/2013, churn/cli/2014" in told


def test_without_a_connection_to_airflow_the_answer_says_when_the_task_sees_it(
    bench: Bench, capsys: pytest.CaptureFixture[str]
):
    asked(bench, "manual__1")
    assert main(["approve", "churn"]) == OK
    told = capsys.readouterr().out
    assert "Airflow's task approve does not know of it yet: clear that task" in told
    assert len(bench.ledger.bodies("approval_answered")) == 1


def test_with_a_connection_airflow_says_who_answers_and_the_task_writes_it_down(
    bench: Bench, airflow: Airflow, capsys: pytest.CaptureFixture[str]
):
    question = asked(bench, "manual__2013-03-01T00:00:00+00:00", approvers=["alice"])
    assert main(["reject", "churn", "--why", "no", "--more-data"]) == OK
    path, body = airflow.sent[0]
    assert path == (
        "/api/v2/dags/churn__retrain/dagRuns/manual__2013-03-01T00%3A00%3A00%2B00%3A00"
        "/taskInstances/approve/-1/hitlDetails"
    )
    assert body == {
        "chosen_options": ["Ask for more data"],
        "params_input": {"reason": "no", "evidence": question.evidence},
    }
    assert "more_data by alice, given to Airflow" in capsys.readouterr().out
    assert bench.ledger.bodies("approval_answered") == []


@pytest.mark.parametrize("received", [True, False])
def test_how_a_form_was_answered_is_read_back_as_airflow_hands_it_to_a_task(
    airflow: Airflow, received: bool
):
    from evergreen.airflow_answers import given
    from evergreen.connections import from_environment

    airflow.form = {
        "response_received": received,
        "chosen_options": ["Approve"],
        "params_input": {"reason": "good"},
        "responded_by_user": {"id": "alice", "name": "alice"},
        "responded_at": "2026-01-01T12:00:00Z",
        "subject": "Release?",
    }
    told = given(from_environment("own_api"), "churn__retrain", "manual__1")
    assert told == (
        {
            "chosen_options": ["Approve"],
            "params_input": {"reason": "good"},
            "responded_by_user": {"id": "alice", "name": "alice"},
            "responded_at": datetime(2026, 1, 1, 12, tzinfo=UTC),
        }
        if received
        else {}
    )


def test_a_run_that_airflow_knows_nothing_of_is_answered_in_the_ledger(bench: Bench, airflow: Airflow):
    asked(bench)
    assert main(["approve", "churn"]) == OK
    assert airflow.sent == []
    assert len(bench.ledger.bodies("approval_answered")) == 1


def test_what_our_rules_refuse_does_not_reach_airflow(
    bench: Bench, airflow: Airflow, capsys: pytest.CaptureFixture[str]
):
    asked(bench, "manual__1", triggered_by="alice")
    assert main(["approve", "churn"]) == FINDINGS
    assert "who started the run" in capsys.readouterr().err
    assert airflow.sent == []


def test_an_approver_whom_airflow_knows_by_an_id_is_left_to_airflow(bench: Bench, airflow: Airflow):
    asked(bench, "manual__1", approvers=["7"])
    assert main(["approve", "churn"]) == OK
    assert len(airflow.sent) == 1


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, FINDINGS, "Airflow does not let alice answer"),
        (404, FINDINGS, "its task approve does not wait"),
        (409, FINDINGS, "answered already"),
        (422, FINDINGS, "Airflow refused the answer"),
        (503, ENVIRONMENT, "Airflow did not answer"),
    ],
)
def test_what_airflow_refuses_is_said_without_a_secret(
    bench: Bench,
    airflow: Airflow,
    capsys: pytest.CaptureFixture[str],
    status: int,
    code: int,
    words: str,
):
    asked(bench, "manual__1")
    airflow.status = status
    assert main(["approve", "churn"]) == code
    told = capsys.readouterr().err
    assert words in told
    assert PASSWORD not in told


@pytest.mark.parametrize(("status", "code"), [(401, ENVIRONMENT), (500, ENVIRONMENT)])
def test_a_connection_that_does_not_get_in_is_an_error_of_the_environment(
    bench: Bench, airflow: Airflow, capsys: pytest.CaptureFixture[str], status: int, code: int
):
    asked(bench, "manual__1")
    airflow.sign_in = status
    assert main(["approve", "churn"]) == code
    assert "connection 'own_api'" in capsys.readouterr().err


def test_an_airflow_that_is_not_there_is_an_error_of_the_environment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    asked(bench, "manual__1")
    monkeypatch.setenv("EVERGREEN_AIRFLOW_CONNECTION", "own_api")
    monkeypatch.setenv("AIRFLOW_CONN_OWN_API", "http://alice:x@127.0.0.1:9")
    assert main(["approve", "churn"]) == ENVIRONMENT
    assert "Airflow did not answer" in capsys.readouterr().err
    assert bench.ledger.bodies("approval_answered") == []


def test_deadlines_that_are_over_are_not_listed(bench: Bench, capsys: pytest.CaptureFixture[str]):
    question = asked(bench, timeout="0 minutes")
    assert question.deadline <= datetime.now(UTC)
    assert main(["approvals"]) == OK
    assert "no release waits" in capsys.readouterr().out
    assert main(["approve", question.run_key]) == FINDINGS
    assert "too late" in capsys.readouterr().err


@pytest.fixture
def run_here(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Let `evergreen run` work on the bench; return the command."""
    from evergreen.cli import run as module

    @contextmanager
    def opened(*_: Any) -> Iterator[Any]:
        yield bench.workspace

    def train_well(workspace: Any, run_key: str) -> Any:
        trained = steps.train(workspace, run_key)
        bench.good(run_key)
        return trained

    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "open_workspace", opened)
    monkeypatch.setattr(module, "load_model", lambda _: pinned(tier="high"))
    monkeypatch.setattr(module, "model_path", lambda *_: Path("churn.yaml"))
    monkeypatch.setattr(module, "models_folder", lambda _: tmp_path)
    replaced = [train_well if step is steps.train else step for step in module.AFTER_THE_WINDOW]
    monkeypatch.setattr(module, "AFTER_THE_WINDOW", tuple(replaced))
    return ["run", "churn", "--as-of", "2013-03-01"]


def test_a_run_here_stops_at_the_question_and_the_same_command_goes_on_after_the_answer(
    bench: Bench,
    run_here: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    assert main(run_here) == OK
    told = capsys.readouterr().out
    assert "version 1 waits for a person's approval" in told
    assert "evergreen approve churn/cli/2013-03-01T00:00:00Z" in told
    assert told.endswith("this goes on: evergreen run churn --as-of 2013-03-01T00:00:00Z\n")
    assert bench.ledger.bodies("run_finished") == []
    assert bench.ledger.holder("churn") is None
    assert main([*run_here, "--json"]) == OK
    assert json.loads(capsys.readouterr().out)["outcome"] == "waiting"
    assert main(["approve", "churn"]) == FINDINGS, "who started it is the one who asks here"
    monkeypatch.setattr("evergreen.cli.approvals.person", lambda: "somebody")
    assert main(["approve", "churn"]) == OK
    capsys.readouterr()
    assert main(run_here) == OK
    assert "promoted version 1" in capsys.readouterr().out
    assert bench.serving() == 1


def test_a_run_here_that_was_rejected_keeps_the_champion(
    bench: Bench,
    run_here: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    assert main(run_here) == OK
    monkeypatch.setattr("evergreen.cli.approvals.person", lambda: "somebody")
    assert main(["reject", "churn", "--why", "too few rows"]) == OK
    capsys.readouterr()
    assert main(run_here) == OK
    assert "(rejected by os:somebody: too few rows)" in capsys.readouterr().out
    assert bench.serving() is None
