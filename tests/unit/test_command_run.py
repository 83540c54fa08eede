"""`evergreen run` over a real table, ledger and store: what a user reads, and what is left behind."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evergreen import steps
from evergreen.cli import run as run_module
from evergreen.cli.alone import alone
from evergreen.cli.exit_codes import ENVIRONMENT, FINDINGS, INTERRUPTED, OK, USAGE
from evergreen.cli.main import main
from evergreen.errors import LeaseLost
from evergreen.results import ExpectationOutcome, ValidationReport
from evergreen.run_keys import pass_key
from evergreen.settings import Settings
from evergreen.steps import memory, requests
from evergreen.watch_questions import past_requests
from evergreen.watch_results import RetrainRequest
from evergreen.wiring import open_ledger
from evergreen.workspace import Workspace

MODEL = """\
schema_version: 1
name: churn
description: Will it?
owner: team@example.com
schedule: null
data:
  source: {type: sql, connection: warehouse, query_file: sql/churn.sql}
  time_column: at
  key: id
  label: {column: late}
  train_window: 2 months
  test_window: 1 month
  min_rows: 10
  exclude: [note]
train:
  estimator: sklearn.linear_model.LogisticRegression
gate: {metric: log_loss, margin: 0.01}
"""
QUERY = "SELECT * FROM events WHERE at >= :start AND at < :end"
RUN = ("run", "churn", "--as-of", "2024-04-01")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, its table, and an installation of its own."""
    (tmp_path / "models" / "sql").mkdir(parents=True)
    (tmp_path / "models" / "churn.yaml").write_text(MODEL)
    (tmp_path / "models" / "sql" / "churn.sql").write_text(QUERY)
    change(
        tmp_path,
        "CREATE TABLE events (id, at, x, late, note)",
        *(
            f"INSERT INTO events VALUES ({day}, '{date(2024, 1, 1) + timedelta(days=day)}', "
            f"{day % 7}.5, {day % 2}, 'n')"
            for day in range(100)
        ),
    )
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVERGREEN_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f"sqlite:///{tmp_path}/warehouse.db")
    monkeypatch.setattr(run_module, "AFTER_THE_WINDOW", (steps.ingest, steps.validate))
    return tmp_path


