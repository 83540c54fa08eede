"""What each end of a step becomes in Airflow: success, skip, failure for good, or another try."""

import json
import logging
import signal
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from evergreen import errors, results, steps
from evergreen.evidence.words import sentences
from evergreen.redaction import hide
from evergreen.spec import ModelSpec
from evergreen.steps import requests
from evergreen.steps.memory import holding
from evergreen.watch_results import RetrainRequest
from evergreen.window import Window, windows_at
from tests.airflow.conftest import model_text
from tests.airflow.test_run_context import FakeDagRun, RunType
from tests.comparisons import SERVING, check, comparison, difference
from tests.fakes.ledger import FakeLedger

RUN_KEY = "flight_delay/run 1"
AS_OF = datetime(2013, 5, 1, tzinfo=UTC)


def retrain(release: results.ReleaseWish = "auto") -> results.Retrain:
    spec = ModelSpec.model_validate(yaml.safe_load(model_text("flight_delay")))
    model = results.PinnedModel(spec, "SELECT 1", None, "models", "d" * 64)
    data = spec.data
    windows = windows_at(AS_OF, data.train_window, data.test_window, data.label.delay)
    return results.Retrain(RUN_KEY, model, windows, "schedule", release, "code 1")


COMPARISON = comparison(
    decision="keep",
    promote=False,
    checks=(check("baseline"), check("champion", "failed", "kept: +0.01, superiority needs less")),
    over_champion=difference(0.01, 0.002),
)
VERSION = results.Version("flight_delay", 4, "c" * 64, results.ModelArtefact("runs:/1", "m" * 64, ()))
FAILED_EXPECTATION = results.ExpectationOutcome(
    "expect_column_values_to_not_be_null", {"column": "origin"}, "error", False, "12 nulls", 12, (), None
)


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def execute(monkeypatch, ledger):
    """Run one operator as Airflow would, in a workspace that has only a ledger."""
    from evergreen import wiring
    from evergreen_airflow.factory import OPERATORS

    @contextmanager
    def opened(settings, connections):
        yield SimpleNamespace(ledger=ledger, code_version=lambda model: "code 1", checkpoints=())

    monkeypatch.setattr(wiring, "open_workspace", opened)

    def of(
        task_id: str,
        *,
        try_number: int = 1,
        cleared_after: int = 0,
        begun: datetime | None = None,
        states: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
        model_file: Path = Path("flight_delay.yaml"),
        lease_waits: int = 0,
        dag_run: FakeDagRun | None = None,
    ) -> Any:
        operator = OPERATORS[task_id](
            task_id=task_id,
            model="flight_delay",
            model_file=model_file,
            retries=3,
            lease_waits=lease_waits,
        )
        ti = SimpleNamespace(
            try_number=try_number,
            max_tries=cleared_after + operator.retries,
            get_task_states=lambda dag_id, run_ids: {run_ids[0]: states or {}},
        )
        dag_run = dag_run or FakeDagRun(RunType.MANUAL)
        dag_run.dag_id = "flight_delay__retrain"
        dag_run.start_date = begun
        return operator.execute({"dag_run": dag_run, "ti": ti, "params": params or {}})

    return of


