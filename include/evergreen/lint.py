"""Everything that can be said of model files without running them.

Nothing heavy is imported: what scikit-learn and Great Expectations offer is read from their source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from evergreen.document import Document, KeyPath, shown
from evergreen.errors import Problem, in_file_order
from evergreen.gate_checks import metric_task
from evergreen.loading import Examined, examine, find_model_files
from evergreen.metric_spec import METRICS
from evergreen.names import did_you_mean
from evergreen.static_code import (
    ESTIMATORS_GROUP,
    METRICS_GROUP,
    PIPELINES_GROUP,
    Estimator,
    Signature,
    expectation_signature,
    expectations,
    is_installed,
    registered,
    sklearn_estimator,
    sklearn_names,
)

_HOW_TO_REGISTER = "register one of your own, without dots in its name, under the entry-point group {}"
_SET_BY_EVERGREEN = frozenset({"categorical_features"})


def lint(paths: Sequence[Path]) -> list[Problem]:
    """Return every problem of the model files among `paths` and of the files they name, in order.

    A folder stands for the model files in it.
    """
    files, problems = _model_files(paths)
    problems += _twins(files)
    for file in files:
        problems += _problems_of(file)
    return list(in_file_order(problems))


def _model_files(paths: Sequence[Path]) -> tuple[list[Path], list[Problem]]:
    files: dict[Path, Path] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            found = find_model_files(path) if path.is_dir() else [path]
        except OSError as exc:
            problems.append(Problem(shown(path), 1, 1, "", f"cannot be read: {exc.strerror}"))
            continue
        for file in found:
            files.setdefault(file.parent.resolve() / file.name, file)
    return list(files.values()), problems


def _twins(files: list[Path]) -> Iterator[Problem]:
    """Yield a problem for each of the files of different folders that name one model."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        by_name[file.stem].append(file)
    for name, same in by_name.items():
        if len({file.parent.resolve() for file in same}) < 2:
            continue
        for file in same:
            others = ", ".join(shown(other) for other in same if other != file)
            what = "two model files with one name"
            yield Problem(shown(file), 1, 1, "", what, repr(name), fix=f"rename this or {others}")


def _problems_of(file: Path) -> Iterator[Problem]:
    examined = examine(file)
    yield from examined.problems
    if examined.document is not None:
        yield from _estimator(examined.document)
        yield from _pipeline(examined.document)
        yield from _own_metric(examined.document)
    yield from _expectations(examined)


def _estimator(document: Document) -> Iterator[Problem]:
    name = document.find("train", "estimator", kind=str)
    if name is None:
        return
    keys = ("train", "estimator")
    if not name.startswith("sklearn."):
        known = registered(ESTIMATORS_GROUP)
        if "." in name or name not in known:
            hint = did_you_mean(name, known | {*sklearn_names()})
            yield document.problem(
                keys,
                "neither scikit-learn's nor registered",
                got=repr(name),
                allowed=", ".join(["sklearn.…", *sorted(known)]),
                fix=f"{hint or ''} {_HOW_TO_REGISTER.format(ESTIMATORS_GROUP)}".strip(),
            )
    elif not is_installed("sklearn"):
        yield document.problem(keys, "scikit-learn is not installed", fix="pip install scikit-learn")
    elif (estimator := sklearn_estimator(name)) is None:
        hint = did_you_mean(name, sklearn_names())
        fix = hint or "see the scikit-learn API for what there is"
        yield document.problem(keys, "scikit-learn has no such public class", got=repr(name), fix=fix)
    else:
        yield from _task(document, name, estimator)
        yield from _parameters(document, name, estimator)


