"""The only place where YAML is read: from bytes of any origin to a plain tree with places.

The stream of YAML *events* is checked before any tree is built, because the C loader crashes the
process on 30 kB of `[` and an alias bomb fills the memory; reading stops at the first event that goes
too far. Scalars get the core types of YAML 1.2 and nothing else: `no`, `on`, `1_000` and `12:30:00`
are text.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml

from evergreen.errors import InvalidModelFile, Problem, bounded, in_file_order
from evergreen.text import plain

MOST_BYTES = 256 * 1024
DEEPEST = 50
MOST_VALUES = 20_000
MOST_PROBLEMS = 50
LARGEST_INT = 2**53 - 1
LONGEST_INT = 40

KeyPath = tuple[str | int, ...]
_T = TypeVar("_T")

_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file; both count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML file says and where it says it.

    `keys` and `values` map the path of every key (`("data", "label", 0)`) to its place; the root is
    the empty path. `problems` are what makes the file invalid although it could be read; `refused`
    holds the paths they stand at, where `tree` may say None for want of a value.
    """

    path: str
    tree: Any
    keys: Mapping[KeyPath, Place]
    values: Mapping[KeyPath, Place]
    problems: tuple[Problem, ...]
    refused: frozenset[KeyPath]

    def find(self, *keys: str, kind: type[_T]) -> _T | None:
        """Return the value at a key path where it is there, of that type, and not refused."""
        value = self.tree
        for depth, key in enumerate(keys, start=1):
            if keys[:depth] in self.refused or not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value if isinstance(value, kind) else None

    def problem(
        self,
        keys: KeyPath,
        what: str,
        *,
        on_key: bool = False,
        got: str | None = None,
        allowed: str | None = None,
        fix: str | None = None,
    ) -> Problem:
        """Return a problem at a value, or at its key; one that is missing stands at its section."""
        known = keys
        while known and known not in self.keys:
            known = known[:-1]
        place = (self.keys if on_key or known != keys else self.values)[known]
        return Problem(self.path, place.line, place.column, dotted(keys), what, got, allowed, fix)


def shown(path: Path) -> str:
    """Return a path as one printable line, for messages."""
    return plain(path)


def dotted(keys: KeyPath) -> str:
    """Return a key path as a person writes it; characters that cannot be seen are escaped.

    >>> dotted(("data", "exclude", 0))
    'data.exclude[0]'
    """
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{_visible(key)}" for key in keys)
    return bounded(text.removeprefix("."), 120)


def _visible(key: str) -> str:
    return key if key.isprintable() else ascii(key)[1:-1]


