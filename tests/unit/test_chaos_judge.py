"""The judge of the chaos finds what is planted, and measures from the signal, not from the move."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from evergreen.fleet_file import read_fleet
from evergreen.ports import Entry, Registered
from evergreen.steps import requests
from evergreen.watch_results import RetrainRequest
from tests.chaos import judge as judge_of
from tests.chaos.judge import recoveries
from tests.chaos.plan import FAULTS, OUTAGES, from_lines, plan, to_lines
from tests.chaos.world import FLEET_FILE
from tests.fakes.ledger import FakeLedger

MOVE = {
    "name": "kill_task",
    "when": "2026-01-01T00:00:00+00:00",
    "hit": {
        "dag": "m__retrain",
        "run_id": "r",
        "task_id": "train",
        "sent": "2026-01-01T00:00:12+00:00",
    },
}


def test_a_task_that_began_while_the_move_waited_for_one_is_not_its_own_next_try():
    begun = ["2026-01-01T00:00:11+00:00", "2026-01-01T00:00:47+00:00", None]
    answer = {"task_instances": [{"start_date": at} for at in begun]}
    world = SimpleNamespace(api=SimpleNamespace(_send=lambda method, path: answer))
    assert recoveries(world, [MOVE]) == [35.0]


MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def entry(kind: str, run_key: str, /, **body: object) -> Entry:
    return Entry(1, MARCH, "m", kind, f"{kind}/{run_key}", body, "", "")


def release(key: str, number: int, as_of: str, kind: str = "release") -> Entry:
    return entry(kind, key, version={"number": number}, as_of=as_of)


def world_at(alias: int | None, served: int | None) -> SimpleNamespace:
    return SimpleNamespace(
        registry=SimpleNamespace(champion=lambda name: alias),
        deployer=SimpleNamespace(
            serving=lambda name: None if served is None else SimpleNamespace(version=served)
        ),
    )


def kinds(findings) -> list[str]:
    return [finding.kind for finding in findings]


def test_a_champion_that_all_name_and_that_only_grew_fresher_is_fine():
    entries = [
        release("m/1", 1, "2026-01-01T00:00:00Z", "release_intended"),
        release("m/1", 1, "2026-01-01T00:00:00Z"),
        release("m/2", 2, "2026-01-01T00:00:00.5Z"),
    ]
    assert kinds(judge_of._champion(world_at(2, 2), "m", entries)) == []


@pytest.mark.parametrize(
    ("entries", "alias", "served", "kind"),
    [
        ([], None, None, "lost"),
        ([release("m/1", 1, "2026-01-01T00:00:00Z")], 2, 1, "wrong"),
        ([release("m/1", 1, "2026-01-01T00:00:00Z")], 1, 2, "wrong"),
        ([release("m/1", 1, "2026-01-01T00:00:00Z")], 1, None, "wrong"),
        (
            [release("m/1", 1, "2026-01-02T00:00:00Z"), release("m/2", 2, "2026-01-01T00:00:00Z")],
            2,
            2,
            "wrong",
        ),
        ([release("m/1", 1, "2026-01-01T00:00:00Z")] * 2, 1, 1, "doubled"),
        (
            [
                release("m/1", 1, "2026-01-01T00:00:00Z"),
                release("m/2", 2, "2026-01-01T00:00:00Z", "release_intended"),
            ],
            1,
            1,
            "stuck",
        ),
    ],
)
def test_a_champion_that_is_not_one_is_found(entries, alias, served, kind):
    assert kinds(judge_of._champion(world_at(alias, served), "m", entries)) == [kind]


def test_a_run_that_is_gone_goes_on_or_never_said_its_end_is_found():
    log = [{"hit": {"dag": "m__retrain", "run": name}} for name in ("there", "gone")]
    runs = [
        {"dag_id": "m__retrain", "dag_run_id": "there", "state": "success"},
        {"dag_id": "m__retrain", "dag_run_id": "on", "state": "running"},
    ]
    entries = [
        entry("run_started", "m/there"),
        entry("run_finished", "m/there"),
        entry("run_started", "m/silent"),
    ]
    assert kinds(judge_of._runs(runs, entries, log)) == ["lost", "stuck", "stuck"]


def test_requests_that_are_lost_open_or_served_twice_are_found():
    ledger = FakeLedger()
    log = [{"hit": {"requests": ["m/monitor/1", "m/monitor/2"]}}]
    lease = ledger.acquire("m", "m/monitor/1", "monitor")
    request = RetrainRequest("m/monitor/1", MARCH, "x drifted", "watch")
    requests.ask(SimpleNamespace(ledger=ledger), request, lease)
    assert kinds(judge_of._requests(ledger, ("m",), list(ledger.entries()), log)) == ["lost", "stuck"]
    served = [
        entry("request_closed", "m/monitor/1", key="m/monitor/1", run_key=run, superseded_by=None)
        for run in ("m/1", "m/2")
    ]
    asked = [entry("retrain_requested", one, key=one) for one in log[0]["hit"]["requests"]]
    assert kinds(judge_of._requests(FakeLedger(), ("m",), asked + served, log)) == ["doubled"]


def test_a_candidate_with_two_versions_is_found():
    found = judge_of._versions(
        [Registered("m", 1, "a"), Registered("m", 2, "b"), Registered("n", 1, "a")]
    )
    assert kinds(found) == []
    assert kinds(judge_of._versions([Registered("m", 1, "a"), Registered("m", 2, "a")])) == ["doubled"]


def test_messages_that_never_arrived_were_given_up_or_came_too_often_are_found():
    told = entry("told", "1", message="one", channel={"type": "webhook"})
    logged = entry("told", "1", message="one", channel={"type": "log"})
    assert kinds(judge_of._messages([told], ["one", "one"], crashes=1)) == []
    assert kinds(judge_of._messages([told], [], crashes=1)) == ["lost"]
    assert kinds(judge_of._messages([logged], ["one"], crashes=1)) == ["wrong"]
    assert kinds(judge_of._messages([entry("not_told", "1")], [], crashes=1)) == ["lost"]
    assert kinds(judge_of._messages([told], ["one"] * 3, crashes=1)) == ["doubled"]


def test_the_file_of_the_fleet_sends_everything_to_the_receiver(tmp_path):
    (tmp_path / "fleet.yaml").write_text(FLEET_FILE)
    (channel,) = read_fleet(tmp_path / "fleet.yaml").alerts
    assert channel.type == "webhook"


def test_a_message_that_is_overdue_is_found():
    def waits(state: str, due_at: datetime) -> SimpleNamespace:
        return SimpleNamespace(state=state, message=SimpleNamespace(key="one", due_at=due_at))

    later = MARCH + timedelta(hours=1)
    assert kinds(judge_of._undelivered([waits("waiting", later), waits("given_up", MARCH)], later)) == []
    assert kinds(judge_of._undelivered([waits("waiting", MARCH)], later)) == ["stuck"]


def test_the_plan_follows_from_its_seed_and_can_be_read_back():
    made = plan(7, 600, 50)
    assert made == plan(7, 600, 50) != plan(8, 600, 50)
    assert sum(move.name in FAULTS for move in made) == 50
    assert {move.name for move in made} >= set(OUTAGES)
    assert from_lines(to_lines(made)) == made
    assert [move.at for move in made] == sorted(move.at for move in made)
