"""`evergreen replay` and its engine, over a small stream with and without a change of what is learnt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evergreen.cli.exit_codes import FINDINGS, OK, USAGE
from evergreen.cli.main import main
from evergreen.cli.replay_tables import show
from evergreen.connections import from_environment
from evergreen.loading import load_model
from evergreen.monitor_spec import RetrainCost
from evergreen.replay.play import play
from evergreen.replay.results import Broken, Checked, Replay, Retrained
from evergreen.replay.scratch import Scratch, scratch
from evergreen.results import PinnedModel
from evergreen.settings import Settings
from evergreen.steps.requests import ask
from evergreen.watch_results import RetrainDecision, RetrainRequest, Verdict
from evergreen.window import Window
from evergreen.workspace import Workspace
from tests.replayed import CHANGE, END, START, WATCH, model_file

FROM_TO = ("--from", f"{START:%Y-%m-%d}", "--to", f"{END:%Y-%m-%d}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that holds something, and a folder of model files."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "ledger.db").write_bytes(b"whatever it is")
    monkeypatch.setenv("EVERGREEN_HOME", str(home))
    monkeypatch.setenv("EVERGREEN_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


@pytest.fixture
def shared(folder: Path) -> Iterator[Scratch]:
    with scratch(Settings.from_environment(), from_environment) as one:
        yield one


def fingerprint(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def replayed(capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    assert main(["replay", "clicks", *FROM_TO, "--json", *more]) == OK
    return json.loads(capsys.readouterr().out)


def asking_at(*instants: datetime):
    """Return a watch that alarms at these instants and asks for a retrain; else it is quiet."""

    def by(workspace: Workspace, model: PinnedModel, as_of: datetime) -> tuple[Verdict, RetrainDecision]:
        key, alarm = f"clicks/monitor/{as_of:%Y-%m-%d}", as_of in instants
        window = Window(as_of - timedelta(days=7), as_of)
        answer = "alarm" if alarm else "quiet"
        words = ("log_loss is worse",) if alarm else ()
        spoke = "loss" if alarm else None
        verdict = Verdict(key, as_of, window, 1, answer, spoke, (), (), words)
        if not alarm:
            return verdict, RetrainDecision(key, as_of, "wait", ("wait: this check is quiet",))
        request = RetrainRequest(key, as_of, "log_loss is worse", "watch")
        lease = workspace.ledger.acquire("clicks", key, "monitor")
        ask(workspace, request, lease)
        workspace.ledger.free(lease)
        return verdict, RetrainDecision(key, as_of, "retrain", ("retrain: 1 of 3",), request)

    return by


def played(shared: Scratch, path: Path, policy: str = "one", **options: Any) -> Replay:
    with shared.workspace(policy) as workspace:
        return play(workspace, policy, load_model(path), START, END, **options)


def test_a_change_of_what_is_learnt_alarms_its_retrain_mends_the_loss_and_nothing_is_left_behind(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    model_file(folder / "models", changes=True)
    before = fingerprint(folder)
    (replay,) = replayed(capsys)["replays"]
    assert fingerprint(folder) == before, "a replay leaves no trace, in the home and elsewhere"
    events = replay["events"]
    assert events[0]["cause"] == "first"
    alarms = [one for one in events if one["kind"] == "check" and one["answer"] == "alarm"]
    seen = [one for one in alarms if datetime.fromisoformat(one["at"]) > CHANGE]
    assert seen[0]["spoke"] == "loss"
    assert datetime.fromisoformat(seen[0]["at"]) <= CHANGE + timedelta(days=14), seen[0]["words"]
    retrains = [one for one in events if one["kind"] == "retrain" and one["cause"] == "alarm"]
    assert {one["at"] for one in retrains} == {
        one["at"] for one in alarms if one["action"] == "retrain"
    }, "what a check asks for is done at once"
    assert any(one["outcome"] == "promoted" for one in retrains)
    february, march, april = replay["months"]
    assert february["value"] < april["value"] < march["value"], "the loss rises, and falls once more"
    assert replay["totals"]["broken"] == 0
    other = model_file(
        folder / "tried", changes=True, schedule='"@monthly"', watch="", name="monthly.yaml"
    )
    (folder / "tried" / "clicks.parquet").unlink()
    found = replayed(capsys, "--with", str(other))
    assert found["replays"][0] == replay, "twice the same, whatever lies beside it"
    assert [one["policy"] for one in found["replays"]] == ["clicks.yaml", "monthly.yaml"]
    monthly, difference = found["replays"][1], found["difference"]
    assert monthly["totals"]["checks"] == 0
    assert difference["retrains"] == monthly["totals"]["retrains"] - replay["totals"]["retrains"]
    assert difference["value"] == pytest.approx(monthly["whole"]["value"] - replay["whole"]["value"])


def test_where_nothing_changes_nothing_is_retrained(folder: Path, capsys: pytest.CaptureFixture[str]):
    model_file(folder / "models", changes=False)
    (replay,) = replayed(capsys)["replays"]
    assert replay["totals"]["checks"] == 13
    assert replay["totals"]["retrains"] == 0
    assert [one["kind"] for one in replay["events"]].count("retrain") == 1


def test_an_alarm_is_followed_by_its_retrain_at_once_and_that_one_serves_from_then_on(
    folder: Path, shared: Scratch
):
    path = model_file(folder / "models", changes=True)
    alarm = datetime(2024, 4, 14, tzinfo=START.tzinfo)
    found = played(shared, path, by=asking_at(alarm))
    last = found.events.index(next(e for e in found.events if isinstance(e, Checked) and e.at == alarm))
    retrained = found.events[last + 1]
    assert isinstance(retrained, Retrained)
    assert (retrained.at, retrained.cause, retrained.outcome) == (alarm, "alarm", "promoted")
    assert retrained.version == 2
    assert (found.totals.retrains, found.totals.retrains_by_alarm, found.totals.promotions) == (1, 1, 1)
    assert found.whole.labelled == found.whole.rows == sum(month.rows for month in found.months)


def test_a_retrain_that_is_due_when_an_alarm_asks_for_one_is_made_once(folder: Path, shared: Scratch):
    watch = WATCH.replace('"@weekly"', '"0 0 1 * *"')
    path = model_file(folder / "models", changes=False, schedule='"@monthly"', watch=watch)
    april = datetime(2024, 4, 1, tzinfo=START.tzinfo)
    found = played(shared, path, by=asking_at(april))
    retrains = [(one.at.month, one.cause) for one in found.events if isinstance(one, Retrained)]
    assert retrains == [(2, "first"), (3, "schedule"), (4, "alarm"), (5, "schedule")]


def test_policies_share_their_models_but_no_memory_and_each_has_its_cost(folder: Path, shared: Scratch):
    path = model_file(folder / "models", changes=True, schedule='"@monthly"', watch="")
    cost = RetrainCost(retrain=40.0, loss=0.5)
    one, two = (played(shared, path, policy, cost=cost) for policy in ("one", "two"))
    assert shared.models.trained == 4
    assert replace(two, policy="one") == one
    assert one.money is not None
    assert one.money.retrains == 3 * 40.0
    excess = one.whole.value - one.level
    assert one.money.staleness == pytest.approx(excess * one.whole.labelled * 0.5)
    assert one.money.total == one.money.retrains + one.money.staleness


def test_the_loss_is_that_of_the_rows_that_were_scored_month_by_month(folder: Path, shared: Scratch):
    weekly = WATCH.replace('"@daily"', '"@weekly"')
    path = model_file(folder / "models", changes=False, watch=weekly)
    found = played(shared, path, by=asking_at())
    assert found.whole.rows == 13 * 120, "one day of each week is scored"
    weighed = sum(month.labelled * month.value for month in found.months if month.value is not None)
    assert weighed / found.whole.labelled == pytest.approx(found.whole.value)
    assert found.level == pytest.approx(found.whole.value, abs=0.05)


def test_a_check_that_fails_is_told_and_the_replay_goes_on(folder: Path, shared: Scratch):
    from evergreen.errors import DataUnusable

    quiet = asking_at()

    def by(workspace: Workspace, model: PinnedModel, as_of: datetime):
        if as_of.month == 3:
            workspace.ledger.acquire("clicks", f"clicks/monitor/{as_of:%Y-%m-%dT%H:%M:%SZ}", "monitor")
            raise DataUnusable("the logged rows lack their time")
        return quiet(workspace, model, as_of)

    found = played(shared, model_file(folder / "models", changes=False), by=by)
    broken = [one for one in found.events if isinstance(one, Broken)]
    assert {(one.at.month, one.part) for one in broken} == {(3, "check")}
    assert found.totals.broken == len(broken) == 5
    assert found.events[-1].at.month == 4


def test_tables_show_events_months_and_totals_of_both(
    folder: Path, shared: Scratch, capsys: pytest.CaptureFixture[str]
):
    monthly = model_file(folder / "monthly", changes=False, schedule='"@monthly"', watch="")
    asked = model_file(folder / "models", changes=False)
    april = datetime(2024, 4, 7, tzinfo=START.tzinfo)
    show([played(shared, asked, "a.yaml", by=asking_at(april)), played(shared, monthly, "b.yaml")])
    lines = capsys.readouterr().out.splitlines()
    assert ["as", "of", "a.yaml", "b.yaml"] in [line.split() for line in lines]
    said = "".join(line for line in lines if line.startswith("2024-04-07"))
    assert "log_loss is worse" in said
    after = lines[lines.index(said) + 1 :]
    assert after[0].split() == ["retrain:", "1", "of", "3"]
    assert after[1].strip().startswith("retrain (asked for by alarm): ")
    assert any(line.startswith("2024-04-01") and "retrain (scheduled): " in line for line in lines)
    assert any(line.split()[:2] == ["2024-03", "3,720"] for line in lines)
    assert ["retrains", "1", "3", "+2"] in [line.split() for line in lines]
    assert any("fitness to serve" in line for line in lines)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2024-05-01", "2024-02-01", "does not lie before --to"),
        ("2024-03-01", "2024-03-01", "does not lie before --to"),
        ("2024-03-01", "2999-01-01", "--to: 2999-01-01 00:00 UTC lies ahead"),
        ("the first of March", "2024-03-01", "--from: not a date"),
    ],
)
def test_a_stretch_that_makes_no_sense_is_a_usage_error(
    folder: Path, capsys: pytest.CaptureFixture[str], start: str, end: str, said: str
):
    model_file(folder / "models", changes=False)
    assert main(["replay", "clicks", "--from", start, "--to", end]) == USAGE
    assert said in capsys.readouterr().err


def test_a_begin_before_there_is_data_says_so(folder: Path, capsys: pytest.CaptureFixture[str]):
    model_file(folder / "models", changes=False)
    assert main(["replay", "clicks", "--from", "2024-01-02", "--to", "2024-06-01"]) == FINDINGS
    said = capsys.readouterr().err
    assert "there is no champion to begin with" in said
    assert "choose a later --from" in said


def test_a_model_without_a_watch_cannot_be_replayed(folder: Path, capsys: pytest.CaptureFixture[str]):
    model_file(folder / "models", changes=False, watch="")
    assert main(["replay", "clicks", *FROM_TO]) == USAGE
    assert "there is no watch to replay: clicks.yaml has no section monitor" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("metric: log_loss", "metric: brier", "gate.metric"),
        ("key: id", "key: kind", "data.key"),
        ("delay: 1 day", "delay: 2 days", "data.label"),
    ],
)
def test_policies_that_ask_something_else_are_not_compared(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
):
    path = model_file(folder / "models", changes=False)
    other = folder / "other.yaml"
    other.write_text(path.read_text().replace(old, new))
    assert main(["replay", "clicks", *FROM_TO, "--with", str(other)]) == USAGE
    assert f"these differ: {said}" in capsys.readouterr().err


def test_another_policy_that_does_not_lint_is_shown_with_all_its_problems(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    path = model_file(folder / "models", changes=False)
    other = folder / "other.yaml"
    text = path.read_text().replace("name: clicks", "name: clocks").replace("log_loss", "log_lost")
    other.write_text(text)
    assert main(["replay", "clicks", *FROM_TO, "--with", str(other)]) == FINDINGS
    said = capsys.readouterr().err
    assert "name: differs from the file's stem" in said
    assert "log_lost" in said
    assert main(["replay", "clicks", *FROM_TO, "--with", str(folder / "none.yaml")]) == USAGE


def test_the_scratch_folder_is_gone_afterwards_and_nobody_else_could_read_it(folder: Path):
    with scratch(Settings.from_environment(), from_environment) as one:
        assert one.folder.is_relative_to(folder / "scratch")
        assert one.folder.stat().st_mode & 0o077 == 0
    assert not one.folder.exists()
