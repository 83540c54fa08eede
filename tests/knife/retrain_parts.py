"""The steps of a retrain, of scoring and of a check, and what people do, as parts in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace as replaced
from datetime import UTC, datetime, timedelta

from evergreen import steps
from evergreen.approval_results import Answer
from evergreen.connections import from_environment
from evergreen.entry_keys import entry_key
from evergreen.hand import Deed
from evergreen.ledger import open_ledger
from evergreen.loading import load_model
from evergreen.results import Release, Retrain, Version, from_json, to_json
from evergreen.settings import Settings
from evergreen.steps import approve as approving
from evergreen.steps import requests
from evergreen.steps.hand import do
from evergreen.steps.memory import need, retrain_of
from evergreen.steps.reconcile import Circumstances
from evergreen.steps.reconcile import reconcile as reconcile_all
from evergreen.steps.rollback import planned
from evergreen.steps.rollback import rollback as roll_back
from evergreen.steps.settle import finish
from evergreen.steps.watch.judge import judge as judge_check
from evergreen.steps.watch.measure import measure as measure_window
from evergreen.steps.watch.profile import profile as profile_window
from evergreen.steps.watch.request import request as decide
from evergreen.watch_results import RetrainRequest
from evergreen.wiring import open_workspace
from evergreen.workspace import Workspace
from tests.integration.alerts_process import hurry, messenger_to
from tests.knife import ledger_parts
from tests.knife.inputs import APRIL, MAY, NAME
from tests.knife.place import LEASE_SECONDS, Place, tell_appends

RUN, SECOND_RUN = f"{NAME}/scheduled__1", f"{NAME}/scheduled__2"
SCORING, CHECK = f"{NAME}/score/1", f"{NAME}/monitor/2"
AFTER_A_WEEK = APRIL + timedelta(days=7)
WHY = "as a test"


def ask(place: Place) -> None:
    """Put a request into the queue, as a check does."""
    with workspace_at(place) as workspace:
        asked = RetrainRequest(f"{NAME}/monitor/1", APRIL - timedelta(days=1), "x drifted", "watch")
        lease = workspace.ledger.acquire(NAME, asked.key, "monitor")
        requests.ask(workspace, asked, lease)
        workspace.ledger.free(lease)


def track(place: Place) -> None:
    """Make MLflow's database, as whoever asks it first does."""
    with workspace_at(place) as workspace:
        assert workspace.registry.champion(NAME) is None


def resolve_window(place: Place) -> None:
    with workspace_at(place) as workspace:
        _begin(place, workspace, RUN, APRIL)


def ingest(place: Place) -> None:
    with workspace_at(place) as workspace:
        steps.ingest(workspace, RUN)


def validate(place: Place) -> None:
    with workspace_at(place) as workspace:
        assert steps.validate(workspace, RUN).passed


def train(place: Place) -> None:
    with workspace_at(place) as workspace:
        steps.train(workspace, RUN)


def evaluate(place: Place) -> None:
    with workspace_at(place) as workspace:
        assert steps.evaluate(workspace, RUN).promote


def refit(place: Place) -> None:
    with workspace_at(place) as workspace:
        steps.refit(workspace, RUN)


def register(place: Place) -> None:
    with workspace_at(place) as workspace:
        assert steps.register(workspace, RUN)


def approve(place: Place) -> None:
    """Ask a person."""
    with workspace_at(place) as workspace:
        approving.ask(workspace, RUN)


def answer(place: Place) -> None:
    """Take a person's answer; the same answer once more is the retry of a form that was sent."""
    ledger = open_ledger(place.ledger, LEASE_SECONDS)
    tell_appends(place)
    if ledger.find(entry_key("approval_answered", RUN)) is None:
        approving.answer(ledger, RUN, Answer("approve", "alice", "cli", datetime.now(UTC)))
    ledger.close()


def release(place: Place) -> None:
    with workspace_at(place) as workspace:
        assert steps.release(workspace, RUN)


def report(place: Place) -> None:
    with workspace_at(place) as workspace:
        assert steps.report(workspace, RUN).outcome == "promoted"


def score(place: Place) -> None:
    with workspace_at(place) as workspace:
        model = load_model(place.inputs / f"{NAME}.yaml")
        assert steps.score(workspace, SCORING, model, AFTER_A_WEEK, "scheduled").rows


def profile(place: Place) -> None:
    with workspace_at(place) as workspace:
        model = load_model(place.inputs / f"{NAME}.yaml")
        profile_window(workspace, CHECK, model, AFTER_A_WEEK, "scheduled")


def measure(place: Place) -> None:
    with workspace_at(place) as workspace:
        measure_window(workspace, CHECK)


def judge(place: Place) -> None:
    with workspace_at(place) as workspace:
        assert judge_check(workspace, CHECK).answer == "alarm"


def request(place: Place) -> None:
    with workspace_at(place) as workspace:
        assert decide(workspace, CHECK).open_requests