@pytest.fixture
def step(monkeypatch):
    """Let a step answer, or raise, what a test says."""

    def of(name: str, answer: Any) -> None:
        def stands_in(*args: Any, **kwargs: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(steps, name, stands_in)

    return of


def remember(ledger: FakeLedger, kind: str, result: Any) -> None:
    lease = ledger.acquire("flight_delay", RUN_KEY)
    ledger.append(kind, f"{kind}/{RUN_KEY}", results.to_json(result), lease)


SNAPSHOT = results.Snapshot(
    "/store/snapshots/1",
    "a" * 64,
    Window(AS_OF, AS_OF),
    1000,
    tuple(results.ColumnType(f"column_{i}", "int64") for i in range(50)),
    (),
)


def test_a_finished_step_returns_its_result_shortened_for_people(execute, step):
    step("ingest", SNAPSHOT)
    told = execute("ingest")
    assert told["rows"] == 1000
    assert told["columns"][-1] == "… and 30 more"
    json.dumps(told)


def test_what_may_pass_is_tried_again_until_the_tries_are_used_up(execute, step):
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    step("ingest", errors.SourceUnavailable("no answer"))
    for number in (1, 2, 3):
        with pytest.raises(AirflowException, match="SourceUnavailable: no answer") as told:
            execute("ingest", try_number=number)
        assert not isinstance(told.value, AirflowFailException)
    with pytest.raises(AirflowFailException, match="no answer"):
        execute("ingest", try_number=4, lease_waits=40)


def test_a_held_lease_is_waited_for_beyond_the_tries_of_the_model_file(execute, step, tmp_path):
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    step("ingest", errors.LeaseHeld("held by another run"))
    with pytest.raises(AirflowException) as told:
        execute("ingest", try_number=20, lease_waits=40)
    assert not isinstance(told.value, AirflowFailException)


def ends(execute, **asked: Any) -> str:
    """Return how Airflow is told that a try ended: "again" or "failed"."""
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    with pytest.raises(AirflowException) as told:
        execute(**asked)
    return "failed" if isinstance(told.value, AirflowFailException) else "again"


def test_a_task_that_a_person_cleared_is_tried_as_often_as_at_first(execute, step):
    step("ingest", errors.SourceUnavailable("no answer"))
    told = [ends(execute, task_id="ingest", try_number=n, cleared_after=4) for n in (5, 6, 7, 8)]
    assert told == ["again", "again", "again", "failed"]


def test_a_run_whose_model_file_has_other_retries_by_now_is_tried_no_less(execute, step):
    step("ingest", errors.SourceUnavailable("no answer"))
    told = [ends(execute, task_id="ingest", try_number=n, cleared_after=-1) for n in (1, 3, 4)]
    assert told == ["again", "again", "failed"]


@pytest.fixture
def fails_under_the_lease(monkeypatch):
    """Let `ingest` fail where it holds the lease, as steps do; `wait` lets it meet a held one."""
    answer: list[Exception] = [errors.SourceUnavailable("no answer")]

    def stands_in(workspace: Any, run_key: str) -> None:
        if isinstance(answer[-1], errors.LeaseHeld):
            raise answer[-1]
        with holding(workspace, run_key, "ingest"):
            raise answer[-1]

    monkeypatch.setattr(steps, "ingest", stands_in)
    return answer


def test_tries_that_only_waited_for_the_lease_are_not_counted(execute, fails_under_the_lease):
    fails_under_the_lease.append(errors.LeaseHeld("held by another run"))
    waiting = {"task_id": "ingest", "lease_waits": 40}
    assert {ends(execute, try_number=n, **waiting) for n in range(1, 6)} == {"again"}
    fails_under_the_lease.append(errors.SourceUnavailable("no answer"))
    told = [ends(execute, try_number=n, **waiting) for n in (6, 7, 8, 9)]
    assert told == ["again", "again", "again", "failed"]


def test_failures_before_a_run_was_cleared_are_not_counted_after_a_wait(
    execute, ledger, fails_under_the_lease
):
    clock = [AS_OF]
    ledger.now = lambda: clock[0]
    waiting = {"task_id": "ingest", "lease_waits": 40}
    first = [ends(execute, try_number=n, begun=AS_OF, **waiting) for n in (1, 2, 3, 4)]
    assert first == ["again", "again", "again", "failed"]

    clock[0] = AS_OF + timedelta(days=1)
    cleared = waiting | {"begun": clock[0], "cleared_after": 4}
    fails_under_the_lease.append(errors.LeaseHeld("held by another run"))
    assert {ends(execute, try_number=n, **cleared) for n in range(5, 10)} == {"again"}
    fails_under_the_lease.append(errors.SourceUnavailable("no answer"))
    told = [ends(execute, try_number=n, **cleared) for n in (10, 11, 12, 13)]
    assert told == ["again", "again", "again", "failed"]


@pytest.mark.parametrize(
    "error", [errors.DataUnusable("one class"), errors.LeaseLost("taken over"), ValueError("odd")]
)
def test_what_will_not_pass_or_is_not_known_to_is_not_tried_again_after_waits(
    execute, fails_under_the_lease, error
):
    fails_under_the_lease.append(error)
    assert ends(execute, task_id="ingest", try_number=6, lease_waits=40) == "failed"


@pytest.mark.parametrize(
    "error",
    [
        errors.DataUnusable("one class"),
        errors.TrainingFailed("no such parameter"),
        errors.LeaseLost("taken over"),
        errors.BadConfiguration("no such connection"),
    ],
)
def test_what_cannot_pass_is_not_tried_again(execute, step, error):
    from airflow.sdk.exceptions import AirflowFailException

    step("train", error)
    with pytest.raises(AirflowFailException, match=type(error).__name__):
        execute("train")


def test_no_secret_reaches_a_message_a_log_or_an_xcom(execute, step, caplog):
    from airflow.sdk.exceptions import AirflowException

    hide("correct-horse-battery")
    try:
        raise RuntimeError("vendor said correct-horse-battery")
    except RuntimeError as vendor:
        ours = errors.SourceUnavailable("no answer from correct-horse-battery")
        ours.__cause__ = vendor
    told: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for error in (ours, RuntimeError("postgresql://bob:s3cretpass@db/x correct-horse-battery")):
            step("ingest", error)
            with pytest.raises(AirflowException) as raised:
                execute("ingest")
            assert raised.value.__suppress_context__
            told.append(str(raised.value))
        step("ingest", results.Snapshot("correct-horse-battery", "a", Window(AS_OF, AS_OF), 1, (), ()))
        told.append(json.dumps(execute("ingest")))
    everything = "\n".join([*told, caplog.text])
    assert "vendor said ***" in everything
    assert "correct-horse-battery" not in everything
    assert "s3cretpass" not in everything


def test_accepted_data_lets_the_run_go_on(execute, step):
    step("validate", results.ValidationReport(True, 1000, (), 0, None, None))
    assert execute("validate")["passed"] is True


def test_rejected_data_fails_for_good_and_lists_what_failed(execute, step):
    from airflow.sdk.exceptions import AirflowFailException

    report = results.ValidationReport(False, 1000, (FAILED_EXPECTATION,), 12, "/q", "/store/report.html")
    step("validate", report)
    with pytest.raises(AirflowFailException) as told:
        execute("validate")
    for part in ("expect_column_values_to_not_be_null", "origin", "12 nulls", "/store/report.html"):
        assert part in str(told.value)


def test_a_kept_champion_skips_register_with_the_reasons(execute, step, ledger):
    from airflow.sdk.exceptions import AirflowSkipException

    remember(ledger, "comparison", COMPARISON)
    step("register", None)
    with pytest.raises(AirflowSkipException, match="Keep version 3: the new model is worse than"):
        execute("register")


def test_evaluate_tells_the_reasoning_in_the_words_of_the_report(execute, step, caplog):
    step("evaluate", COMPARISON)
    with caplog.at_level(logging.INFO):
        told = execute("evaluate")
    assert told["decision"] == "keep"
    assert set(sentences(COMPARISON)) <= {
        record.getMessage().removeprefix(f"{RUN_KEY}: ") for record in caplog.records
    }


def test_a_refit_that_is_not_fit_to_serve_skips_register_with_its_faults(execute, step, ledger):
    from airflow.sdk.exceptions import AirflowSkipException

    remember(ledger, "comparison", comparison())
    candidate = results.Candidate(
        "c", "run", "classification", VERSION.model, (), (), (), 100, 10, {}, refit_of="t"
    )
    remember(
        ledger, "refit", results.Refit("t", candidate, SERVING, False, "kept: not fit to serve: slow")
    )
    step("register", None)
    with pytest.raises(AirflowSkipException, match="not fit to serve: slow"):
        execute("register")


def test_a_kept_champion_skips_refit_with_the_reasons(execute, ledger):
    from airflow.sdk.exceptions import AirflowSkipException

    remember(ledger, "comparison", COMPARISON)
    with pytest.raises(AirflowSkipException, match="Keep version 3: the new model is worse than"):
        execute("refit")


def test_a_run_that_began_without_refit_goes_on_though_its_file_asks_for_it_now(execute, step, ledger):
    remember(ledger, "comparison", comparison())
    step("refit", None)
    assert execute("refit") is None, "a skip would skip register and release, too"


def test_a_release_that_was_not_wished_for_is_skipped_and_says_so(execute, step, ledger):
    from airflow.sdk.exceptions import AirflowSkipException

    remember(ledger, "run_started", retrain("never"))
    step("release", None)
    with pytest.raises(AirflowSkipException, match="nothing was released, as was asked"):
        execute("release")


def run_report(outcome: results.Outcome) -> results.RunReport:
    return results.RunReport(
        RUN_KEY, "flight_delay", AS_OF, outcome, 3, 4, f"it was {outcome}", ("why",)
    )


@pytest.mark.parametrize("outcome", ["promoted", "kept", "registered", "skipped"])
def test_a_run_that_decided_ends_well(execute, step, outcome):
    step("report", run_report(outcome))
    assert execute("report")["outcome"] == outcome


@pytest.mark.parametrize("outcome", ["rejected", "failed"])
def test_a_run_that_came_to_nothing_fails_after_its_report(execute, step, outcome):
    from airflow.sdk.exceptions import AirflowFailException

    step("report", run_report(outcome))
    with pytest.raises(AirflowFailException, match=f"it was {outcome}"):
        execute("report")


def test_report_is_told_which_tasks_failed_and_fails_with_them(execute, monkeypatch):
    from airflow.sdk.exceptions import AirflowFailException

    told: list[str | None] = []

    def report(workspace, run_key, failure):
        told.append(failure)
        return run_report("promoted")

    monkeypatch.setattr(steps, "report", report)
    states = {"ingest": "success", "release": "failed", "register": "skipped"}
    with pytest.raises(AirflowFailException, match="it was promoted; failed task: release"):
        execute("report", states=states)
    assert told == ["failed task: release"]


def test_the_first_task_pins_the_model_file_and_what_was_asked_for(execute, ledger, tmp_path):
    path = tmp_path / "flight_delay.yaml"
    path.write_text(model_text("flight_delay"))
    told = execute(
        "resolve_window",
        model_file=path,
        params={"as_of": "2013-05-01", "reason": "a test", "release": "never"},
    )
    (begun,) = ledger.bodies("run_started")
    assert begun["windows"]["as_of"] == told["windows"]["as_of"] == "2013-05-01T00:00:00Z"
    assert (begun["release"], begun["reason"]) == ("never", "asked for: a test")
    assert begun["model"]["spec"]["name"] == "flight_delay"


def woken(request: RetrainRequest) -> FakeDagRun:
    asset = SimpleNamespace(name="evergreen/flight_delay/retrain-request")
    event = SimpleNamespace(asset=asset, extra={"request": request.key})
    return FakeDagRun(RunType.ASSET_TRIGGERED, consumed_asset_events=[event])


def test_a_woken_run_takes_the_requests_as_of_and_reason(execute, ledger, tmp_path):
    path = tmp_path / "flight_delay.yaml"
    path.write_text(model_text("flight_delay"))
    request = RetrainRequest("flight_delay/monitor/1", AS_OF, "PSI of dep_delay", "watch")
    lease = ledger.acquire("flight_delay", request.key, "monitor")
    requests.ask(SimpleNamespace(ledger=ledger), request, lease)
    execute("resolve_window", model_file=path, dag_run=woken(request))
    (begun,) = ledger.bodies("run_started")
    assert begun["windows"]["as_of"] == "2013-05-01T00:00:00Z"
    assert begun["reason"] == "request of the watch: PSI of dep_delay"


def test_a_woken_run_that_finds_nothing_to_do_is_skipped_and_reported_as_no_failure(
    execute, ledger, tmp_path
):
    from airflow.sdk.exceptions import AirflowSkipException

    path = tmp_path / "flight_delay.yaml"
    path.write_text(model_text("flight_delay"))
    request = RetrainRequest("flight_delay/monitor/1", AS_OF, "PSI of dep_delay", "watch")
    with pytest.raises(AirflowSkipException, match="no retrain is asked for that was not served"):
        execute("resolve_window", model_file=path, dag_run=woken(request))
    told = execute("report", states=dict.fromkeys(steps.STEPS, "skipped"))
    assert told["outcome"] == "skipped"
    assert ledger.bodies("run_started") == []


def test_a_broken_file_fails_a_run_that_has_not_begun_with_its_problems(execute, tmp_path):
    from airflow.sdk.exceptions import AirflowFailException

    path = tmp_path / "flight_delay.yaml"
    path.write_text(model_text("flight_delay", more="colour: red\n"))
    with pytest.raises(AirflowFailException, match="colour"):
        execute("resolve_window", model_file=path)


def test_a_run_that_has_begun_goes_on_as_it_began_though_its_file_broke(execute, ledger, tmp_path):
    path = tmp_path / "flight_delay.yaml"
    path.write_text(model_text("flight_delay"))
    first = execute("resolve_window", model_file=path)
    path.write_text("name: [")
    assert execute("resolve_window", model_file=path, try_number=2) == first
    assert len(ledger.bodies("run_started")) == 1


def test_a_bad_as_of_fails_for_good_and_begins_nothing(execute, ledger, tmp_path):
    from airflow.sdk.exceptions import AirflowFailException

    path = tmp_path / "flight_delay.yaml"
    path.write_text(model_text("flight_delay"))
    with pytest.raises(AirflowFailException, match="param as_of"):
        execute("resolve_window", model_file=path, params={"as_of": "last tuesday"})
    assert [row.kind for row in ledger.rows] == ["step_failed"]


def test_a_step_that_takes_too_long_is_tried_again_and_fails_after_the_last_try(
    execute, monkeypatch, caplog
):
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
    from airflow.sdk.execution_time.timeout import timeout

    monkeypatch.setattr(steps, "ingest", lambda workspace, run_key: signal.pause())
    for try_number, kind in ((1, AirflowException), (4, AirflowFailException)):
        with (
            pytest.raises(AirflowException, match="ingest took longer than its timeout") as ended,
            timeout(0.05),
        ):
            execute("ingest", try_number=try_number)
        assert type(ended.value) is kind
    assert "signal.pause()" in caplog.text, "the log says where the step hung"


def test_being_asked_to_stop_ends_the_process_at_once_and_lets_airflow_try_again():
    from evergreen_airflow.factory import OPERATORS

    for name, operator in OPERATORS.items():
        task = operator(task_id=name, model="m", model_file=Path("m.yaml"), retries=0)
        with pytest.raises(SystemExit) as ended:
            task.on_kill()
        assert ended.value.code == 143
