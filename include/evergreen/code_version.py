"""Names the code that decides what training a model gives, by what is installed; imports none of it."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, entry_points, version

from evergreen import __version__
from evergreen.results import PinnedModel
from evergreen.static_code import ESTIMATORS_GROUP, PIPELINES_GROUP

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def code_version(model: PinnedModel) -> str:
    """Return `NAME==VERSION` of Evergreen, scikit-learn and whatever a registered name rests on.

    That is the distribution that registered the model file's estimator or pipeline, and what it requires
    directly, as far as it is installed: a factory of one's own often only calls a library. Sorted and
    without repeats, so that the same installation always gives the same text. What the distribution
    changes without a new version is not seen.
    """
    train = model.spec.train
    group, name = (
        (PIPELINES_GROUP, train.pipeline) if train.pipeline else (ESTIMATORS_GROUP, train.estimator)
    )
    found = {_pin("scikit-learn", version("scikit-learn"))}
    for point in entry_points(group=group):
        if point.name == name and point.dist is not None:
            found.add(_pin(point.dist.name, point.dist.version))
            found |= _required(point.dist)
    return " ".join([f"evergreen=={__version__}", *sorted(found)])


def _required(distribution: Distribution) -> set[str]:
    found = set()
    for requirement in distribution.requires or ():
        named = _NAME.match(requirement)
        if named is not None:
            try:
                found.add(_pin(named[0], version(named[0])))
            except PackageNotFoundError:
                continue  # an extra, or one for another platform
    return found


def _pin(name: str, version: str) -> str:
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"
