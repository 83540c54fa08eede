"""What a query binds is what SQLAlchemy binds."""

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from evergreen.query import _BIND, LONGEST_QUERY, MOST_FLAWS, flaws

GOOD = "SELECT * FROM t WHERE a >= :start AND a < :end"


@pytest.mark.parametrize(
    "query",
    [
        GOOD,
        f"  -- a comment; with a semicolon\n{GOOD};\n-- the end",
        "WITH x AS (SELECT 1) SELECT * FROM x WHERE CAST(:start AS date) <= d AND d < :end",
        f"({GOOD}) UNION ALL ({GOOD})",
        f"{GOOD} AND b::int = 1 AND c <> '12:30' AND d = ';' AND e = '\\:x'",
        f"/* one; two */ {GOOD} AND \"a;b\" = 'it''s'",
    ],
)
def test_one_select_that_binds_both_ends_has_no_flaw(query):
    assert flaws(query) == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", ["the query is empty"]),
        ("-- :start :end", ["would be bound", "would be bound", "is empty"]),
        ("SELECT ':start', ':end'", ["not bind :start", "not bind :end"]),
        (GOOD.replace(":start", "::start"), ["not bind :start"]),
        (GOOD.replace(":start", "start"), ["not bind :start"]),
        (f"{GOOD} AND b = :other", ["nothing is known to bind"]),
        (f"{GOOD}; DROP TABLE t", ["a second statement"]),
        (f"{GOOD};;;", []),
        (f"DELETE FROM t WHERE a >= :start AND a < :end; {GOOD}", ["not a query", "a second statement"]),
        (GOOD.replace(":end", ":end::date"), ["nothing binds before '::'"]),
    ],
)
def test_each_flaw_is_told(query, words):
    found = [flaw.what for flaw in flaws(query)]
    for word in words:
        assert any(word in what for what in found), (word, found)
    assert bool(found) == bool(words)


def test_a_flaw_stands_where_it_is_written():
    query = f"{GOOD}\n  AND b = :other"
    (flaw,) = flaws(query)
    assert query[flaw.offset :] == ":other"


def test_a_query_that_would_take_seconds_to_read_is_refused_unread():
    (flaw,) = flaws(GOOD + " " * LONGEST_QUERY)
    assert flaw.what == "the query is too long"
    assert flaws(GOOD + " " * (LONGEST_QUERY - len(GOOD))) == []


def test_flaws_are_bounded_in_number():
    assert len(flaws(GOOD + " AND :x" * 1000)) == MOST_FLAWS


@given(st.text(st.sampled_from(":a1_ \\'\"-*/\n;é[]()"), max_size=40))
def test_binds_are_those_that_sqlalchemy_finds(query):
    bound = set(sqlalchemy.text(query).compile().params)
    assert {match[1] for match in _BIND.finditer(query)} == bound
    flaws(query)
