"""From a model file to a `ModelSpec`, or to every problem of the file at once.

`load_spec` reads the one file and is cheap enough for DAG parsing; `load_model` also reads the queries
and the suite it names; what decides a retrain's result is pinned by a digest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from evergreen.canonical import digest_of
from evergreen.checks import MODEL_SUFFIXES, check
from evergreen.document import MOST_PROBLEMS, Document, place_of, read_document, read_text, shown
from evergreen.errors import InvalidModelFile, Problem, in_file_order
from evergreen.paths import contained
from evergreen.query import flaws
from evergreen.redaction import redact
from evergreen.results import PinnedModel
from evergreen.source_checks import SOURCES
from evergreen.spec import ModelSpec, Suite
from evergreen.spec_errors import problems_of, shown_value

_Model = TypeVar("_Model", bound=BaseModel)

NOT_DECIDING: dict[str, Any] = {
    "score": True,
    "monitor": True,
    "alerts": True,
    "stale_after": True,
    "pods": True,
    "pool": True,
    "release": {"approval": True},
}
"""What of a spec says nothing about how a challenger is made and judged."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A model file, the files it names, and everything wrong with any of them.

    `spec` is None where the model file itself does not hold; documents are None where unreadable.
    """

    path: Path
    spec: ModelSpec | None
    document: Document | None
    query: str | None
    suite: Suite | None
    suite_document: Document | None
    problems: tuple[Problem, ...]
    score_query: str | None = None
    monitor_query: str | None = None


def find_model_files(folder: Path) -> list[Path]:
    """Return the model files of a folder, sorted by name; folders below it are not searched.

    Whatever bears the name of a model file is returned, so that one which cannot be read is seen.
    Hidden files, such as editors leave behind, are not.

    Raises:
        OSError: the folder cannot be read.
    """
    entries = (path for path in folder.iterdir() if path.suffix in MODEL_SUFFIXES)
    return sorted(path for path in entries if not path.name.startswith("."))


def load_spec(path: Path) -> ModelSpec:
    """Read one model file.

    Raises:
        InvalidModelFile: with every problem of this file.
    """
    spec, _, problems = _examine_spec(path, path)
    if problems or spec is None:
        raise InvalidModelFile(limited(problems))
    return spec


def load_model(path: Path, in_place_of: Path | None = None) -> PinnedModel:
    """Read one model file with the files it names.

    Args:
        path: The model file.
        in_place_of: The model file that this one is tried out for, wherever it lies itself: it bears
            that one's name, and the files it names are those beside that one.

    Raises:
        InvalidModelFile: with every problem of these files.
    """
    examined = examine(path, in_place_of)
    if examined.problems or examined.spec is None:
        raise InvalidModelFile(limited(examined.problems))
    spec, query, suite = examined.spec, examined.query, examined.suite
    content = {
        "spec": spec.model_dump(mode="json", exclude=NOT_DECIDING),
        "query": query,
        "suite": suite.model_dump(mode="json") if suite else None,
    }
    folder = (in_place_of or path).parent
    return PinnedModel(
        spec,
        query,
        suite,
        str(folder.absolute()),
        digest_of(content),
        examined.score_query,
        examined.monitor_query,
    )


def examine(path: Path, in_place_of: Path | None = None) -> Examined:
    """Read one model file with the files it names, and say everything that is wrong with them."""
    place = in_place_of or path
    spec, document, problems = _examine_spec(path, place)
    suite: Suite | None = None
    suite_document: Document | None = None
    queries: list[str | None] = [None] * len(SOURCES)
    if document is not None:
        problems += _url_problems(document)
        for number, keys in enumerate(SOURCES):
            queries[number], query_problems = _read_query(document, place, keys)
            problems += query_problems
        suite, suite_document, suite_problems = _read_suite(document, place)
        problems += suite_problems
    query, score_query, monitor_query = queries
    return Examined(
        path,
        spec,
        document,
        query,
        suite,
        suite_document,
        in_file_order(problems),
        score_query,
        monitor_query,
    )


def limited(problems: Iterable[Problem]) -> list[Problem]:
    """Return the first problems in file order, the last of them saying how many are not shown."""
    ordered = list(in_file_order(problems))
    if len(ordered) <= MOST_PROBLEMS:
        return ordered
    last = ordered[MOST_PROBLEMS - 1]
    more = f"{len(ordered) - MOST_PROBLEMS + 1} further problems are not shown"
    return [*ordered[: MOST_PROBLEMS - 1], Problem(last.path, last.line, last.column, "", more)]


def _examine_spec(path: Path, place: Path) -> tuple[ModelSpec | None, Document | None, list[Problem]]:
    try:
        contained(path.parent, path.name)
    except ValueError as exc:
        return None, None, [Problem(shown(path), 1, 1, "", str(exc))]
    try:
        document = read_document(path)
    except InvalidModelFile as exc:
        return None, None, list(exc.problems)
    spec, problems = _validated(document, ModelSpec)
    return spec, document, problems + check(document, place)


def _validated(document: Document, model: type[_Model]) -> tuple[_Model | None, list[Problem]]:
    """Return the document as a model, or what keeps it from being one."""
    problems = list(document.problems)
    if not isinstance(document.tree, dict):
        if not problems:
            fix = f"write keys such as '{next(iter(model.model_fields))}: …'"
            got = shown_value(document.tree)
            problems.append(document.problem((), "the file must be a section of keys", got=got, fix=fix))
        return None, problems
    try:
        return model.model_validate(document.tree), problems
    except ValidationError as exc:
        return None, problems + problems_of(document, exc, model)


def _url_problems(document: Document) -> list[Problem]:
    return [
        document.problem(
            (*keys, "url"),
            "not a database URL",
            got=redact(repr(url)),
            allowed="dialect://user@host:port/database",
            fix="sqlite:///data/warehouse.db, say",
        )
        for keys in SOURCES
        if (url := document.find(*keys, "url", kind=str)) is not None and not _is_url(url)
    ]


def _is_url(url: str) -> bool:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(url)
    except (ArgumentError, ValueError):
        return False
    return True


def _named_file(
    document: Document, path: Path, *keys: str
) -> tuple[tuple[Path, str] | None, list[Problem]]:
    """Return the file a key names, with its name for messages, or why it cannot be used."""
    relative = document.find(*keys, kind=str)
    if not relative:
        return None, []
    try:
        file = contained(path.parent, relative)
        found = file.is_file()
    except (ValueError, OSError) as exc:
        return None, [document.problem(keys, str(exc))]
    if not found:
        what = "no such file" if not file.exists() else "not a file"
        fix = f"create {shown(path.parent / relative)}, or name another file"
        return None, [document.problem(keys, what, got=repr(relative), fix=fix)]
    return (file, shown(path.parent / relative)), []


def _read_query(
    document: Document, path: Path, source: tuple[str, ...]
) -> tuple[str | None, list[Problem]]:
    inline = document.find(*source, "query", kind=str)
    named, problems = _named_file(document, path, *source, "query_file")
    if named is None:
        return inline, problems
    file, name = named
    try:
        query = read_text(file, name)
    except InvalidModelFile as exc:
        return None, list(exc.problems)
    places = [(place_of(query[: flaw.offset]), flaw) for flaw in flaws(query)]
    return query, [
        Problem(name, place.line, place.column, "", flaw.what, flaw.got, fix=flaw.fix)
        for place, flaw in places
    ]


def _read_suite(document: Document, path: Path) -> tuple[Suite | None, Document | None, list[Problem]]:
    named, problems = _named_file(document, path, "expectations")
    if named is None:
        return None, None, problems
    try:
        suite_document = read_document(*named)
    except InvalidModelFile as exc:
        return None, None, list(exc.problems)
    suite, problems = _validated(suite_document, Suite)
    return suite, suite_document, problems
