"""Whichever task is killed wherever, a retry leaves the very ledger and world of an undisturbed run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from evergreen.steps import requests
from evergreen.watch_results import RetrainRequest
from tests.fakes.ledger import FakeLedger
from tests.simulation import acts
from tests.simulation.acts import TASKS, Run
from tests.simulation.processes import Process
from tests.simulation.world import Clock, World, model_file

BOTH_WIN = 1
"""A seed at which the first two challengers win."""
MORE_THAN_ANY = 200


class Story:
    """A model with a champion, and a run that was woken for a request and replaces it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledger = FakeLedger(now=self.clock)
        self.world = World(self.ledger, self.clock, BOTH_WIN)
        self.model = model_file("churn")
        with self.world.drawing_lots():
            first = Run("churn/1", self.model, self.clock.now)
            for name in TASKS:
                acts.task(self.world.workspace, first, name)
        self.clock.now += timedelta(days=40)
        key = "churn/monitor/1"
        lease = self.ledger.acquire("churn", key, "monitor")
        asked = RetrainRequest(key, self.clock.now, "alarm", "watch")
        requests.ask(self.world.workspace, asked, lease)
        self.ledger.free(lease)
        self.run = Run("churn/2", self.model, self.clock.now, serves="newest", woken_by=(key,))

    def play(self, meets: Callable[[str], tuple[int | None, int]]) -> bool:
        """Do every task; `meets` says where its first try dies and how often it is done in all."""
        died = False
        with self.world.drawing_lots():
            for name in TASKS:
                dies_at, times = meets(name)
                process = Process(dies_at)
                seen = process.workspace(self.world.workspace, lambda lease: None)
                tried = process.run(lambda seen=seen, name=name: acts.task(seen, self.run, name))
                died = died or tried.end == "killed"
                for _ in range(times - (tried.end == "done")):
                    acts.task(self.world.workspace, self.run, name)
        return died

    @property
    def state(self) -> dict[str, Any]:
        """The chain's end, which covers every byte and every instant, and the world."""
        return {
            "head": self.ledger.head,
            "aliases": self.world.registry.aliases,
            "tags": self.world.registry.tags,
            "versions": self.world.registry.versions,
            "pointers": self.world.deployer.pointers,
            "fences": self.world.deployer.fences,
        }


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    story = Story()
    story.play(lambda name: (None, 1))
    assert story.state["aliases"]["churn"]["champion"] == 2
    assert [row.kind for row in story.ledger.rows].count("request_closed") == 1
    return story.state


@pytest.mark.parametrize("task", TASKS)
def test_a_task_that_is_killed_and_tried_again_ends_as_if_it_never_had_been(undisturbed, task):
    for place in range(1, MORE_THAN_ANY):
        story = Story()
        died = story.play(lambda name, place=place: (place if name == task else None, 1))
        assert story.state == undisturbed, f"{task}, killed at place {place}"
        if not died:
            break
    assert 1 < place < MORE_THAN_ANY - 1


def test_tasks_that_are_done_twice_or_thrice_change_nothing_more(undisturbed):
    for times in (2, 3):
        story = Story()
        story.play(lambda name, times=times: (None, times))
        assert story.state == undisturbed
