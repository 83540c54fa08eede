"""People asked by a real Airflow: answers through its REST API and the command line, by five users.

Every run is started before the first is waited for; each model is asked about once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.airflow_people import People, asked_people

pytestmark = [pytest.mark.real_airflow, pytest.mark.timeout(900)]

USERS = {"admin": "admin", "alice": "user", "bob": "user", "carol": "user", "vera": "viewer"}
ASKING = {
    "named": "release: {approval: {approvers: [alice, bob]}}\n",
    "typed": "release: {approval: {approvers: [alice]}}\n",
    "anyone": "tier: high\n",
    "hurried": "release: {approval: {timeout: 1 minute}}\n",
}
"""Models by what they say of approval."""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    with asked_people(tmp_path_factory.mktemp("approval"), ASKING, USERS, port=18110) as people:
        yield people


def test_only_an_approver_who_did_not_start_the_run_is_let_answer_and_the_ledger_names_them(people):
    run_id = people.asked("named")
    form = people.api.form("named", run_id)
    assert form["subject"] == "Release version 1 of named as the first champion?"
    assert form["options"] == ["Approve", "Reject", "Ask for more data"]
    assert "**Promote: the new model is proven better" in form["body"]
    assert form["assigned_users"] == [{"id": "alice", "name": "alice"}], "bob started the run"
    with people.as_user("vera") as viewer, people.as_user("carol") as unnamed:
        assert viewer.answer("named", run_id, "Approve").status_code == 403
        assert unnamed.answer("named", run_id, "Approve").status_code == 403
    with people.as_user("bob") as starter:
        assert starter.answer("named", run_id, "Approve").status_code == 403
    assert people.api.waits("named", run_id)
    evidence = form["params"]["evidence"]["value"]
    with people.as_user("alice") as alice:
        assert alice.answer("named", run_id, "Approve", "good", evidence=evidence).status_code == 200
        assert alice.answer("named", run_id, "Reject", "bad", evidence=evidence).status_code == 409
    told = people.ended("named")
    assert told["run_finished"]["outcome"] == "promoted"
    answered, asked = told["approval_answered"], told["approval_asked"]
    assert (answered["answer"], answered["who"], answered["how"]) == ("approve", "alice", "airflow")
    assert (answered["reason"], answered["number"]) == ("good", 1)
    assert answered["evidence"] == asked["evidence"]
    assert asked["evidence"].startswith(evidence)
    assert asked["triggered_by"] == "bob"
    assert any("approved by alice" in line for line in told["run_finished"]["lines"])


def test_where_anyone_may_answer_the_starter_may_not_and_a_no_needs_a_reason(people):
    run_id = people.asked("anyone")
    people.api.forge("anyone", run_id, {"answer": "approve", "who": "alice"})

    def refused(words: str) -> None:
        people.asked("anyone", words)
        assert "approval_answered" not in people.entries(f"anyone/{run_id}")

    with people.as_user("bob") as starter:
        assert starter.answer("anyone", run_id, "Approve").status_code == 200
    refused("who started the run may not answer for it")
    with people.as_user("carol") as carol:
        assert carol.answer("anyone", run_id, "Reject").status_code == 200
        refused("a rejection needs a reason")
        assert carol.answer("anyone", run_id, "Reject", "JFK is worse").status_code == 200
    told = people.ended("anyone")
    assert told["run_finished"]["outcome"] == "kept"
    assert told["run_finished"]["summary"].endswith("(rejected by carol: JFK is worse)")
    assert "release" not in told
    states = people.api.states("anyone__retrain", run_id)
    assert (states["approve"], states["release"], states["report"]) == ("skipped", "skipped", "success")


def test_the_command_line_answers_through_airflow_as_the_connections_user(people):
    run_id = people.asked("typed")
    key = f"typed/{run_id}"
    listed = people.command("approvals", "typed", "--json", user="alice")
    assert [asked["run_key"] for asked in json.loads(listed.stdout)] == [key]
    by_the_starter = people.command("approve", key, user="bob")
    assert by_the_starter.returncode == 1
    assert "who started the run may not answer for it" in by_the_starter.stderr
    by_another = people.command("approve", key, user="carol")
    assert by_another.returncode == 1
    assert "Airflow does not let carol answer" in by_another.stderr
    done = people.command("approve", "typed", "--why", "as agreed", user="alice")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{key}: approve by alice, given to Airflow" in done.stdout
    told = people.ended("typed")
    assert told["run_finished"]["outcome"] == "promoted"
    answered = told["approval_answered"]
    assert (answered["who"], answered["how"], answered["reason"]) == ("alice", "airflow", "as agreed")
    again = people.command("approve", key, user="alice")
    assert again.returncode == 1
    assert "answered already" in again.stderr


def test_where_nobody_answers_in_time_the_champion_is_kept_and_the_task_does_not_fail(people):
    told = people.ended("hurried")
    answered = told["approval_answered"]
    assert (answered["answer"], answered["who"], answered["how"]) == ("timeout", None, "scheduler")
    assert told["run_finished"]["outcome"] == "kept"
    assert "nobody answered in time" in told["run_finished"]["summary"]
    assert people.api.states("hurried__retrain", people.runs["hurried"])["approve"] == "skipped"
