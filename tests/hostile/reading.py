"""What is done with one fuzzed file: all that reads model files, in each of the places it may stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from evergreen.document import MOST_PROBLEMS
from evergreen.errors import InvalidModelFile, Problem
from evergreen.fleet_file import read_fleet
from evergreen.lint import lint
from evergreen.loading import load_model, load_spec
from evergreen.query import flaws
from tests.unit.model_files import VALID

LONGEST_MESSAGE = 3000


class Reader:
    """Reads contents as a model file, as the suite and the query that one names, and as the fleet's.

    A problem that says no place, or is no bounded, printable line, raises an AssertionError; any other
    exception than `InvalidModelFile` is a finding, too.
    """

    def __init__(self, folder: Path) -> None:
        self._model = folder / "flights.yaml"
        self._fleet = folder / "fleet.yaml"
        (folder / "named").mkdir()
        self._named = folder / "named" / "flights.yaml"
        self._suite = folder / "named" / "suite.yaml"
        self._query = folder / "named" / "query.sql"
        text = VALID.replace(f"query: {_query_of(VALID)}", "query_file: query.sql")
        self._named.write_text(text + "expectations: suite.yaml\n")

    def readings(self, content: bytes) -> Iterator[tuple[str, Callable[[], bool]]]:
        """Yield what is to be done with the content, by name; each says whether it was taken."""
        for path in (self._model, self._fleet, self._suite, self._query):
            path.write_bytes(content)
        yield "spec", lambda: _taken(load_spec, self._model)
        yield "model", lambda: _taken(load_model, self._model)
        yield "named files", lambda: _taken(load_model, self._named)
        yield "fleet", lambda: _taken(read_fleet, self._fleet)
        yield "lint", lambda: _linted(self._model)
        yield "query", lambda: _query(content.decode("utf-8", "replace"))


def _taken(read: Callable[[Path], object], path: Path) -> bool:
    try:
        read(path)
    except InvalidModelFile as exc:
        _check(exc.problems)
        return False
    return True


def _linted(path: Path) -> bool:
    problems = lint([path])
    _check(problems)
    return not problems


def _query(text: str) -> bool:
    found = flaws(text)
    assert all(0 <= flaw.offset <= len(text) for flaw in found)
    return not found


def _query_of(text: str) -> str:
    return next(line.partition("query: ")[2] for line in text.splitlines() if "query: " in line)


def _check(problems: Sequence[Problem]) -> None:
    assert len(problems) <= 5 * MOST_PROBLEMS
    for problem in problems:
        said = str(problem)
        assert problem.line >= 1, said
        assert problem.column >= 1, said
        assert said.isprintable(), ascii(said)
        assert len(said) <= LONGEST_MESSAGE, len(said)
