"""What must hold between the keys of `pods`, and between them and the rest of a model file.

Like `checks.py`, whose list these checks join, they look at the raw document, so that each speaks even
where another key is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evergreen.document import Document, KeyPath
from evergreen.errors import Problem
from evergreen.quantities import Quantity
from evergreen.step_names import MONITOR_STEPS, SCORE_STEPS, STEP_NAMES

_READERS: Mapping[str, Callable[[object], Quantity]] = {
    "cpu": Quantity.cpu,
    "memory": Quantity.memory,
    "ephemeral_storage": Quantity.memory,
}
_STEPS_OF: Mapping[str, tuple[str, ...]] = {"score": SCORE_STEPS, "monitor": MONITOR_STEPS}
"""By section of the model file: the steps that there are only with it."""


def limits_below_requests(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each limit below what the same step requests."""
    pods = document.find("pods", kind=dict)
    if pods is None:
        return
    yield from _low_limits(document, pods, {}, ("pods",))
    for step in _steps(document):
        own = document.find("pods", "steps", step, kind=dict) or {}
        yield from _low_limits(document, own, pods, ("pods", "steps", step))


def steps_there_are(document: Document, path: Path) -> Iterator[Problem]:  # noqa: ARG001
    """Yield a problem for each step named that this model does not have."""
    for section, steps in _STEPS_OF.items():
        for step in steps if document.find(section, kind=dict) is None else ():
            if step in _steps(document):
                what = f"this model has no step {step}: it has no section {section}"
                fix = f"add a section {section}, or leave it out"
                yield document.problem(("pods", "steps", step), what, on_key=True, fix=fix)
    if "refit" in _steps(document) and document.find("train", "refit", kind=bool) is not True:
        what = "this model has no step refit"
        fix = "write train.refit: true, or leave it out"
        yield document.problem(("pods", "steps", "refit"), what, on_key=True, fix=fix)
    if "approve" in _steps(document) and not _asks_people(document):
        what = "this model has no step approve: nobody is asked before a release"
        fix = "write tier: high or a section release.approval, or leave it out"
        yield document.problem(("pods", "steps", "approve"), what, on_key=True, fix=fix)


def _asks_people(document: Document) -> bool:
    asked = document.find("release", "approval", kind=dict) is not None
    return asked or document.find("tier", kind=str) == "high"


def _steps(document: Document) -> list[str]:
    named = document.find("pods", "steps", kind=dict) or {}
    return [step for step in STEP_NAMES if step in named]


def _low_limits(
    document: Document, own: Mapping[str, Any], common: Mapping[str, Any], keys: KeyPath
) -> Iterator[Problem]:
    """Yield what is wrong between the amounts of a section that lie over the common ones."""
    for name, read in _READERS.items():
        request, limit = (_amount(own, common, part, name, read) for part in ("requests", "limits"))
        said_here = any(name in _section(own, part) for part in ("requests", "limits"))
        if request is None or limit is None or not said_here or limit.value >= request.value:
            continue
        part = "limits" if name in _section(own, "limits") else "requests"
        yield document.problem(
            (*keys, part, name),
            "the limit is below the request",
            got=f"limit {limit}, request {request}",
            fix="raise the limit, or lower the request",
        )


def _amount(
    own: Mapping[str, Any],
    common: Mapping[str, Any],
    part: str,
    name: str,
    read: Callable[[object], Quantity],
) -> Quantity | None:
    value = {**_section(common, part), **_section(own, part)}.get(name)
    try:
        return None if value is None else read(value)
    except ValueError:
        return None  # the spec says so


def _section(of: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    section = of.get(part)
    return section if isinstance(section, Mapping) else {}


POD_CHECKS = (limits_below_requests, steps_there_are)
