"""From a name in a model file to an estimator: scikit-learn's own, or one the deployment registered.

No other dotted name is ever imported: a model file cannot name `os.system`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from evergreen.errors import TrainingFailed, bounded
from evergreen.metric_spec import Task
from evergreen.names import did_you_mean
from evergreen.spec import Train
from evergreen.static_code import ESTIMATORS_GROUP, PIPELINES_GROUP

# Set from the columns' types and their new order; a value from the file would name other columns.
_OURS = frozenset({"categorical_features"})
_PRIVATE_MODULES = frozenset({"tests", "conftest", "experimental", "externals"})


@dataclass(frozen=True, slots=True)
class Made:
    """An estimator, not yet fitted.

    `whole`: it takes the frame as it is, no preprocessing goes before it. `requirement` pins the
    distribution that holds it, where that is not scikit-learn.
    """

    estimator: Any
    whole: bool
    requirement: str | None


def make_estimator(train: Train, task: Task, classes: Sequence[str]) -> Made:
    """Return the estimator that a model file names, seeded.

    Args:
        train: The section of the model file.
        task: What the estimator must be able to do.
        classes: Class names in the order of their codes; keys of `class_weight` name them.

    Raises:
        TrainingFailed: an unknown name or parameter, a refused value, or an estimator for another
            task.
    """
    params = {k: _by_code(v, classes) if k == "class_weight" else v for k, v in train.params.items()}
    if train.pipeline is not None:
        factory, requirement = _registered(PIPELINES_GROUP, train.pipeline, "train.pipeline")
        pipeline = _call(factory, "train.pipeline", dict(params), train.seed)
        _check_task(pipeline, task, "train.pipeline", train.pipeline)
        return Made(pipeline, True, requirement)
    name = train.estimator or ""
    if "." in name:
        factory, requirement = _from_sklearn(name, task), None
    else:
        factory, requirement = _registered(ESTIMATORS_GROUP, name, "train.estimator")
    _check_params(factory, params)
    estimator = _call(factory, "train.params", **params)
    _check_task(estimator, task, "train.estimator", name)
    _seed(estimator, train.seed)
    return Made(estimator, False, requirement)


def sklearn_estimators(task: Task) -> dict[str, type]:
    """Return scikit-learn's estimators for a task by public dotted name."""
    from sklearn.utils import all_estimators

    kind = "classifier" if task == "classification" else "regressor"
    return {_public_name(found): found for _, found in all_estimators(type_filter=kind)}


def _public_name(estimator: type) -> str:
    parts = estimator.__module__.split(".")
    public = parts[: next((i for i, part in enumerate(parts) if part.startswith("_")), len(parts))]
    return ".".join([*public, estimator.__name__])


def _from_sklearn(name: str, task: Task) -> type:
    from sklearn.base import BaseEstimator

    *module, attribute = name.split(".")
    public = all(p.isidentifier() and not p.startswith("_") for p in (*module, attribute))
    found = None
    if public and module[0] == "sklearn" and len(module) > 1 and not _PRIVATE_MODULES & {*module}:
        try:
            found = getattr(importlib.import_module(".".join(module)), attribute, None)
        except ImportError:
            found = None
    if (
        inspect.isclass(found)
        and issubclass(found, BaseEstimator)
        and found.__module__.startswith("sklearn.")
    ):
        return found
    known = [*sklearn_estimators(task), *_names(ESTIMATORS_GROUP)]
    suggestion = did_you_mean(name, known)
    raise TrainingFailed(
        "no such estimator",
        where="train.estimator",
        got=name,
        allowed=f"a scikit-learn estimator for {task}, or one registered under the entry-point group "
        f"{ESTIMATORS_GROUP}: {', '.join(_nearest(attribute, known))}, …",
        fix=suggestion,
    )


def _nearest(word: str, known: Sequence[str]) -> list[str]:
    import difflib

    by_class = {name.rpartition(".")[2]: name for name in sorted(known)}
    near = difflib.get_close_matches(word, by_class, n=5, cutoff=0.3)
    return [by_class[name] for name in near] or sorted(known)[:5]


