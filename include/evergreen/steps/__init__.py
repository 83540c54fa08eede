"""The retrain, step by step: each module is one step, one function, one Airflow task.

A step reads what it needs from the ledger by its run key, does one thing, and writes its result
there. It first looks for what an earlier try made, so killing it anywhere and running it again ends
in the same state as never having been killed. Nothing here knows Airflow or any vendor.
"""

from evergreen.step_names import RETRAIN_STEPS
from evergreen.steps import approve
from evergreen.steps.evaluate import evaluate
from evergreen.steps.ingest import ingest
from evergreen.steps.refit import refit
from evergreen.steps.register import register
from evergreen.steps.release import release
from evergreen.steps.report import failed_for_good, report
from evergreen.steps.resolve_window import resolve_window
from evergreen.steps.score import score
from evergreen.steps.train import train
from evergreen.steps.validate import validate

STEPS = RETRAIN_STEPS

__all__ = [
    "STEPS",
    "approve",
    "evaluate",
    "failed_for_good",
    "ingest",
    "refit",
    "register",
    "release",
    "report",
    "resolve_window",
    "score",
    "train",
    "validate",
]
