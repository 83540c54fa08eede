"""A process that was stopped in a release, and wakes when others have gone on, harms nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from evergreen.steps.rollback import planned, rollback
from tests.fakes.ledger import FakeLedger
from tests.simulation import acts
from tests.simulation.acts import TASKS, Run
from tests.simulation.processes import Process
from tests.simulation.world import Clock, World, model_file

BOTH_WIN = 1
"""A seed at which the first two challengers win."""
MORE_THAN_ANY = 60


class Story:
    """One model, whose first run is about to release."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.world = World(FakeLedger(now=self.clock), self.clock, BOTH_WIN)
        self.model = model_file("churn")

    def run(self, name: str, *tasks: str) -> None:
        run = Run(f"churn/{name}", self.model, self.clock.now)
        for task in tasks:
            acts.task(self.world.workspace, run, task)

    def stopped_at(self, place: int, work) -> Process | None:
        """Return the process, or None where the work has fewer places."""
        process = Process(stops_at=place)
        seen = process.workspace(self.world.workspace, lambda lease: None)
        return process if process.run(lambda: work(seen)).end == "stopped" else None

    def state(self) -> tuple[int | None, int]:
        return (
            self.world.registry.aliases["churn"].get("champion"),
            self.world.deployer.pointers["churn"].version,
        )


@pytest.mark.parametrize("part", range(4))
def test_wherever_a_release_is_stopped_it_cannot_undo_the_next_one_when_it_wakes(part):
    places = 0
    for place in range(1 + part, MORE_THAN_ANY, 4):
        story = Story()
        with story.world.drawing_lots():
            story.run("1", *TASKS[:-2])
            run = Run("churn/1", story.model, story.clock.now)
            process = story.stopped_at(place, lambda seen, run=run: acts.task(seen, run, "release"))
            story.clock.pass_(3600)
            story.run("1", *TASKS[-2:])
            story.clock.now += timedelta(days=40)
            story.run("2", *TASKS)
            assert story.state() == (2, 2)
            if process is not None:
                places += 1
                process.wake()
            assert story.state() == (2, 2), f"stopped at {place}"
    assert places > 5


def test_wherever_a_rollback_is_stopped_it_cannot_undo_the_next_release_when_it_wakes():
    places = 0
    for place in range(1, MORE_THAN_ANY):
        story = Story()
        with story.world.drawing_lots():
            story.run("1", *TASKS)
            story.clock.now += timedelta(days=40)
            story.run("2", *TASKS)
            plan = planned(story.world.workspace, "churn", None)
            process = story.stopped_at(place, lambda seen, plan=plan: rollback(seen, plan, "ana", "so"))
            story.clock.pass_(3600)
            rollback(story.world.workspace, plan, "ana", "so")
            story.clock.now += timedelta(days=40)
            rollback(story.world.workspace, planned(story.world.workspace, "churn", 2), "bob", "no")
            assert story.state() == (2, 2)
            if process is not None:
                places += 1
                process.wake()
            assert story.state() == (2, 2), f"stopped at {place}"
    assert places > 20


def test_wherever_a_report_is_stopped_it_does_not_deny_a_release_made_meanwhile_when_it_wakes():
    places = 0
    for place in range(1, MORE_THAN_ANY):
        story = Story()
        with story.world.drawing_lots():
            story.run("1", *TASKS[:-2])
            run = Run("churn/1", story.model, story.clock.now)
            process = story.stopped_at(
                place, lambda seen, run=run: acts.task(seen, run, "report", "failed task: release")
            )
            story.run("1", *TASKS[-2:])
            if process is not None:
                places += 1
                process.wake()
        said = [body["outcome"] for body in story.world.ledger.bodies("run_finished")]
        assert said[-1] == "promoted", f"stopped at {place}"
    assert places > 20