def read_text(path: Path, name: str | None = None) -> str:
    """Return the text of a small UTF-8 file, without a leading byte order mark.

    `name` is what messages call the file; it defaults to the path.

    Raises:
        InvalidModelFile: no such file, not a regular file, unreadable, too large or not UTF-8 text.
    """
    name = name or shown(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            _refuse(name, "not a file", got="a folder" if path.is_dir() else "a device or pipe")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise InvalidModelFile([Problem(name, 1, 1, "", f"cannot be read: {plain(reason)}")]) from exc
    if len(content) > MOST_BYTES:
        _refuse(name, "the file is too large", allowed=f"at most {MOST_BYTES // 1024} KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        place = place_of(content[: exc.start].decode("utf-8-sig", "replace"))
        got = f"byte 0x{content[exc.start]:02x}"
        _refuse(name, "the file is not UTF-8", place, got=got, fix="save it as UTF-8")
    bad = _UNPRINTABLE.search(text)
    if bad:
        place = place_of(text[: bad.start()])
        _refuse(name, "a control character", place, got=f"U+{ord(bad[0]):04X}", fix="remove it")
    return text


def read_document(path: Path, name: str | None = None) -> Document:
    """Read one YAML file; `name` is what messages call it and defaults to the path.

    Raises:
        InvalidModelFile: the file cannot be read, or no tree can be made of it.
    """
    name = name or shown(path)
    text = read_text(path, name)
    loader = _LOADER(text)
    try:
        return _Builder(name, _events(loader)).build()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        what = " ".join(filter(None, ("not valid YAML:", exc.context, exc.problem)))
        line = text.splitlines()[place.line - 1 : place.line]
        fix = "indent with spaces, not with tabs" if "\t" in "".join(line)[: place.column] else None
        problem = Problem(name, place.line, place.column, "", plain(what), fix=fix)
        raise InvalidModelFile([problem]) from exc
    except yaml.YAMLError as exc:
        problem = Problem(name, 1, 1, "", f"not valid YAML: {plain(exc, 200)}")
        raise InvalidModelFile([problem]) from exc
    finally:
        loader.dispose()


def _events(loader: Any) -> Iterator[yaml.Event]:
    while loader.check_event():
        yield loader.get_event()


def place_of(before: str) -> Place:
    """Return the place of the character that follows the text `before`."""
    lines = re.split("\r\n|\r|\n", before)
    return Place(len(lines), len(lines[-1]) + 1)


def _refuse(
    name: str,
    what: str,
    place: Place | None = None,
    *,
    got: str | None = None,
    allowed: str | None = None,
    fix: str | None = None,
) -> NoReturn:
    at = place or Place(1, 1)
    raise InvalidModelFile([Problem(name, at.line, at.column, "", what, got, allowed, fix)])


class _Builder:
    """Builds the tree from events, refusing what a model file may not hold.

    Recursion is bounded by `DEEPEST`, which is checked on the event that opens a level.
    """

    def __init__(self, name: str, events: Iterator[yaml.Event]) -> None:
        self._name = name
        self._events = events
        self._keys: dict[KeyPath, Place] = {}
        self._places: dict[KeyPath, Place] = {}
        self._problems: list[Problem] = []
        self._refused: set[KeyPath] = set()
        self._values = 0

    def build(self) -> Document:
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            _refuse(self._name, "the file is empty", fix="begin with 'schema_version: 1'")
        tree = self._value(next(self._events), ())
        next(self._events)
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            place = _start(event)
            _refuse(self._name, "a second document", place, fix="write one document a file")
        return Document(
            self._name,
            tree,
            self._keys,
            self._places,
            in_file_order(self._problems),
            frozenset(self._refused),
        )

    def _value(self, event: yaml.Event, keys: KeyPath) -> Any:
        place = _start(event)
        self._places[keys] = place
        self._keys.setdefault(keys, place)
        self._values += 1
        if self._values > MOST_VALUES:
            _refuse(self._name, "too many values", place, allowed=f"at most {MOST_VALUES}")
        if len(keys) >= DEEPEST and not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
            _refuse(self._name, "nested too deeply", place, allowed=f"at most {DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent):
            self._problem(place, keys, "an alias", f"*{event.anchor}", "write the value out")
            return None
        if not isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent):
            _refuse(self._name, "not valid YAML: a value is missing", place)
        if event.anchor is not None:
            self._problem(place, keys, "an anchor", f"&{event.anchor}", "write the value out each time")
        if event.tag is not None:
            self._problem(place, keys, "a tag", event.tag, "write the value without it")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, keys, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(keys)
        return self._mapping(keys)

    def _sequence(self, keys: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*keys, len(items))))
        return items

    def _mapping(self, keys: KeyPath) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            place = _start(event)
            if not isinstance(event, yaml.ScalarEvent):
                _refuse(self._name, "a key is not text", place, fix="write a word before the ':'")
            name = self._key(event, keys, place)
            inner = (*keys, name)
            if name in items:
                first = self._keys[inner]
                inner = (*keys, f"{name} (again, line {place.line})")
                got = f"the key at line {first.line} and here"
                self._problem(place, (*keys, name), "the key stands twice", got, "keep one of them")
                self._value(next(self._events), inner)
                continue
            self._keys[inner] = place
            items[name] = self._value(next(self._events), inner)
        return items

    def _key(self, event: yaml.ScalarEvent, keys: KeyPath, place: Place) -> str:
        name: str = event.value
        if event.anchor is not None or event.tag is not None:
            self._problem(place, (*keys, name), "a key with an anchor or tag", name, "write it plainly")
        bad = _UNPRINTABLE.search(name)
        if bad or len(name) > 200:
            what = f"a control character U+{ord(bad[0]):04X} in a key" if bad else "a very long key"
            _refuse(self._name, what, place, got=plain(name, 60))
        if event.implicit[0] and name == "<<":
            self._problem(place, (*keys, name), "a merge key", name, "write the values out")
        return name

    def _scalar(self, event: yaml.ScalarEvent, keys: KeyPath, place: Place) -> Any:
        text: str = event.value
        bad = _UNPRINTABLE.search(text)
        if bad:
            self._problem(place, keys, "a control character", f"U+{ord(bad[0]):04X}", "remove it")
            return None
        if not event.implicit[0]:
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            integer = _integer(text)
            if integer is None:
                allowed = f"-{LARGEST_INT} to {LARGEST_INT}"
                self._problem(place, keys, "the integer is too large", text, "quote it", allowed)
            return integer
        if _NOT_FINITE.fullmatch(text) or _FLOAT.fullmatch(text):
            number = math.inf if _NOT_FINITE.fullmatch(text) else float(text)
            if math.isfinite(number):
                return number
            self._problem(place, keys, "the number is not finite", text, "write a finite number")
            return None
        return text

    def _problem(
        self, place: Place, keys: KeyPath, what: str, got: str, fix: str, allowed: str | None = None
    ) -> None:
        problem = Problem(
            self._name,
            place.line,
            place.column,
            dotted(keys),
            what,
            plain(got, 100),
            allowed,
            fix,
        )
        self._problems.append(problem)
        self._refused.add(keys)
        if len(self._problems) >= MOST_PROBLEMS:
            raise InvalidModelFile(self._problems)


def _start(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def _integer(text: str) -> int | None:
    if len(text) > LONGEST_INT:
        return None
    number = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return number if abs(number) <= LARGEST_INT else None
