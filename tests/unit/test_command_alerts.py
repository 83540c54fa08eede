"""`evergreen alerts`, `acknowledge` and `notify`: what they print and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evergreen.alerts.event import Notice
from evergreen.cli.exit_codes import FINDINGS, OK, USAGE
from evergreen.cli.main import main
from evergreen.cli.person import person
from evergreen.ledger import open_ledger
from evergreen.steps.alerts import notice


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    monkeypatch.delenv("EVERGREEN_ALERTS", raising=False)
    return tmp_path


def happen(home: Path, key: str = "failed/churn/1", model: str = "churn", **parts: object) -> None:
    ledger = open_ledger(f"sqlite:///{home / 'ledger.db'}", 600)
    said = {"severity": "medium", "headline": f"{model} failed.", "cause": "retrain"} | parts
    notice(ledger, model, key, Notice("failed", **said))
    ledger.close()


def test_where_nothing_is_open_nothing_is_found(home, capsys):
    assert main(["alerts"]) == OK
    assert capsys.readouterr().out == "no incident is open\nevery message was delivered\n"


def test_what_is_open_is_shown_until_it_is_over(home, capsys):
    happen(home)
    assert main(["notify"]) == OK
    assert "1 event taken in; 1 message sent" in capsys.readouterr().out
    assert main(["alerts"]) == FINDINGS
    shown = capsys.readouterr().out
    assert "churn failed." in shown
    assert "failed/churn/1" in shown
    assert "nobody" in shown
    assert main(["alerts", "delay"]) == OK
    capsys.readouterr()
    assert main(["alerts", "churn", "--json"]) == FINDINGS
    (one,) = json.loads(capsys.readouterr().out)["incidents"]
    assert (one["key"], one["cause"], one["events"]) == ("failed/churn/1", "retrain", 1)


@pytest.mark.parametrize("asked", ["failed/churn/1", "churn", "churn/retrain"])
def test_an_incident_is_acknowledged_by_its_key_or_its_model(home, capsys, asked):
    happen(home)
    main(["notify"])
    assert main(["acknowledge", asked, "--why", "I look"]) == OK
    assert person() in capsys.readouterr().out
    main(["notify"])
    assert main(["acknowledge", asked, "--who", "bob", "--why", "me too"]) == OK
    assert f"acknowledged already, by {person()}" in capsys.readouterr().out
    assert main(["alerts"]) == FINDINGS
    assert person() in capsys.readouterr().out


def test_an_acknowledgement_of_what_is_not_open_says_what_is(home, capsys):
    happen(home)
    happen(home, "alarm/churn/1", cause="watch")
    main(["notify"])
    assert main(["acknowledge", "failed/churn/2", "--why", "x"]) == USAGE
    assert "did you mean 'failed/churn/1'?" in capsys.readouterr().err
    assert main(["acknowledge", "churn", "--why", "x"]) == USAGE
    assert "has 2 open incidents" in capsys.readouterr().err
    assert main(["acknowledge", "churn/watch", "--why", " "]) == USAGE


def test_what_cannot_be_delivered_is_shown_with_the_reason(home, capsys, monkeypatch):
    fleet = home / "fleet.yaml"
    fleet.write_text("alerts: [{type: webhook, connection: no_such_hook}]\n")
    monkeypatch.setenv("EVERGREEN_ALERTS", str(fleet))
    happen(home)
    assert main(["notify", "--json"]) == FINDINGS
    done = json.loads(capsys.readouterr().out)
    assert (done["events"], done["sent"], done["postponed"]) == (1, 0, 1)
    assert done["given_up"] == 0, "Airflow may have the connection that this shell lacks"
    assert main(["alerts"]) == FINDINGS
    shown = capsys.readouterr().out
    assert "waits" in shown
    assert "webhook no_such_hook" in shown
    assert "no such connection" in shown


def test_a_broken_fleet_file_is_named_after_what_was_due_was_told(home, capsys, monkeypatch):
    fleet = home / "fleet.yaml"
    fleet.write_text("alerts: nobody\n")
    monkeypatch.setenv("EVERGREEN_ALERTS", str(fleet))
    happen(home)
    assert main(["notify"]) == FINDINGS
    captured = capsys.readouterr()
    assert "1 message sent" in captured.out
    assert "fleet.yaml:1:9" in captured.err


def test_of_a_storm_the_first_are_sent_and_the_others_are_said_to_wait(home, capsys):
    for number in range(8):
        happen(home, f"failed/m{number}/1", f"m{number}")
    assert main(["notify"]) == OK
    assert "5 messages sent" in capsys.readouterr().out
    assert main(["notify", "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == {
        "events": 0,
        "sent": 0,
        "postponed": 0,
        "given_up": 0,
        "waiting": 3,
    }
