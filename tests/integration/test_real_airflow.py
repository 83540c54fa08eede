"""Runs in a real Airflow with its real scheduler: one start, several models, judged in the ledger.

Every run is started before the first is waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from dateutil.relativedelta import relativedelta

from evergreen.demo.airflow_api import FINISHED
from evergreen.errors import BadConfiguration
from evergreen.steps import STEPS
from tests.integration.airflow_world import (
    NOW,
    THIS_MONTH,
    Api,
    World,
    lay_out,
    model_text,
    running,
)

pytestmark = [pytest.mark.real_airflow, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Started:
    """The runs that were started at once, by run id."""

    changing: str
    rejected: str
    ahead: str
    asked: str
    scheduled: str


@dataclass(frozen=True)
class StartedLater:
    """The runs that had to wait for an earlier run of their model."""

    backfilled: str
    woken: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("airflow")
    models = lay_out(root)
    (models / "timed.yaml").write_text(model_text("timed", schedule='"@monthly"', refit="true"))
    (models / "asked.yaml").write_text(model_text("asked"))
    (models / "changing.yaml").write_text(model_text("changing"))
    (models / "broken.yaml").write_text(model_text("broken", more="colour: red\n"))
    suite = models / "suites"
    suite.mkdir()
    (suite / "picky.yaml").write_text(
        "expectations:\n"
        "  - type: expect_column_values_to_be_in_set\n"
        "    kwargs: {column: origin, value_set: [EWR, JFK]}\n"
    )
    (models / "picky.yaml").write_text(model_text("picky", more="expectations: suites/picky.yaml\n"))
    dags = [f"{name}__retrain" for name in ("timed", "asked", "changing", "picky")]
    with running(root, Api, [*dags, "broken__invalid_spec"], port=18080) as (airflow, api):
        yield World(airflow, api, models, root / "evergreen")


@pytest.fixture(scope="module")
def runs(world: World) -> Started:
    """Start all runs that need no other."""
    for name in ("changing", "picky", "asked", "timed"):
        world.api.unpause(f"{name}__retrain")
    ahead = (NOW + timedelta(days=400)).isoformat(timespec="seconds")
    return Started(
        changing=world.api.trigger("changing__retrain"),
        rejected=world.api.trigger("picky__retrain", reason="a rejected try"),
        ahead=world.api.trigger("picky__retrain", as_of=ahead),
        asked=world.api.trigger(
            "asked__retrain",
            as_of=THIS_MONTH.isoformat(),
            reason="a first look",
            release="never",
        ),
        scheduled=world.until(
            "the schedule runs", lambda: world.api.run_of_type("timed__retrain", "scheduled")
        ),
    )


@pytest.fixture(scope="module")
def later(world: World, runs: Started) -> StartedLater:
    """Start what needs a champion, or another run's end, to be worth starting."""
    world.finished("asked__retrain", runs.asked)
    world.api.emit("evergreen://asked/retrain-request", reason="drift of wind")
    world.finished("timed__retrain", runs.scheduled)
    month = (THIS_MONTH - relativedelta(months=2)).date()
    world.api.backfill("timed__retrain", month, month)
    return StartedLater(
        backfilled=world.until(
            "the backfill runs", lambda: world.api.run_of_type("timed__retrain", "backfill")
        ),
        woken=world.until(
            "the request runs", lambda: world.api.run_of_type("asked__retrain", "asset_triggered")
        ),
    )


def test_a_broken_file_is_shown_beside_the_models_that_run(world):
    details = world.api.details("broken__invalid_spec")
    assert "colour" in details["doc_md"]
    assert {tag["name"] for tag in details["tags"]} == {"evergreen", "invalid"}
    assert world.api.import_errors() == []


def test_an_as_of_that_is_no_date_is_refused_at_the_door(world, runs):
    with pytest.raises(BadConfiguration, match=r"400 .*as_of"):
        world.api.trigger("asked__retrain", as_of="last tuesday")


def test_a_run_goes_on_as_it_began_though_its_file_changes_and_breaks(world, runs):
    dag_id, path = "changing__retrain", world.models / "changing.yaml"

    def ended(task_id: str) -> bool:
        return world.api.states(dag_id, runs.changing)[task_id] == "success"

    world.until("resolve_window ends", lambda: ended("resolve_window"))
    path.write_text(model_text("changing", margin=0.5))
    world.until("ingest ends", lambda: ended("ingest"))
    path.write_text("name: [")
    # About a minute after its file broke, Airflow holds a DAG's runs back until the file is mended.
    world.until(
        "the run ends or waits",
        lambda: (
            world.api.run(dag_id, runs.changing)["state"] in FINISHED
            or world.api.details(dag_id)["is_stale"]
        ),
    )
    path.write_text(model_text("changing", margin=0.5))
    assert world.finished(dag_id, runs.changing) == "success"
    entries = world.entries(f"changing/{runs.changing}")
    assert entries["run_started"]["model"]["spec"]["gate"]["margin"] == 0.01
    assert entries["comparison"]["margin"] == "0.01"