def take_in(place: Place) -> None:
    """Take in what all the steps before wrote down: all they tell people of."""
    hurry(stormy=False)
    ledger = open_ledger(place.ledger, LEASE_SECONDS)
    tell_appends(place)
    ledger_parts.take_in_entries(messenger_to(ledger, place.port), AFTER_A_WEEK)
    ledger.close()


def deliver(place: Place) -> None:
    ledger_parts.deliver(place)


def pin(place: Place) -> None:
    with workspace_at(place) as workspace:
        do(workspace, NAME, Deed("pin", "alice", WHY))


def unpin(place: Place) -> None:
    with workspace_at(place) as workspace:
        do(workspace, NAME, Deed("unpin", "alice", WHY))


def second_version(place: Place) -> None:
    """Train a second version and intend its release, which replaces a champion."""
    with workspace_at(place) as workspace:
        _begin(place, workspace, SECOND_RUN, MAY)
        steps.ingest(workspace, SECOND_RUN)
        assert steps.validate(workspace, SECOND_RUN).passed
        candidate = steps.train(workspace, SECOND_RUN)
        lease = workspace.ledger.acquire(NAME, SECOND_RUN)
        version = workspace.registry.register(NAME, candidate, {})
        key = entry_key("version", SECOND_RUN)
        workspace.ledger.append("version", key, to_json(version), lease)


def replace(place: Place) -> None:
    """Release the second version over the first: intent, alias, pointer, outcome."""
    from evergreen.results import Candidate

    with workspace_at(place) as workspace:
        lease = workspace.ledger.acquire(NAME, SECOND_RUN)
        newest = workspace.ledger.last(NAME, "release")
        assert newest is not None
        version = need(workspace, "version", SECOND_RUN, Version)
        candidate = need(workspace, "candidate", SECOND_RUN, Candidate)
        as_of = retrain_of(workspace, SECOND_RUN).windows.as_of
        intent = Release(NAME, version, candidate, 1, as_of, "local", SECOND_RUN)
        key = entry_key("release_intended", SECOND_RUN)
        if workspace.ledger.find(entry_key("release", SECOND_RUN)) is None:
            entry = workspace.ledger.find(key) or workspace.ledger.append(
                "release_intended", key, to_json(intent), lease, expected_release=newest.seq
            )
            finish(workspace, entry, lease)
        workspace.ledger.free(lease)


def rollback(place: Place) -> None:
    with workspace_at(place) as workspace:
        roll_back(workspace, planned(workspace, NAME, None), "alice", WHY)
        newest = workspace.ledger.last(NAME, "release")
        assert newest is not None
        assert from_json(Release, newest.body).version.number == 1


def half_released(place: Place) -> None:
    """Be a run that intended a release of the second version and was gone since, lease and all."""
    ledger = open_ledger(place.ledger, 0.001)
    tell_appends(place)
    run_key = f"{NAME}/scheduled__3"
    lease = ledger.acquire(NAME, run_key)
    newest = ledger.last(NAME, "release")
    second = ledger.find(entry_key("release", SECOND_RUN))
    assert newest is not None
    assert second is not None
    intent = replaced(from_json(Release, second.body), run_key=run_key, as_of=MAY + timedelta(days=1))
    key = entry_key("release_intended", run_key)
    ledger.append("release_intended", key, to_json(intent), lease, expected_release=newest.seq)
    ledger.close()


def reconcile(place: Place) -> None:
    """Finish what a run that is gone left half done."""
    with workspace_at(place) as workspace:
        reconcile_all(workspace, [NAME], _later())


def _later() -> Circumstances:
    """Return a time at which whatever was written up to now counts as silent, this pass's words, too."""
    return Circumstances(datetime.now(UTC) + timedelta(minutes=5), timedelta(0))


def nothing_to_reconcile(place: Place) -> None:
    with workspace_at(place) as workspace:
        found = reconcile_all(workspace, [NAME], _later(), dry_run=True)
        left = [one.finding.words for one in found.dealt if one.finding.mends]
        assert not left, left


PARTS: dict[str, Callable[[Place], None]] = {
    part.__name__: part
    for part in (
        *(
            ask,
            track,
            resolve_window,
            ingest,
            validate,
            train,
            evaluate,
            refit,
            register,
            approve,
            answer,
        ),
        *(release, report, score, profile, measure, judge, request, take_in, deliver, pin, unpin),
        *(second_version, replace, rollback, half_released, reconcile, nothing_to_reconcile),
    )
}


@contextmanager
def workspace_at(place: Place) -> Iterator[Workspace]:
    """Open what the steps work with, as the command line and Airflow's tasks do."""
    tell_appends(place)
    with open_workspace(Settings.from_environment(), from_environment) as workspace:
        yield workspace


def _begin(place: Place, workspace: Workspace, run_key: str, as_of: datetime) -> None:
    begun = steps.resolve_window(
        workspace,
        run_key=run_key,
        model=load_model(place.inputs / f"{NAME}.yaml"),
        as_of=as_of,
        reason="scheduled",
        release="auto",
        serves="earlier",
    )
    assert isinstance(begun, Retrain)
