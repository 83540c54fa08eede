"""`make demo` as a user runs it, for two months and two weeks: the real Airflow, all of the DAGs."""

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from evergreen.comparison import Comparison
from evergreen.demo import run
from evergreen.demo.airflow_home import TOKEN_VARIABLE, RunningAirflow, find_airflow
from evergreen.results import RunReport, from_json
from evergreen.settings import Settings
from evergreen.watch_results import Scored, Verdict
from evergreen.wiring import open_ledger

ROOT = Path(__file__).parents[2]
PORT = 18080

pytestmark = [pytest.mark.real_airflow, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Demo:
    home: Path
    code: int
    output: str
    airflow: RunningAirflow | None

    @property
    def settings(self) -> Settings:
        return Settings.from_environment({"EVERGREEN_HOME": str(self.home / "evergreen")})

    def again(self, *arguments: str) -> tuple[int, str]:
        output = io.StringIO()
        console = Console(file=output, width=250, force_terminal=False)
        code = run.main([*self.arguments(), *arguments], console)
        return code, output.getvalue()

    def arguments(self) -> list[str]:
        dags = str(ROOT / "dags")
        asked = ["--months", "2", "--weeks", "2", "--port", str(PORT)]
        return ["--home", str(self.home), "--dags", dags, *asked]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    home = tmp_path_factory.mktemp("demo")
    try:
        code, output = Demo(home, -1, "", None).again()
        yield Demo(home, code, output, find_airflow(home / "airflow"))
    finally:
        run.main(["--home", str(home), "--stop"], Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def ledger(demo):
    assert demo.code == run.OK, demo.output
    with open_ledger(demo.settings) as ledger:
        yield ledger


def with_token(token):
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(TOKEN_VARIABLE) == token and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_the_demo_succeeds_and_leaves_the_ui_running(demo):
    assert demo.code == run.OK, demo.output
    assert demo.airflow is not None
    assert demo.airflow.url in demo.output
    assert demo.airflow.password in demo.output
    assert "they differ" not in demo.output


@pytest.mark.parametrize("model", run.MODELS)
def test_every_month_was_decided_in_order_and_on_the_champion_of_the_month_before(ledger, model):
    reports = [from_json(RunReport, e.body) for e in ledger.entries(model=model, kind="run_finished")]
    by_month = [report.as_of.date() for report in reports if report.as_of.day == 1]
    assert by_month == [date(2013, 4, 1), date(2013, 5, 1)]
    assert reports[0].outcome == "promoted"
    assert reports[0].champion_before is None
    assert reports[1].outcome in {"promoted", "kept"}
    assert reports[1].champion_before == reports[0].challenger


@pytest.mark.parametrize("model", run.MODELS)
def test_both_models_beat_the_base_rate_and_by_more_than_chance(ledger, model):
    comparisons = [from_json(Comparison, e.body) for e in ledger.entries(model=model, kind="comparison")]
    assert len(comparisons) >= 2
    for comparison in comparisons:
        assert comparison.evidence.over_baseline.interval.high < 0
        assert comparison.evidence.rows > 20_000
        assert comparison.evidence.clusters >= 28


@pytest.mark.parametrize("model", run.MODELS)
def test_ledger_registry_and_target_name_the_same_champion(demo, ledger, model):
    from mlflow import MlflowClient

    promoted = [
        report.challenger
        for report in (
            from_json(RunReport, e.body) for e in ledger.entries(model=model, kind="run_finished")
        )
        if report.outcome == "promoted"
    ]
    alias = MlflowClient(demo.settings.tracking_uri).get_model_version_by_alias(model, "champion")
    pointers = list(demo.settings.releases.rglob("*"))
    assert int(alias.version) == promoted[-1]
    assert any(model in str(path) for path in pointers)
    assert run.read_champion(demo.settings, model).agree


def test_each_week_was_scored_by_the_champion_of_its_time_and_checked(ledger):
    scored = [from_json(Scored, e.body) for e in ledger.entries(model=run.WATCHED, kind="scored")]
    verdicts = [from_json(Verdict, e.body) for e in ledger.entries(model=run.WATCHED, kind="verdict")]
    decisions = list(ledger.entries(model=run.WATCHED, kind="retrain_decided"))
    ends = [one.window.end.date() for one in scored]
    assert ends == [date(2013, 5, 13), date(2013, 5, 20)]
    assert [one.as_of.date() for one in verdicts] == ends
    assert all(one.rows > 5_000 for one in (*scored, *verdicts))
    assert all(one.version == each.version for one, each in zip(scored, verdicts, strict=True))
    assert len(decisions) == 2


def test_the_weeks_are_told_with_their_verdicts(demo):
    assert "watched week by week" in demo.output
    assert "20 May 2013" in demo.output


def test_the_ledger_verifies(ledger):
    assert ledger.verify().ok


def test_a_second_demo_uses_the_running_airflow_and_retrains_nothing(demo, ledger):
    before = len(list(ledger.entries()))
    code, output = demo.again()
    assert code == run.OK, output
    assert "runs already" in output
    assert len(list(ledger.entries())) == before


def test_stop_in_another_process_leaves_none_behind(demo):
    assert demo.airflow is not None
    token = demo.airflow.token
    assert len(with_token(token)) >= 4
    done = subprocess.run(
        [sys.executable, "-m", "evergreen.demo.run", "--stop", "--home", str(demo.home)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Ended" in done.stdout
    assert with_token(token) == []
    assert find_airflow(demo.home / "airflow") is None