def test_a_run_of_the_schedule_releases_the_first_champion(world, runs):
    dag_id = "timed__retrain"
    assert world.finished(dag_id, runs.scheduled) == "success"
    assert set(world.api.states(dag_id, runs.scheduled).values()) == {"success"}
    entries = world.entries(f"timed/{runs.scheduled}")
    as_of = datetime.fromisoformat(entries["run_started"]["windows"]["as_of"])
    assert as_of == THIS_MONTH
    assert entries["run_started"]["reason"] == "schedule"
    assert entries["run_finished"]["outcome"] == "promoted"
    assert entries["release"]["candidate"]["refit_of"] == entries["candidate"]["key"]
    told = world.api.told(dag_id, runs.scheduled, "report")
    for line in entries["run_finished"]["lines"]:
        assert line in told
    note = world.api.run_note(dag_id, runs.scheduled)
    assert "**Evergreen**" in note
    assert "Promote: the new model is proven better" in note


def test_a_backfill_fills_history_and_never_replaces_newer_data(world, later):
    dag_id, run_id = "timed__retrain", later.backfilled
    assert world.finished(dag_id, run_id) == "success"
    states = world.api.states(dag_id, run_id)
    assert {states[step] for step in ("refit", "register", "release")} == {"skipped"}
    assert states["report"] == "success"
    entries = world.entries(f"timed/{run_id}")
    as_of = datetime.fromisoformat(entries["run_started"]["windows"]["as_of"])
    assert as_of == THIS_MONTH - relativedelta(months=1)
    assert entries["run_finished"]["outcome"] == "kept"
    assert "newer" in world.api.told(dag_id, run_id, "refit")


def test_a_run_by_hand_takes_the_as_of_the_reason_and_the_release_it_was_asked_for(world, runs):
    dag_id = "asked__retrain"
    assert world.finished(dag_id, runs.asked) == "success"
    states = world.api.states(dag_id, runs.asked)
    assert (states["register"], states["release"], states["report"]) == ("success", "skipped", "success")
    entries = world.entries(f"asked/{runs.asked}")
    begun = entries["run_started"]
    assert datetime.fromisoformat(begun["windows"]["as_of"]) == THIS_MONTH
    assert begun["reason"] == "asked for by admin: a first look"
    assert entries["run_finished"]["outcome"] == "registered"
    assert "release" not in entries


def test_a_retrain_request_wakes_the_model_and_its_reason_is_kept(world, later):
    dag_id, run_id = "asked__retrain", later.woken
    assert world.finished(dag_id, run_id) == "success"
    entries = world.entries(f"asked/{run_id}")
    begun = entries["run_started"]
    assert begun["reason"] == "asset event evergreen/asked/retrain-request: drift of wind"
    assert NOW <= datetime.fromisoformat(begun["windows"]["as_of"]) <= datetime.now(UTC)
    assert entries["run_finished"]["outcome"] == "promoted"


def test_rejected_data_fails_the_run_once_and_its_report_says_why(world, runs):
    dag_id = "picky__retrain"
    assert world.finished(dag_id, runs.rejected) == "failed"
    states = world.api.states(dag_id, runs.rejected)
    assert "refit" not in states, "only where the model file asks for it"
    assert [states[step] for step in STEPS if step in states] == [
        *("success", "success", "failed"),
        *("upstream_failed",) * 4,
        "failed",
    ]
    assert world.api.tries(dag_id, runs.rejected, "validate") == 1
    assert world.entries(f"picky/{runs.rejected}")["run_finished"]["outcome"] == "rejected"
    for task_id in ("validate", "report"):
        assert "expect_column_values_to_be_in_set" in world.api.told(dag_id, runs.rejected, task_id)


def test_an_as_of_ahead_of_the_run_fails_it_once_and_begins_nothing(world, runs):
    dag_id = "picky__retrain"
    assert world.finished(dag_id, runs.ahead) == "failed"
    assert world.api.tries(dag_id, runs.ahead, "resolve_window") == 1
    assert "ahead of the run" in world.api.told(dag_id, runs.ahead, "resolve_window")
    assert "run_started" not in world.entries(f"picky/{runs.ahead}")


def test_every_decision_of_these_runs_is_in_an_unbroken_chain(world, runs):
    with world.opened_ledger() as ledger:
        audit = ledger.verify()
    assert (audit.ok, audit.what) == (True, None)
    assert audit.count > 30
