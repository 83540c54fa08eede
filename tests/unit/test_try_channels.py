"""`evergreen notify --test`: whether each channel of a model takes a message, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.main import main
from evergreen.ledger import open_ledger
from tests.contracts.web_server import web_server
from tests.unit.test_fleet_notices import write


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVERGREEN_MODELS", str(tmp_path))
    monkeypatch.delenv("EVERGREEN_ALERTS", raising=False)
    return tmp_path


def connect(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    slack = {"conn_type": "slackwebhook", "host": f"http://127.0.0.1:{port}", "password": "T0/B0/x"}
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_ML", json.dumps(slack))


def test_every_channel_is_tried_whatever_events_it_names_and_nothing_is_kept(
    models, monkeypatch, capsys
):
    channels = "[{type: slack, connection: slack_ml, events: [stale]}, {type: email, to: [a@b.org]}]"
    write(models, more=f"alerts: {channels}\n")
    with web_server() as slack:
        connect(monkeypatch, slack.port)
        assert main(["notify", "--test", "churn"]) == FINDINGS
        assert "this is a test" in json.dumps(slack.requests[0].json)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("slack slack_ml")
    assert first.endswith("took the message")
    assert "no such connection" in second
    assert "smtp_default" in second
    ledger = open_ledger(f"sqlite:///{models / 'home' / 'ledger.db'}", 600)
    assert list(ledger.entries()) == []
    ledger.close()


def test_a_model_that_names_no_channel_is_told_to_the_log_and_one_with_none_to_nobody(models, capsys):
    write(models)
    assert main(["notify", "--test", "churn", "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == [{"channel": "log", "problem": None}]
    write(models, more="alerts: []\n")
    assert main(["notify", "--test", "churn"]) == OK
    assert "nobody is told of churn" in capsys.readouterr().out
