"""What is known of a fitted model once its files have a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen.results import Candidate, ModelArtefact

if TYPE_CHECKING:
    from evergreen.training.fit import Fitted


def candidate_of(
    key: str, run_id: str, model: ModelArtefact, fitted: Fitted, refit_of: Candidate | None
) -> Candidate:
    """Return the candidate that a fitted model is, stored as `model` by the run `run_id`."""
    return Candidate(
        key=key,
        run_id=run_id,
        task=fitted.task,
        model=model,
        features=fitted.features,
        classes=fitted.classes,
        baseline=fitted.baseline,
        rows_trained=fitted.rows_trained,
        rows_tested=len(fitted.tested.labels) if fitted.tested else 0,
        metrics=fitted.tested.metrics if fitted.tested else {},
        warnings=fitted.warnings,
        last_period=fitted.last_period,
        trained_on=fitted.trained_on,
        reference_rows=len(fitted.reference),
        refit_of=refit_of.key if refit_of else None,
    )
