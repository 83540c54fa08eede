"""Measures what the champion loses: realised where labels are known, estimated where they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen.monitor_spec import Level
from evergreen.results import Release
from evergreen.steps.watch.estimated import Estimated
from evergreen.steps.watch.labels import answered_days
from evergreen.steps.watch.realised import Realised
from evergreen.watch_results import Check, LossSeries
from evergreen.workspace import Workspace

if TYPE_CHECKING:
    from evergreen.profiles.baseline import Baseline

Problems = tuple[tuple[Level, str], ...]


def losses(
    workspace: Workspace, check: Check, champion: Release, baseline: Baseline
) -> tuple[LossSeries | None, LossSeries | None, Problems]:
    """Return the realised loss and the estimated one, and why either is not there.

    Raises:
        DataUnusable: the log or the labels lack what they must have.
        ArtefactDamaged: a partition of the log cannot be read.
        SourceUnavailable: the log or the labels' source did not answer.
    """
    realised, estimated, problems = _gatherers(check, champion, baseline)
    if realised is None and estimated is None:
        return None, None, problems
    for day in answered_days(workspace, check, champion):
        for each in (realised, estimated):
            if each is not None:
                each.add(day)
    return (
        None if realised is None else realised.series(),
        None if estimated is None else estimated.series(),
        problems,
    )


def _gatherers(
    check: Check, champion: Release, baseline: Baseline
) -> tuple[Realised | None, Estimated | None, Problems]:
    rule = check.model.spec.gate
    if baseline.metric != rule.metric_name:
        why = (
            f"the champion was proven by {baseline.metric} and the model file now asks for "
            f"{rule.metric_name}: the next release is proven by it"
        )
        return None, None, (("loss", why), ("estimated_loss", why))
    realised, estimated = None, None
    problems: list[tuple[Level, str]] = []
    if baseline.level is None:
        problems.append(("loss", f"{baseline.metric} was undefined on the test window"))
    else:
        realised = Realised(check, champion, baseline, baseline.level)
    if baseline.calibrator is None or baseline.estimated_level is None:
        problems.append(("estimated_loss", f"there is no estimate of {baseline.metric} without labels"))
    else:
        estimated = Estimated(check, baseline, baseline.estimated_level, baseline.calibrator)
    return realised, estimated, tuple(problems)
