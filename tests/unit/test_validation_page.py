"""The page's verdict, and that it shows text as text whatever the text is."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from evergreen.results import ExpectationOutcome, Snapshot
from evergreen.validation_page import Example, Finding, Page, render, verdict
from evergreen.window import Window

WINDOW = Window(datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC))
HOSTILE = [
    "<script>x</script>",
    "\"><svg onload='x'>",
    "</style></head><body onload=x>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% include 'x' %}",
    "\u202eevil\x1b[31m\x00",
    "<!--",
]


def outcome(passed: bool, severity: str = "error", text: str = "x") -> ExpectationOutcome:
    return ExpectationOutcome(
        expectation=f"expect_{text}",
        arguments={"column": text, text: [text, 1, None, True]},
        severity=severity,
        passed=passed,
        observed=text,
        failing_rows=None if passed else 12,
        failing_keys=() if passed else (text,),
        why=text,
    )


def page(*findings: Finding, text: str = "m") -> Page:
    snapshot = Snapshot("uri", "ab12cd34" * 8, WINDOW, 1000, (), ())
    return Page(text, snapshot, text, 1000, findings, 12, 10, text)


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([outcome(True)], "Accepted: the one expectation holds."),
        ([outcome(True)] * 3, "Accepted: all 3 expectations hold."),
        (
            [outcome(True), outcome(False, "warning")],
            "Accepted with 1 warning: nothing that rejects the data failed.",
        ),
        ([outcome(False), outcome(True)], "Rejected: 1 of 2 expectations failed as an error."),
        (
            [outcome(False), outcome(False, "warning"), outcome(False, "warning")],
            "Rejected: 1 of 3 expectations failed as an error, with 2 warnings besides.",
        ),
    ],
)
def test_the_verdict_is_one_sentence(outcomes, said):
    assert verdict(outcomes) == said


class Seen(HTMLParser):
    """Collects what a browser would build from the page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_every_place_adds_no_tag_and_no_attribute(text):
    def seen(word):
        finding = Finding(outcome(False, text=word), (word,), (Example(word, (word,)),))
        parser = Seen()
        parser.feed(render(page(finding, text=word)).decode())
        return parser.tags, parser.attributes

    assert seen(text) == seen("harmless")


def test_no_control_or_direction_character_reaches_the_page():
    shown = render(page(Finding(outcome(False, text=HOSTILE[5])), text=HOSTILE[5])).decode()
    assert not set("\u202e\x1b\x00") & set(shown)


def test_the_same_judgement_gives_the_same_bytes():
    finding = Finding(outcome(False), ("x",), (Example("1", ("2",)),))
    assert render(page(finding)) == render(page(finding))


def test_failures_stand_before_warnings_and_those_before_what_passed():
    shown = render(
        page(
            Finding(outcome(True, text="third")),
            Finding(outcome(False, "warning", text="second")),
            Finding(outcome(False, text="first")),
        )
    ).decode()
    places = [shown.index(f"expect_{word}") for word in ("first", "second", "third")]
    assert places == sorted(places)


def test_the_page_says_how_many_rows_it_leaves_out():
    finding = Finding(outcome(False), ("x",), (Example("1", ("2",)),))
    shown = render(page(finding)).decode()
    assert "… and 11 more." in shown
    assert "The first 10 of 12 failing rows are" in shown
