"""Turns what Pydantic finds in a model file into problems with places and plain words.

Pydantic says where in terms of its own schema (`data.source.sql.url`, where `sql` is the branch of a
union); walking the annotations beside it gives the path that stands in the file.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from evergreen.document import Document, KeyPath
from evergreen.errors import Problem, bounded
from evergreen.names import did_you_mean
from evergreen.redaction import redact

_WANTED: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a section of keys",
    "model_type": "a section of keys",
    "model_attributes_type": "a section of keys",
}
_BOUNDS: Mapping[str, str] = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "finite_number": "a finite number",
}

_OF_A_KEY = "[key]"
"""Pydantic's mark, in a place, for what it found in a mapping's key rather than in its value."""


def problems_of(document: Document, error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return one problem for each thing Pydantic found, but for values the document refused already."""
    return list(_problems(document, error, model))


def shown_value(value: object) -> str:
    """Return a value as messages show it: its text where it is short, else what kind it is."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"a section of {len(value)} keys"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return redact(bounded(repr(value), 120))


def _problems(document: Document, error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    for found in error.errors(include_url=False):
        keys, wanted, section = _follow(found["loc"], model)
        if any(keys[:depth] in document.refused for depth in range(len(keys) + 1)):
            continue
        kind, value, context = found["type"], found["input"], found.get("ctx", {})
        if kind == "extra_forbidden":
            yield _unknown_key(document, keys, section)
        elif kind == "missing":
            yield document.problem(keys, "this key is missing", on_key=True)
        elif kind == "union_tag_not_found":
            yield _no_branch(document, keys, value, get_args(wanted))
        elif kind == "union_tag_invalid":
            tags = [tag.strip("' ") for tag in context["expected_tags"].split(",")]
            written_out = (*keys, "type") in document.values
            place = (*keys, "type") if written_out else keys
            yield _unknown_word(document, place, context["tag"], tags)
        elif kind == "literal_error":
            _, around, _ = _follow(found["loc"][:-1], model)
            others = [_described(branch) for branch in _branches(around) if _plain(branch) != wanted]
            yield _unknown_word(document, keys, value, get_args(wanted), others)
        elif kind == "value_error":
            on_section = isinstance(value, Mapping)
            got = None if on_section else shown_value(value)
            yield document.problem(keys, str(context["error"]), on_key=on_section, got=got)
        elif kind in _WANTED:
            fix = _way_to(kind, value)
            yield document.problem(keys, f"wants {_WANTED[kind]}", got=shown_value(value), fix=fix)
        elif kind in _BOUNDS:
            allowed = _BOUNDS[kind].format(**context)
            yield document.problem(keys, "out of range", got=shown_value(value), allowed=allowed)
        else:
            message = found["msg"].removeprefix("Input should be ")
            yield document.problem(keys, f"wants {message}", got=shown_value(value))


def _unknown_key(document: Document, keys: KeyPath, section: type[BaseModel]) -> Problem:
    fields = list(section.model_fields)
    present = document.find(*map(str, keys[:-1]), kind=dict) or {}
    free = [name for name in fields if name not in present]
    return document.problem(
        keys,
        "unknown key",
        on_key=True,
        allowed=", ".join(fields),
        fix=did_you_mean(str(keys[-1]), free),
    )


def _no_branch(document: Document, keys: KeyPath, value: object, branches: Sequence[Any]) -> Problem:
    """Return what to say of a value that is of none of a union's kinds."""
    if not any(_marked(branch) for branch in branches):
        allowed = ", ".join(tag for branch in branches for tag in _tags(branch))
        return document.problem((*keys, "type"), "this key is missing", on_key=True, allowed=allowed)
    kinds = [_described(branch) for branch in branches]
    return document.problem(keys, f"wants {' or '.join(kinds)}", got=shown_value(value))


def _unknown_word(
    document: Document,
    keys: KeyPath,
    value: object,
    allowed: Sequence[object],
    others: Sequence[str] = (),
) -> Problem:
    words = [str(word) for word in allowed]
    return document.problem(
        keys,
        "unknown value",
        got=shown_value(value),
        allowed=", ".join([*words, *others]),
        fix=did_you_mean(value, words) if isinstance(value, str) else None,
    )


def _way_to(kind: str, value: object) -> str | None:
    if kind == "string_type" and isinstance(value, int | float):
        return f'write it in quotes: "{bounded(shown_value(value), 60)}"'
    if kind == "list_type" and isinstance(value, str | int | float):
        return f"write it in brackets: [{bounded(redact(str(value)), 60)}]"
    if kind == "bool_type" and isinstance(value, str):
        meant = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
        return f"write {meant[value.lower()]}" if value.lower() in meant else None
    if kind in {"int_type", "float_type"} and isinstance(value, str):
        digits = value.replace("_", "").replace(",", "")
        return f"write {digits} without quotes" if digits.isascii() and digits.isdigit() else None
    return None


def _follow(loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[KeyPath, Any, type[BaseModel]]:
    """Return the key path in the file, the annotation there and the innermost section passed."""
    keys: list[int | str] = []
    section: type[BaseModel] = model
    here: Any = model
    for step in loc:
        if step == _OF_A_KEY:
            continue
        here = _plain(here)
        origin = get_origin(here)
        if isinstance(here, type) and issubclass(here, BaseModel):
            section = here
            field = here.model_fields.get(str(step))
            here = Any if field is None else field.annotation
            keys.append(step)
        elif origin in (Union, types.UnionType):
            here = next((branch for branch in get_args(here) if step in _tags(branch)), here)
        elif origin in (list, tuple) and isinstance(step, int):
            here = get_args(here)[0]
            keys.append(step)
        elif origin is dict:
            here = get_args(here)[1]
            keys.append(step)
    here = _plain(here)
    return tuple(keys), here, section


def _plain(annotation: Any) -> Any:
    """Strip `Annotated` and `| None`; a union of several kinds stays."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
            if len(kinds) > 1:
                return annotation
            annotation = kinds[0]
        else:
            return annotation


def _branches(annotation: Any) -> tuple[Any, ...]:
    plain = _plain(annotation)
    return get_args(plain) if get_origin(plain) in (Union, types.UnionType) else ()


def _marked(branch: Any) -> str | None:
    """Return the `Tag` that a union's branch is chosen by, where it has one."""
    return next((mark.tag for mark in get_args(branch)[1:] if isinstance(mark, Tag)), None)


def _tags(branch: Any) -> tuple[str, ...]:
    """Return what chooses this branch of a union: its `Tag`, or the `type:` in the file."""
    mark = _marked(branch)
    if mark is not None:
        return (mark,)
    branch = _plain(branch)
    field = branch.model_fields.get("type") if hasattr(branch, "model_fields") else None
    if field is None or get_origin(field.annotation) is not Literal:
        return ()
    return tuple(map(str, get_args(field.annotation)))


def _described(branch: Any) -> str:
    """Return a union's branch in words."""
    branch = _plain(branch)
    if get_origin(branch) is Literal:
        return ", ".join(map(str, get_args(branch)))
    if isinstance(branch, type) and issubclass(branch, BaseModel):
        return f"a section of {', '.join(branch.model_fields)}"
    return "text"
