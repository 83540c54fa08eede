"""Act on observed state, not on events: find what a crash left, finish or close it, and say so.

`look` reads the ledger and the world and returns findings; `reconcile` deals with them, model by model.
Each area is a file with both halves: releases, questions, runs, requests. Nothing is done that a run
would not do at its next step, all of it under the model's lease, which is never taken from a live run.
"""

from evergreen.steps.reconcile.circumstances import Circumstances
from evergreen.steps.reconcile.look import look
from evergreen.steps.reconcile.one_pass import reconcile

__all__ = ["Circumstances", "look", "reconcile"]