def _registered(group: str, name: str, where: str) -> tuple[Any, str | None]:
    found = [point for point in entry_points(group=group) if point.name == name]
    if len({point.value for point in found}) != 1:
        known = _names(group)
        raise TrainingFailed(
            "the name is registered more than once" if found else "no such name is registered",
            where=where,
            got=", ".join(point.value for point in found) if found else name,
            allowed=", ".join(known) or f"nothing is registered under {group} here",
            fix=did_you_mean(name, known),
        )
    try:
        return found[0].load(), _requirement(found[0])
    except Exception as exc:
        raise TrainingFailed(
            f"the registered {found[0].value} cannot be imported: {type(exc).__name__}",
            where=where,
            got=bounded(str(exc)),
        ) from exc


def _names(group: str) -> list[str]:
    return sorted({point.name for point in entry_points(group=group)})


def _requirement(point: EntryPoint) -> str | None:
    return f"{point.dist.name}=={point.dist.version}" if point.dist is not None else None


def _check_params(factory: Any, params: Mapping[str, Any]) -> None:
    signature = inspect.signature(factory)
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return
    known = sorted(set(signature.parameters) - _OURS)
    for name, value in params.items():
        if name in _OURS and name in signature.parameters:
            raise TrainingFailed(
                "this parameter is set from the types of the columns",
                where=f"train.params.{name}",
                got=value,
                fix="leave it out, or register a pipeline of your own under evergreen.pipelines",
            )
        if name not in known:
            raise TrainingFailed(
                f"{factory.__name__} has no such parameter",
                where=f"train.params.{name}",
                got=value,
                allowed=", ".join(known),
                fix=did_you_mean(name, known),
            )


def _call(factory: Any, where: str, *args: Any, **params: Any) -> Any:
    try:
        return factory(*args, **params)
    except Exception as exc:
        raise TrainingFailed(
            f"{getattr(factory, '__name__', factory)} refused its parameters: {bounded(str(exc))}",
            where=where,
            got=params or args,
            fix="parameters that are objects cannot be written in a model file: register a pipeline "
            "under the entry-point group evergreen.pipelines",
        ) from exc


def _check_task(estimator: Any, task: Task, where: str, name: str) -> None:
    from sklearn.base import is_classifier, is_regressor

    try:
        fits = is_classifier(estimator) if task == "classification" else is_regressor(estimator)
    except AttributeError:  # not scikit-learn's own and without tags: judged by what it can do
        fits = hasattr(estimator, "fit") and hasattr(estimator, "predict")
    what = f"is no estimator for {task}"
    if fits and task == "classification" and not hasattr(estimator, "predict_proba"):
        fits, what = False, "gives no probabilities with these parameters"
    if not fits:
        known = (n for n, e in sklearn_estimators(task).items() if _usable(e, task))
        raise TrainingFailed(
            f"{type(estimator).__name__} {what}; gate.metric asks for {task}",
            where=where,
            got=name,
            allowed=", ".join(n.rpartition(".")[2] for n in known),
            fix="choose another estimator, or a gate.metric for the other task",
        )


def _usable(estimator: type, task: Task) -> bool:
    return task == "regression" or hasattr(estimator, "predict_proba")


def _seed(estimator: Any, seed: int) -> None:
    open_seeds = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    if open_seeds:
        estimator.set_params(**open_seeds)


def _by_code(weights: Any, classes: Sequence[str]) -> Any:
    if not isinstance(weights, dict):
        return weights
    by_text = {str(name).lower(): weight for name, weight in weights.items()}
    unknown = by_text.keys() - {name.lower() for name in classes}
    if unknown:
        raise TrainingFailed(
            "no such class",
            where="train.params.class_weight",
            got=", ".join(sorted(unknown)),
            allowed=", ".join(classes),
        )
    return {code: by_text[name.lower()] for code, name in enumerate(classes) if name.lower() in by_text}
