"""What each end of a step becomes in Airflow: success, skip, failure for good, or another try."""

import json
import logging
from types import SimpleNamespace

import pytest

from evergreen import errors, results, steps
from evergreen.evidence.words import sentences
from evergreen.redaction import hide
from evergreen.steps import requests
from evergreen.watch_results import RetrainRequest
from evergreen.window import Window
from tests.airflow.conftest import model_text
from tests.airflow.operators_bench import (
    AS_OF,
    COMPARISON,
    FAILED_EXPECTATION,
    RUN_KEY,
    SNAPSHOT,
    VERSION,
    execute,
    ledger,
    remember,
    retrain,
    step,
)
from tests.airflow.test_run_context import FakeDagRun, RunType
from tests.comparisons import SERVING, comparison

__all__ = ["execute", "ledger", "step"]


def test_a_finished_step_returns_its_result_shortened_for_people(execute, step):
    step("ingest", SNAPSHOT)
    told = execute("ingest")
    assert told["rows"] == 1000
    assert told["columns"][-1] == "… and 30 more"
    json.dumps(told)


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
