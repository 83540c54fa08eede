"""What an installed library offers, read from its source without importing it.

Importing scikit-learn or Great Expectations takes seconds and runs their code; a lint must do neither.
Modules are found from the top-level package's folder and read with `ast`; names are followed through
`from … import …`.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

ESTIMATORS_GROUP = "evergreen.estimators"
PIPELINES_GROUP = "evergreen.pipelines"
METRICS_GROUP = "evergreen.metrics"

_NOT_PUBLIC = frozenset({"tests", "conftest", "experimental", "externals"})
# What no expectation takes from a model file: the library's own, and a row condition is code.
_NOT_ARGUMENTS = frozenset({"library_metadata", "row_condition", "condition_parser"})
# These ask a database, and a snapshot is not one.
_NEED_A_DATABASE = frozenset(
    {"expect_query_results_to_match_comparison", "expect_table_row_count_to_equal_other_table"}
)
_CORE = "great_expectations.expectations.core"
_FARTHEST = 20


@dataclass(frozen=True, slots=True)
class Signature:
    """What a class can be made with. `open_ended` where it takes keywords that it does not name."""

    parameters: tuple[str, ...]
    required: tuple[str, ...]
    open_ended: bool = False


@dataclass(frozen=True, slots=True)
class Estimator:
    """A scikit-learn class; `task` is None for one that is neither classifier nor regressor.

    `probabilities`: it has `predict_proba`, if perhaps only with some parameters.
    """

    signature: Signature
    task: Literal["classification", "regression"] | None
    probabilities: bool


@dataclass(frozen=True, slots=True)
class _Module:
    name: str
    is_package: bool
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class _Class:
    module: _Module
    node: ast.ClassDef


def is_installed(package: str) -> bool:
    """Tell whether a top-level package is there."""
    return importlib.util.find_spec(package) is not None


def registered(group: str) -> frozenset[str]:
    """Return the names that installed packages registered under an entry-point group."""
    return frozenset(entry.name for entry in importlib.metadata.entry_points(group=group))


@cache
def sklearn_estimator(name: str) -> Estimator | None:
    """Return what the class of a public dotted name takes, or None where there is no such class."""
    module, _, class_name = name.rpartition(".")
    parts = name.split(".")
    if parts[0] != "sklearn" or any(p.startswith("_") or p in _NOT_PUBLIC for p in parts):
        return None
    found = _resolve(module, class_name)
    if found is None:
        return None
    line = list(_lineage(found))
    mixins = {base for each in line for base in _base_names(each)} | {each.node.name for each in line}
    task: Literal["classification", "regression"] | None = None
    if "ClassifierMixin" in mixins:
        task = "classification"
    elif "RegressorMixin" in mixins:
        task = "regression"
    methods = {getattr(node, "name", None) for each in line for node in each.node.body}
    return Estimator(_constructor(line), task, "predict_proba" in methods)


@cache
def sklearn_names() -> tuple[str, ...]:
    """Return the dotted names of all public classes of scikit-learn."""
    names = []
    root = _folder("sklearn")
    for path in sorted(root.iterdir()) if root else ():
        if (
            path.name[0] not in "_."
            and path.stem not in _NOT_PUBLIC
            and (path.is_dir() or path.suffix == ".py")
        ):
            module = _module(f"sklearn.{path.stem}")
            exported = _exported(module) if module else ()
            names += [f"sklearn.{path.stem}.{name}" for name in exported if name[0].isupper()]
    return tuple(names)


@cache
def expectations() -> dict[str, str]:
    """Return the class name of every core expectation on rows by its type.

    A class that the library leaves unfinished is among them; it has no signature.
    """
    core = _module(_CORE)
    found = {}
    for node in _statements(core.tree.body) if core else ():
        if isinstance(node, ast.ImportFrom) and node.module:
            kind = node.module.rpartition(".")[2]
            if kind.startswith("expect_") and kind not in _NEED_A_DATABASE:
                found[kind] = node.names[0].name
    return found


@cache
def expectation_signature(kind: str) -> Signature | None:
    """Return the arguments of a core expectation, or None where there is no such expectation.

    What every expectation has (`meta`, `result_format`, …) is Evergreen's to set and is left out;
    so are row conditions, which are code.
    """
    class_name = expectations().get(kind)
    found = _resolve(_CORE, class_name) if class_name else None
    line = list(_lineage(found)) if found else []
    if not line or _is_abstract(line):
        return None
    fields: dict[str, bool] = {}
    common = set(_NOT_ARGUMENTS)
    for each in reversed(line):
        own = dict(_fields(each.node))
        if each.node.name in {"Expectation", "BatchExpectation"}:
            common |= own.keys()
        fields |= own
    kept = {name: required for name, required in fields.items() if name not in common}
    return Signature(tuple(kept), tuple(name for name, required in kept.items() if required))


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    return Path(locations[0]) if locations else None


@cache
def _module(name: str) -> _Module | None:
    top, *rest = name.split(".")
    root = _folder(top) if all(part.isidentifier() for part in (top, *rest)) else None
    if root is None:
        return None
    path = root.joinpath(*rest)
    is_package = (path / "__init__.py").is_file()
    file = path / "__init__.py" if is_package else path.with_suffix(".py")
    try:
        return _Module(name, is_package, ast.parse(file.read_bytes()))
    except (OSError, SyntaxError, ValueError):
        return None


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield a module's own statements, those below `if` and `try` too."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from _statements([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _statements([*node.body, *node.orelse, *node.finalbody])


def _resolve(module_name: str, name: str, steps: int = 0) -> _Class | None:
    module = _module(module_name)
    if module is None or steps > _FARTHEST:
        return None
    for node in _statements(module.tree.body):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _Class(module, node)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _resolve(_absolute(module, node), alias.name, steps + 1)
    return None


def _absolute(module: _Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    up = node.level - 1 if module.is_package else node.level
    return ".".join([*parts[: len(parts) - up], *filter(None, [node.module])])


def _lineage(found: _Class, steps: int = 0) -> Iterator[_Class]:
    """Yield the class and those it inherits from, nearest first, as far as they can be read."""
    yield found
    for base in _base_names(found):
        parent = _resolve(found.module.name, base) if steps < _FARTHEST else None
        if parent is not None:
            yield from _lineage(parent, steps + 1)


def _base_names(found: _Class) -> list[str]:
    return [base.id for base in found.node.bases if isinstance(base, ast.Name)]


def _constructor(line: list[_Class]) -> Signature:
    for each in line:
        for node in each.node.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                return _signature(node.args)
    return Signature((), ())


def _signature(arguments: ast.arguments) -> Signature:
    by_position = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)][1:]
    by_name = [argument.arg for argument in arguments.kwonlyargs]
    without_default = by_position[: len(by_position) - len(arguments.defaults)]
    without_default += [
        name for name, default in zip(by_name, arguments.kw_defaults, strict=True) if default is None
    ]
    open_ended = arguments.vararg is not None or arguments.kwarg is not None
    return Signature((*by_position, *by_name), tuple(without_default), open_ended)


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, bool]]:
    """Yield the Pydantic fields that a class declares, and whether each must be given."""
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        annotation = ast.unparse(statement.annotation)
        if statement.target.id.startswith("_") or "ClassVar" in annotation:
            continue
        may_be_none = "None" in annotation or "Optional" in annotation
        yield statement.target.id, not may_be_none and not _has_default(statement.value)


def _is_abstract(line: list[_Class]) -> bool:
    """Tell whether a map expectation lacks its metric: the library then does not register it."""
    for each in line:
        for node in each.node.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            value = getattr(node, "value", None)
            if any(isinstance(target, ast.Name) and target.id == "map_metric" for target in targets):
                return isinstance(value, ast.Constant) and value.value is None
    return False


def _has_default(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] == "Field":
        named = {keyword.arg: keyword.value for keyword in value.keywords}
        default = value.args[0] if value.args else named.get("default", named.get("default_factory"))
        return default is not None and ast.unparse(default) != "..."
    return value is not None


def _exported(module: _Module) -> tuple[str, ...]:
    """Return what `__all__` lists or, without one, the classes the module defines."""
    for node in _statements(module.tree.body):
        if isinstance(node, ast.Assign) and "__all__" in map(ast.unparse, node.targets):
            try:
                return tuple(map(str, ast.literal_eval(node.value)))
            except ValueError:
                break
    return tuple(node.name for node in module.tree.body if isinstance(node, ast.ClassDef))