def _task(document: Document, name: str, estimator: Estimator) -> Iterator[Problem]:
    keys = ("train", "estimator")
    if estimator.task is None:
        yield document.problem(keys, "neither a classifier nor a regressor", got=repr(name))
        return
    if estimator.task == "classification" and not estimator.probabilities:
        fix = "choose a classifier that has predict_proba"
        yield document.problem(keys, "this classifier gives no probabilities", got=repr(name), fix=fix)
    task = metric_task(document)
    if task is None or task == estimator.task:
        return
    metric = document.find("gate", "metric", kind=str)
    kind = document.find("gate", "metric", "type", kind=str)
    place: KeyPath = ("gate", "metric")
    got = metric
    allowed = [name for name, facts in METRICS.items() if facts.task == estimator.task]
    if kind == "own":
        place, got, allowed = (*place, "task"), task, [estimator.task]
    elif kind is not None:
        place, got = (*place, "type"), kind
    yield document.problem(
        place,
        f"the estimator is for {estimator.task} and this metric is not",
        got=repr(got),
        allowed=", ".join(allowed),
        fix="change the metric or the estimator",
    )


def _parameters(document: Document, name: str, estimator: Estimator) -> Iterator[Problem]:
    keys = ("train", "params")
    params = document.find(*keys, kind=dict) or {}
    for ours in sorted(_SET_BY_EVERGREEN & params.keys() & {*estimator.signature.parameters}):
        what = "this parameter is set from the types of the columns"
        fix = f"leave it out, or {_HOW_TO_REGISTER.format(PIPELINES_GROUP)}"
        yield document.problem((*keys, ours), what, on_key=True, fix=fix)
    yield from _arguments(document, keys, params, estimator.signature, f"parameter of {name}")


def _pipeline(document: Document) -> Iterator[Problem]:
    name = document.find("train", "pipeline", kind=str)
    known = registered(PIPELINES_GROUP)
    if name is not None and name not in known:
        yield document.problem(
            ("train", "pipeline"),
            "no such pipeline is registered",
            got=repr(name),
            allowed=", ".join(sorted(known)) or None,
            fix=did_you_mean(name, known) or _HOW_TO_REGISTER.format(PIPELINES_GROUP),
        )


def _own_metric(document: Document) -> Iterator[Problem]:
    name = document.find("gate", "metric", "name", kind=str)
    known = registered(METRICS_GROUP)
    if name is not None and document.find("gate", "metric", "type", kind=str) == "own":
        if name in known:
            return
        hint = did_you_mean(name, known)
        how = f"register it by this name under the entry-point group {METRICS_GROUP}"
        yield document.problem(
            ("gate", "metric", "name"),
            "no such metric is registered",
            got=repr(name),
            allowed=", ".join(sorted(known)) or None,
            fix=" ".join(filter(None, [hint, how])),
        )


def _expectations(examined: Examined) -> Iterator[Problem]:
    document = examined.suite_document
    lines = document.find("expectations", kind=list) if document else None
    if document is None or lines is None:
        return
    for position, line in enumerate(lines):
        kind = line.get("type") if isinstance(line, dict) else None
        if not isinstance(kind, str):
            continue
        signature = expectation_signature(kind)
        if signature is None:
            known = expectations()
            yield document.problem(
                ("expectations", position, "type"),
                "Great Expectations has no such expectation",
                got=repr(kind),
                fix=did_you_mean(kind, known) or f"one of its {len(known)} core expectations",
            )
            continue
        arguments = line.get("kwargs") or {}
        if isinstance(arguments, dict):
            keys = ("expectations", position, "kwargs")
            yield from _arguments(document, keys, arguments, signature, f"argument of {kind}")


def _arguments(
    document: Document,
    keys: tuple[str | int, ...],
    given: dict[str, object],
    signature: Signature,
    what: str,
) -> Iterator[Problem]:
    for name in given:
        if name not in signature.parameters and not signature.open_ended:
            yield document.problem(
                (*keys, name),
                f"no {what}",
                on_key=True,
                allowed=", ".join(signature.parameters),
                fix=did_you_mean(name, signature.parameters),
            )
    for name in signature.required:
        if name not in given:
            yield document.problem((*keys, name), f"missing {what}", on_key=True)
