"""What the judge of the chaos measures: from the signal, not from the move that waited for a task."""

from types import SimpleNamespace

from tests.chaos.judge import recoveries

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