def change(place: Path, *statements: str) -> None:
    with closing(sqlite3.connect(place / "warehouse.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def rewrite(place: Path, name: str, old: str, new: str) -> None:
    path = place / "models" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def recorded(kind: str) -> list[Any]:
    with open_ledger(Settings.from_environment()) as ledger:
        return list(ledger.entries(model="churn", kind=kind))


def misspelt_exclude(place: Path) -> None:
    rewrite(place, "churn.yaml", "[note]", "[noet]")


def missing_key(place: Path) -> None:
    rewrite(place, "churn.yaml", "key: id", "key: idd")


def missing_table(place: Path) -> None:
    rewrite(place, "sql/churn.sql", "events", "evnts")


def missing_file(place: Path) -> None:
    (place / "warehouse.db").unlink()


def empty_window(place: Path) -> None:
    change(place, "DELETE FROM events")


def doubled_key(place: Path) -> None:
    change(place, "UPDATE events SET id = 5 WHERE id = 6")


def mixed_types(place: Path) -> None:
    change(place, "UPDATE events SET x = 'far' WHERE id = 6")


def unreadable_time(place: Path) -> None:
    change(place, "UPDATE events SET at = '2024-02-30 x' WHERE id = 6")


BAD_DATA = {
    misspelt_exclude: r"no column 'noet', which data.exclude[0] names",
    missing_key: "no column 'idd', which data.key names",
    missing_table: "no such table: evnts",
    missing_file: "there is no such database file",
    empty_window: "the window holds no rows",
    doubled_key: "got 5 (2 times)",
    mixed_types: "column 'x' holds mixed types",
    unreadable_time: "'2024-02-30 x'",
}


@pytest.mark.parametrize("spoil", BAD_DATA, ids=lambda spoil: spoil.__name__)
def test_bad_data_is_told_once_recorded_and_leaves_the_way_free(
    place: Path, spoil: Any, capsys: pytest.CaptureFixture[str]
):
    spoil(place)
    assert main(RUN) == FINDINGS
    said = capsys.readouterr()
    assert BAD_DATA[spoil] in said.err
    assert "Traceback" not in said.err
    assert said.out == "churn as of 2024-04-01 00:00: failed\n"
    assert main(["history", "churn"]) == OK
    assert BAD_DATA[spoil] in capsys.readouterr().out, "whole lines, where they go into a pipe"
    assert main(["audit"]) == OK
    with open_ledger(Settings.from_environment()) as ledger:
        ledger.acquire("churn", "churn/another run")


def test_json_of_a_failed_run_is_json_and_nothing_else(place: Path, capsys: pytest.CaptureFixture[str]):
    empty_window(place)
    assert main([*RUN, "--json"]) == FINDINGS
    assert json.loads(capsys.readouterr().out)["outcome"] == "failed"


def test_data_mended_after_a_failure_is_read_again_by_the_same_command(place: Path):
    doubled_key(place)
    assert main(RUN) == FINDINGS
    change(place, "UPDATE events SET id = 6 WHERE at LIKE '2024-01-07%'")
    main(RUN)
    assert [entry.key.count("/") for entry in recorded("run_started")] == [5, 6]
    assert len(recorded("snapshot")) == 1


def test_rejected_data_is_told_by_column_and_reason_and_judged_anew_by_the_same_command(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    outcome = ExpectationOutcome(
        "expect_column_values_to_be_between",
        {"column": "x"},
        "error",
        False,
        "3 of 91",
        3,
        (),
        "a share",
    )
    rejected = ValidationReport(False, 91, (outcome,), 3, None, None)

    def reject(workspace: Workspace, run_key: str) -> ValidationReport:
        with memory.holding(workspace, run_key, "validate") as lease:
            memory.record(workspace, "validation", run_key, rejected, lease)
        return rejected

    monkeypatch.setattr(run_module, "AFTER_THE_WINDOW", (steps.ingest, reject))
    assert main(RUN) == FINDINGS
    said = capsys.readouterr().out
    assert "error: expect_column_values_to_be_between of x: 3 of 91 (a share)" in said
    assert "1 expectation failed: expect_column_values_to_be_between of x" in said
    assert main(RUN) == FINDINGS
    assert len(recorded("run_started")) == len(recorded("validation")) == 2


def test_a_run_that_failed_for_a_passing_reason_goes_on(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (place / "full").touch()
    monkeypatch.setenv("EVERGREEN_STORE", str(place / "full" / "store"))
    assert main(RUN) == ENVIRONMENT
    assert "nothing was published" in capsys.readouterr().err
    monkeypatch.delenv("EVERGREEN_STORE")
    main(RUN)
    assert len(recorded("run_started")) == 1
    assert len(recorded("snapshot")) == 1


def test_of_two_runs_at_once_the_second_begins_nothing(place: Path, capsys: pytest.CaptureFixture[str]):
    with alone(place / "home", "churn"):
        assert main(RUN) == ENVIRONMENT
    said = capsys.readouterr()
    assert "another evergreen run is at work on this model" in said.err
    assert said.out == ""
    assert recorded("run_started") == []


def test_a_run_in_the_way_elsewhere_is_named_once_with_the_end_of_its_lease(
    place: Path, capsys: pytest.CaptureFixture[str]
):
    with open_ledger(Settings.from_environment()) as ledger:
        ledger.acquire("churn", "churn/scheduled__2024")
    assert main(RUN) == ENVIRONMENT
    said = capsys.readouterr()
    assert said.err.count("another run is at work on this model: churn/scheduled__2024") == 1
    assert "a lease that lasts until 20" in said.err
    assert said.out == ""


def test_a_run_whose_lease_a_pass_took_over_says_so_and_leaves_its_end_to_the_pass(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def taken_over(workspace: Workspace, run_key: str) -> None:
        workspace.ledger.free(workspace.ledger.acquire("churn", run_key))
        workspace.ledger.acquire("churn", pass_key("churn"))
        raise LeaseLost("the lease was taken over", where="churn")

    monkeypatch.setattr(run_module, "AFTER_THE_WINDOW", (taken_over,))
    assert main(RUN) == ENVIRONMENT
    said = capsys.readouterr()
    assert "the lease was taken over" in said.err
    assert "another run is at work" not in said.err
    assert recorded("run_finished") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_leaves_the_way_free(
    place: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def interrupted(workspace: object, run_key: str) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr(run_module, "AFTER_THE_WINDOW", (steps.ingest, interrupted))
    before = signal.getsignal(signal.SIGTERM)
    assert main(RUN) == INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) is before
    assert "the same command goes on where this one stopped" in capsys.readouterr().err
    assert main(["history", "churn"]) == OK
    assert "unfinished" in capsys.readouterr().out
    with open_ledger(Settings.from_environment()) as ledger:
        ledger.free(ledger.acquire("churn", "churn/another run"))
    monkeypatch.setattr(run_module, "AFTER_THE_WINDOW", (steps.ingest, steps.validate))
    main(RUN)
    assert len(recorded("run_started")) == 1


def test_a_run_that_breaks_leaves_the_way_free(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def broken(workspace: object, run_key: str) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(run_module, "AFTER_THE_WINDOW", (steps.ingest, broken))
    assert main(RUN) == ENVIRONMENT
    assert "unexpected TypeError: a bug" in capsys.readouterr().err
    with open_ledger(Settings.from_environment()) as ledger:
        ledger.free(ledger.acquire("churn", "churn/another run"))


def test_a_home_that_cannot_be_written_is_an_environment_error(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (place / "file").touch()
    monkeypatch.setenv("EVERGREEN_HOME", str(place / "file"))
    monkeypatch.setenv("EVERGREEN_LEDGER", f"sqlite:///{place}/ledger.db")
    assert main(RUN) == ENVIRONMENT
    assert "set EVERGREEN_HOME" in capsys.readouterr().err


def test_a_file_that_is_no_ledger_is_an_environment_error(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (place / "file").write_text("no database")
    monkeypatch.setenv("EVERGREEN_LEDGER", f"sqlite:///{place}/file")
    assert main(["audit"]) == ENVIRONMENT
    assert "is no ledger" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["soon", "-4", "0", "nan", "inf"])
def test_a_lease_time_that_makes_no_sense_is_refused(
    place: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("EVERGREEN_LEASE_SECONDS", text)
    assert main(["history", "churn"]) == ENVIRONMENT
    said = capsys.readouterr().err
    assert f"EVERGREEN_LEASE_SECONDS: the setting cannot be used; got {text}" in said


@pytest.mark.parametrize("source", ["sql", "files"])
def test_a_model_is_scaffolded_into_an_empty_folder(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVERGREEN_MODELS", raising=False)
    assert main(["new", "churn", "--source", source]) == OK
    assert main(["lint"]) == OK
    assert "no problems found" in capsys.readouterr().out


def test_a_model_that_cannot_be_written_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").touch()
    assert main(["new", "churn", "--models", str(tmp_path / "file")]) == USAGE
    assert "cannot write" in capsys.readouterr().err


def ask(as_of: datetime) -> None:
    """Put a request of the watch into the queue."""
    request = RetrainRequest(f"churn/monitor/{as_of:%Y-%m-%d}", as_of, "x drifted", "watch")
    with open_ledger(Settings.from_environment()) as ledger:
        lease = ledger.acquire("churn", request.key, "monitor")
        requests.ask(SimpleNamespace(ledger=ledger), request, lease)
        ledger.free(lease)


def became() -> list[tuple[str | None, str | None]]:
    with open_ledger(Settings.from_environment()) as ledger:
        return [(past.taken_by, past.outcome) for past in past_requests(ledger, "churn")]


def test_a_requested_run_without_a_request_says_so_and_is_fine(
    place: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(("run", "churn", "--requested")) == OK
    assert capsys.readouterr().out == "no retrain of 'churn' is asked for\n"
    assert main(("run", "churn", "--requested", "--json")) == OK
    assert json.loads(capsys.readouterr().out) is None
    assert recorded("run_started") == []


def test_a_requested_run_serves_the_newest_request_as_of_its_alarm(
    place: Path, capsys: pytest.CaptureFixture[str]
):
    ask(datetime(2024, 3, 20, tzinfo=UTC))
    ask(datetime(2024, 4, 1, tzinfo=UTC))
    main(("run", "churn", "--requested"))
    (begun,) = recorded("run_started")
    assert begun.body["windows"]["as_of"] == "2024-04-01T00:00:00Z"
    assert "why: request of the watch: x drifted" in capsys.readouterr().out
    run_key = "churn/cli/request/monitor/2024-04-01"
    assert became() == [(run_key, "failed")] * 2, "these runs stop before they train"
    assert main(("run", "churn", "--requested")) == OK


def test_a_requested_run_that_was_interrupted_goes_on_where_it_stopped(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    ask(datetime(2024, 4, 1, tzinfo=UTC))

    def interrupted(workspace: Workspace, run_key: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "AFTER_THE_WINDOW", (interrupted,))
        assert main(("run", "churn", "--requested")) == INTERRUPTED
    ask(datetime(2024, 3, 20, tzinfo=UTC))
    main(("run", "churn", "--requested"))
    assert len(recorded("run_started")) == 1
    assert {outcome for _, outcome in became()} == {"failed"}


@pytest.mark.parametrize(
    ("options", "served"), [((), True), (("--release", "never"), False)], ids=["auto", "never"]
)
def test_a_run_by_hand_serves_earlier_requests_where_it_may_release(place: Path, options, served: bool):
    ask(datetime(2024, 3, 20, tzinfo=UTC))
    main((*RUN, *options))
    ((taken_by, _),) = became()
    assert (taken_by is not None) == served


@pytest.mark.parametrize("more", [("--as-of", "2024-04-01"), ("--release", "never")])
def test_a_requested_run_takes_as_of_and_release_from_nobody_else(
    place: Path, more, capsys: pytest.CaptureFixture[str]
):
    assert main(("run", "churn", "--requested", *more)) == USAGE
    assert "as-of and release are the request's" in capsys.readouterr().err
