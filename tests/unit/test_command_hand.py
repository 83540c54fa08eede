"""`evergreen rollback`, `pin`, `unpin`, `pause`, `resume`: what they print, and how they end."""

from __future__ import annotations

import json
import os
import pwd
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evergreen import steps
from evergreen.cli.exit_codes import ENVIRONMENT, FINDINGS, OK, USAGE
from evergreen.cli.main import main
from evergreen.cli.person import person
from evergreen.errors import StoreUnavailable
from evergreen.ledger import open_ledger
from evergreen.steps import approve, requests
from evergreen.watch_results import RetrainRequest
from tests.fakes.bench import APRIL, MARCH, MAY, Bench, pinned

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with a model file `churn` that never ran."""
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVERGREEN_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    assert main(["new", "churn"]) == OK
    return tmp_path


@pytest.fixture
def bench(home: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Version 1 as of March, version 2 as of April, which serves; the commands work on it."""
    bench = Bench(home)
    bench.whole("one", MARCH, 0.6)
    bench.whole("two", APRIL, 0.7)

    @contextmanager
    def opened(*_: Any) -> Any:
        yield bench.workspace

    @contextmanager
    def opened_ledger(_: Any) -> Any:
        yield bench.ledger

    for command in ("hand", "rollback"):
        monkeypatch.setattr(f"evergreen.cli.{command}.open_workspace", opened)
    for command in ("history", "explain", "as_of"):
        monkeypatch.setattr(f"evergreen.cli.{command}.open_ledger", opened_ledger)
    return bench


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):
    """Run a command; return its exit code, what it printed and what it complained of."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_rollback_tells_what_it_did_what_serves_and_what_undoes_it(bench: Bench, said):
    code, out, _ = said("rollback", "churn", "--why", "it says no to everybody")
    assert code == OK
    assert out.splitlines() == [
        "churn: version 1 (trained as of 2013-03-01 00:00) is champion again, in the place of version 2",
        f"  by {ME}: it says no to everybody",
        "  serves: version 1 on target local, as read back from it",
        '  the next retrain may replace it; to keep it: evergreen pin churn --why "…"',
        '  undo: evergreen rollback churn --to 2 --why "…"',
    ]
    assert bench.serving() == 1


def test_rollback_said_twice_says_who_did_it_and_ends_well(bench: Bench, said):
    said("rollback", "churn", "--why", "it errs")
    code, out, _ = said("rollback", "churn", "--why", "it errs")
    assert code == OK
    assert f"version 1 is the champion already: {ME} rolled back to it from version 2: it errs" in out
    assert "nothing was done" in out
    assert "evergreen rollback churn --to VERSION" in out
    assert "undo" not in out
    assert bench.serving() == 1


def test_rollback_as_json_is_whole(bench: Bench, said):
    told = json.loads(said("rollback", "churn", "--why", "it errs", "--json")[1])
    assert told["changed"] is True
    assert told["release"]["restored"]["deed"]["why"] == "it errs"
    assert told["serving"]["version"] == 1
    assert told["undo"].startswith("evergreen rollback churn --to 2")
    assert told["standing"]["pinned"] is None
    assert json.loads(said("rollback", "churn", "--why", "it errs", "--json")[1])["changed"] is False


def test_a_dry_run_tells_what_would_be_done_and_who_is_in_the_way(bench: Bench, said):
    bench.begin("three", MAY)
    count = len(bench.ledger.rows)
    code, out, _ = said("rollback", "churn", "--why", "look first", "--dry-run")
    assert code == OK
    assert "version 1 (trained as of 2013-03-01 00:00) would take the place of version 2" in out
    assert "run churn/three is at work" in out
    assert len(bench.ledger.rows) == count
    told = json.loads(said("rollback", "churn", "--why", "x", "--dry-run", "--json")[1])
    assert told == {
        "champion": 2,
        "to": 1,
        "would_change": True,
        "unfinished": None,
        "held_by": "churn/three",
    }


def test_an_unknown_version_ends_with_those_there_are(bench: Bench, said):
    code, _, err = said("rollback", "churn", "--to", "9", "--why", "x")
    assert code == FINDINGS
    assert "version 9 never was champion" in err
    assert "allowed: version 1 (as of 2013-03-01)" in err


def test_a_run_at_work_is_named_and_nothing_is_changed(bench: Bench, said):
    bench.begin("three", MAY)
    code, _, err = said("rollback", "churn", "--why", "x")
    assert code == ENVIRONMENT
    assert "churn/three" in err
    assert "--wait" in err
    assert bench.serving() == 2


def test_a_rollback_that_a_killed_pass_is_in_the_way_of_says_how_to_go_on(bench: Bench, said):
    bench.ledger.acquire("churn", "churn/reconcile/pass")
    code, _, err = said("rollback", "churn", "--why", "x")
    assert code == ENVIRONMENT
    assert "evergreen reconcile churn" in err
    assert "--wait" not in err


def test_wait_lets_a_run_at_work_end_first(bench: Bench, said, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("evergreen.cli.rollback.SECONDS_BETWEEN_TRIES", 0.05)
    lease = bench.ledger.acquire("churn", "churn/three")
    ends = threading.Timer(0.3, bench.ledger.free, (lease,))
    ends.start()
    code, _, err = said("rollback", "churn", "--why", "x", "--wait", "600")
    ends.join()
    assert code == OK
    assert "waiting up to 600 seconds" in err
    assert err.count("churn/three") == 1, "it is said once"
    assert bench.serving() == 1


def test_waiting_has_an_end(bench: Bench, said, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("evergreen.cli.rollback.SECONDS_BETWEEN_TRIES", 0.01)
    bench.begin("three", MAY)
    assert said("rollback", "churn", "--why", "x", "--wait", "0.1")[0] == ENVIRONMENT


def test_a_target_that_is_down_ends_as_an_environment_error_and_the_command_finishes_it(
    bench: Bench, said
):
    bench.deployer.unavailable = True
    assert said("rollback", "churn", "--why", "first")[0] == ENVIRONMENT
    bench.deployer.unavailable = False
    code, out, _ = said("rollback", "churn", "--why", "second")
    assert code == OK
    assert f"by {ME}: first" in out, "what was begun is what was finished"
    assert bench.serving() == 1


def test_a_pinned_model_keeps_its_pin_and_says_so(bench: Bench, said):
    said("pin", "churn", "--why", "a campaign")
    out = said("rollback", "churn", "--why", "x")[1]
    assert f"pinned on version 1 by {ME}" in out
    assert "may replace it" not in out


def test_pin_and_unpin_tell_what_stands_and_what_undoes_it(bench: Bench, said):
    code, out, _ = said("pin", "churn", "--why", "a campaign")
    first, second = out.splitlines()
    assert code == OK
    assert first.startswith(f"churn: pinned on version 2 by {ME} since 20")
    assert first.endswith("UTC: a campaign")
    assert second == '  undo: evergreen unpin churn --why "…"'
    code, out, _ = said("pin", "churn", "--why", "again")
    assert (code, out) == (OK, f"{first.replace('churn: ', 'churn: already ')}; nothing was done\n")
    assert said("unpin", "churn", "--why", "over")[1].startswith("churn: nothing is pinned or paused")
    assert said("unpin", "churn", "--why", "over")[1] == "churn: not pinned; nothing was done\n"
    assert len(bench.ledger.bodies("hand")) == 2


def test_a_pin_on_another_version_than_the_champion_is_refused(bench: Bench, said):
    code, _, err = said("pin", "churn", "--version", "1", "--why", "x")
    assert code == FINDINGS
    assert 'evergreen rollback churn --to 1 --why "…"' in err


def test_pause_names_the_runs_that_go_on_and_resume_the_request_that_waits(bench: Bench, said):
    bench.begin("three", MAY)
    lease = bench.ledger.acquire("churn", "churn/monitor/1", "monitor")
    requests.ask(bench.workspace, RetrainRequest("churn/monitor/1", APRIL, "x moved", "watch"), lease)
    bench.ledger.free(lease)
    code, out, _ = said("pause", "churn", "--why", "a move")
    assert code == OK
    assert out.startswith(f"churn: paused by {ME} since")
    assert '  undo: evergreen resume churn --why "…"' in out
    assert "  run churn/three is at work and goes on to its end; it releases nothing" in out
    out = said("resume", "churn", "--why", "moved")[1]
    assert "a retrain as of 2013-04-01 00:00 is asked for" in out
    assert "evergreen run churn --requested" in out


def test_pause_of_one_dag_is_told_and_undone_as_such(bench: Bench, said):
    out = said("pause", "churn", "--only", "score", "--why", "x")[1]
    assert out.startswith(f"churn: paused (score) by {ME}")
    assert 'undo: evergreen resume churn --only score --why "…"' in out
    assert (
        "undo: evergreen pause churn --only score"
        in said("resume", "churn", "--only", "score", "--why", "x")[1]
    )


def test_deeds_as_json_say_what_stands(bench: Bench, said):
    told = json.loads(said("pause", "churn", "--only", "monitor", "--why", "x", "--json")[1])
    assert told["changed"] is True
    assert told["standing"]["paused"]["monitor"]["who"] == ME
    assert json.loads(said("unpin", "churn", "--why", "x", "--json")[1])["changed"] is False


def test_history_and_explain_show_rollbacks_pins_and_pauses(bench: Bench, said):
    said("rollback", "churn", "--why", "it errs")
    said("pin", "churn", "--why", "a campaign")
    said("pause", "churn", "--only", "score", "--why", "a move")
    *_, rolled, pinned, paused = said("history", "churn")[1].splitlines()
    assert " v2 " in rolled
    assert " v1 " in rolled
    assert "rolled back" in rolled
    assert rolled.rstrip().endswith(f"rolled back to version 1 by {ME}: it errs")
    assert pinned.startswith(f"pinned on version 1 by {ME}")
    assert paused.startswith(f"paused (score) by {ME}")
    out = said("explain", "churn")[1]
    assert "live      version 1, trained as of 2013-03-01 00:00" in out
    assert f"{ME} rolled back to it from version 2: it errs" in out
    assert f"by hand   pinned on version 1 by {ME}" in out
    assert f"by hand   paused (score) by {ME}" in out
    assert "rolled back to version 1" in out.partition("since ")[2]
    told = json.loads(said("explain", "churn", "--json")[1])
    assert told["standing"]["version"] == 1
    assert f"by hand   {ME} rolled back to it: it errs" in said("as-of", "churn", "2999-01-01")[1]


def test_explain_as_of_an_instant_shows_what_stood_then(bench: Bench, said):
    said("pin", "churn", "--why", "a campaign")
    assert "pinned" not in said("explain", "churn", "--as-of", "2013-01-01")[1]


def test_history_says_why_a_pinned_run_was_kept(bench: Bench, said):
    said("pin", "churn", "--why", "a campaign")
    bench.whole("three", MAY, 0.95)
    row = said("history", "churn")[1].splitlines()[3]
    assert " kept " in row
    assert f"version 2 is pinned by {ME}" in row


def test_explain_tells_a_run_that_was_pinned_while_it_waited_and_asked_again_later(bench: Bench, said):
    key = bench.begin("three", MAY, pinned(tier="high"))
    bench.until_trained(key)
    bench.good(key, 0.95)
    approve.ask(bench.workspace, key)
    assert f"evergreen approve {key}" in said("explain", "churn")[1]
    said("pin", "churn", "--why", "a campaign")
    approve.ask(bench.workspace, key)
    steps.release(bench.workspace, key)
    steps.report(bench.workspace, key)
    told = said("explain", "churn")[1]
    assert "was asked, and the run was over before anybody answered" in told
    assert "evergreen approve" not in told
    assert "released nothing: version 2 is pinned" in told
    said("unpin", "churn", "--why", "it is over")
    approve.ask(bench.workspace, key)
    told = said("explain", "churn")[1]
    assert f"evergreen approve {key} --evidence" in told
    assert "is pinned" not in told


@pytest.mark.parametrize(
    "command", [["rollback"], ["pin"], ["unpin"], ["pause"], ["resume"]], ids=lambda words: words[0]
)
def test_a_name_that_nobody_knows_is_refused_with_the_nearest(home: Path, said, command: list[str]):
    code, _, err = said(*command, "chrun", "--why", "x")
    assert code == USAGE
    assert "no such model: 'chrun'" in err
    assert "did you mean 'churn'?" in err
    code, _, err = said(*command, "../etc", "--why", "x")
    assert code == USAGE
    assert "not a model name" in err


def test_a_model_whose_file_is_gone_is_known_by_its_ledger(bench: Bench, home: Path, said):
    (home / "models" / "churn.yaml").unlink()
    assert said("pin", "churn", "--why", "x")[0] == OK
    assert "did you mean 'churn'?" in said("pin", "churm", "--why", "x")[2]


@pytest.mark.parametrize("why", ["", "   ", "\x1b\x00", "y" * 501])
def test_a_reason_that_says_nothing_or_too_much_is_refused(bench: Bench, said, why: str):
    count = len(bench.ledger.rows)
    code, _, err = said("pause", "churn", "--why", why)
    assert (code, "--why" in err) == (USAGE, True)
    assert len(bench.ledger.rows) == count


def test_a_reason_must_be_given(home: Path):
    with pytest.raises(SystemExit) as ended:
        main(["pin", "churn"])
    assert ended.value.code == USAGE


def test_who_did_it_is_the_account_whatever_variables_say(monkeypatch: pytest.MonkeyPatch):
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "mallory")
    assert person() == ME


def test_an_account_without_a_name_is_told_by_its_number(monkeypatch: pytest.MonkeyPatch):
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert person() == f"uid {os.getuid()}"


def test_a_deed_stands_in_a_real_ledger_that_verifies(home: Path, said):
    assert said("pause", "churn", "--why", "not yet")[0] == OK
    assert said("pause", "churn", "--why", "not yet")[0] == OK
    code, _, err = said("run", "churn")
    assert code == ENVIRONMENT
    assert f"paused by {ME} since" in err
    assert "evergreen resume churn" in err
    ledger = open_ledger(f"sqlite:///{home / 'home' / 'ledger.db'}", 600)
    kinds = [entry.kind for entry in ledger.entries()]
    ledger.close()
    assert kinds == ["hand"], "neither a run nor a failure was begun"
    assert said("audit")[0] == OK
    assert said("history", "churn")[1].splitlines()[1].startswith(f"paused by {ME}")


def test_a_registry_that_is_down_changes_nothing(bench: Bench, said, monkeypatch: pytest.MonkeyPatch):
    bench.registry.down = True
    code, _, err = said("rollback", "churn", "--why", "x")
    assert code == ENVIRONMENT
    assert StoreUnavailable.__name__ not in err, "people are told what happened, not what it is called"
    assert len(bench.ledger.bodies("release_intended")) == 2


@pytest.mark.parametrize("command", ["score", "monitor"])
def test_a_paused_model_is_neither_scored_nor_checked_by_hand(home: Path, said, command: str):
    path = home / "models" / "churn.yaml"
    more = 'score: {schedule: "@daily", window: 1 day}\nmonitor: {schedule: "@daily", window: 7 days}\n'
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{more}", encoding="utf-8")
    said("pause", "churn", "--only", command, "--why", "a move")
    code, out, err = said(command, "churn")
    assert (code, out) == (ENVIRONMENT, "")
    assert f"churn, {command}: paused by {ME}" in err
