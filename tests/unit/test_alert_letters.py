"""What letters say: golden texts of each purpose in each form, and bounds whatever is told.

The golden files under `tests/golden/alerts` were read by a person; EVERGREEN_GOLDEN=write writes them
anew, to be read again.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from evergreen.alert_spec import EventName
from evergreen.alerts.channels import canonical, channel_of, place
from evergreen.alerts.letter_words import NAMES, as_text, test_event, words_of
from evergreen.alerts.mail import mail_of, message_id
from evergreen.alerts.mail_page import mail_page
from evergreen.alerts.slack_blocks import blocks_of, fallback_of
from evergreen.alerts.webhook_body import body_of, headers_of
from evergreen.errors import BadConfiguration
from evergreen.text import slack
from tests.contracts.letters import AT, CHANNELS, FAILED, INCIDENT, letter, letters

GOLDEN = Path("tests/golden/alerts")
PURPOSES = tuple(letters(CHANNELS["email"]))
NOW = datetime(2026, 11, 1, 6, 13, tzinfo=UTC)


def written(purpose, form):
    told = letters(CHANNELS["email"], thread="<opening@example.com>")[purpose]
    words = words_of(told, data_values=purpose == "opening")
    if form == "txt":
        return as_text(words)
    if form == "html":
        return mail_page(words)
    if form == "slack.json":
        said = {"text": fallback_of(words, threaded=False), "blocks": blocks_of(words)}
        return json.dumps(said, indent=1, ensure_ascii=False) + "\n"
    return json.dumps(json.loads(body_of(told, words)), indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(
    ("purpose", "form"),
    [
        *product(PURPOSES, ("txt", "slack.json", "webhook.json")),
        *product(("opening", "digest"), ("html",)),
    ],
)
def test_a_letter_reads_as_a_person_read_it(purpose, form):
    file = GOLDEN / f"{purpose}.{form}"
    found = written(purpose, form)
    if os.environ.get("EVERGREEN_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(found)
    assert found == file.read_text()


texts = st.text(max_size=300) | st.sampled_from(
    [
        "<!channel> <@U123> <https://evil.example|click>",
        "*bold* _it_ ~no~ `code` ```block``` > quote :tada:",
        "<script>alert(1)</script>\"'&",
        "a\r\nBcc: x@example.com\r\n\r\nbody",
        "\u202egnp.exe \x1b[31m \x00 \ud800",
        "x" * 5000,
        "",
        "\x00",
        "javascript:alert(1)",
    ]
)
events = st.builds(
    lambda headline, lines, values, owner, command, model: replace(
        FAILED,
        headline=headline,
        lines=tuple(lines),
        values=tuple(values),
        owner=owner,
        command=command,
        model=model,
        key=f"failed/{headline}",
    ),
    texts,
    st.lists(texts, max_size=60),
    st.lists(texts, max_size=60),
    st.none() | texts,
    st.none() | texts,
    st.sampled_from(["flights", "a", "x" * 63]),
)
purposes = st.sampled_from(["opening", "update", "closing", "single", "escalation", "digest"])


@st.composite
def any_letter(draw):
    event, purpose = draw(events), draw(purposes)
    incident = replace(
        INCIDENT, headline=draw(texts), key=draw(texts), events=draw(st.integers(1, 10**6))
    )
    gathers = tuple(draw(st.lists(events, max_size=3))) * draw(st.integers(1, 40))
    told = letter(
        CHANNELS["email"],
        event,
        purpose,
        None if purpose == "single" else incident,
        gathers=gathers if purpose == "digest" else (),
        due_at=AT + draw(st.timedeltas(timedelta(0), timedelta(days=400))),
    )
    return replace(told, run_url=draw(st.none() | texts | st.just("https://a.example/<x>|y>")))


def shown(value):
    """Yield the texts of a block, and its links."""
    if isinstance(value, dict):
        yield from (value[key] for key in ("text", "url") if isinstance(value.get(key), str))
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from shown(inner)


@settings(max_examples=40, deadline=None)
@given(any_letter(), st.booleans())
def test_whatever_is_told_keeps_within_slacks_bounds_and_in_elements_that_parse_nothing(told, values):
    words = words_of(told, data_values=values)
    blocks = blocks_of(words)
    assert len(blocks) <= 50
    for block in Block.parse_all(blocks):
        block.validate_json()
    kinds = re.findall(r'"type": "([a-z_]+)"', json.dumps([*map(without_texts, blocks)]))
    assert {*kinds} <= {
        *("header", "plain_text", "rich_text", "rich_text_section", "rich_text_list"),
        *("rich_text_preformatted", "text", "link"),
    }
    for block in blocks:
        assert sum(map(len, shown(block))) <= 3000
        assert all(shown(block)), "Slack takes no empty text"
    fallback = fallback_of(words, threaded=False)
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", fallback)
    assert len(fallback) < 5000


def without_texts(block):
    if isinstance(block, dict):
        return {key: without_texts(value) for key, value in block.items() if key not in {"url"}} | (
            {"text": ""} if isinstance(block.get("text"), str) else {}
        )
    return [without_texts(one) for one in block] if isinstance(block, list) else block


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = set()
        self.links = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        given = dict(attrs)
        self.links += [given[name] for name in ("href", "src", "background", "action") if name in given]
        assert not [name for name in given if name.startswith("on")]


@settings(max_examples=40, deadline=None)
@given(any_letter(), st.booleans())
def test_a_page_fetches_nothing_runs_nothing_and_is_small(told, values):
    page = mail_page(words_of(told, data_values=values))
    parser = Page()
    parser.feed(page)
    assert parser.tags <= {
        *("html", "head", "meta", "title", "style", "body", "div", "table", "tr", "td", "span", "h1"),
        *("p", "ul", "li", "a"),
    }
    assert len(parser.links) <= 1
    assert all(link.startswith(("http://", "https://")) for link in parser.links)
    assert "url(" not in page.partition("</style>")[0]
    assert len(page.encode()) <= 90_000


@settings(max_examples=40, deadline=None)
@given(any_letter(), st.booleans(), st.none() | texts)
def test_a_mail_has_the_headers_that_it_is_given_and_no_other(told, values, thread):
    told = replace(told, thread=thread)
    mail = mail_of(told, words_of(told, data_values=values), "Evergreen <e@example.com>", ["a@b.c"], NOW)
    assert {name.lower() for name in mail} <= {
        *("from", "to", "subject", "date", "message-id", "references", "in-reply-to", "mime-version"),
        *("auto-submitted", "x-auto-response-suppress", "importance", "content-type"),
        *("x-evergreen-event", "x-evergreen-message"),
    }
    head = mail.as_bytes().partition(b"\r\n\r\n")[0]
    assert b"\r\nBcc" not in head
    assert len(str(mail["subject"])) <= 160


@settings(max_examples=40, deadline=None)
@given(any_letter(), st.booleans())
def test_a_body_is_json_and_its_headers_are_ascii(told, values):
    words = words_of(told, data_values=values)
    body = body_of(told, words)
    assert json.loads(body)["data"]["headline"] == words.title
    assert len(body) < 120_000
    for value in headers_of(told.message.key, body, "secret", NOW).values():
        assert value.isascii()
        assert value.isprintable()


@settings(max_examples=40, deadline=None)
@given(any_letter(), st.booleans())
def test_a_text_is_printable_and_bounded(told, values):
    words = words_of(told, data_values=values)
    text = as_text(words)
    assert len(text) < 40_000
    assert not {unicodedata.category(one) for one in text.replace("\n", "")} & {
        "Cc",
        "Cf",
        "Cs",
        "Zl",
        "Zp",
    }
    assert len(words.title) <= 150
    assert words.url is None or words.url.startswith(("http://", "https://"))


@pytest.mark.parametrize("count", [41, 52, 1000])
def test_a_digest_names_forty_and_counts_the_rest(count):
    storm = tuple(replace(FAILED, model=f"m{number}") for number in range(count))
    told = letter(CHANNELS["log"], storm[0], "digest", None, gathers=storm[1:])
    lines = words_of(told).lines
    assert len(lines) == 41
    assert lines[-1] == f"and {count - 40} more"


def test_the_event_of_a_test_says_that_nothing_happened():
    event = test_event("flights", NOW)
    words = words_of(letter(CHANNELS["log"], event, "single", None))
    assert words.severity == "low"
    assert words.title == "flights: this is a test: messages about this model arrive here"
    assert test_event("flights", NOW) == event != test_event("flights", NOW + timedelta(seconds=1))


def test_every_event_has_a_name_for_people():
    assert set(NAMES) == set(EventName.__args__)


@given(st.text())
def test_slack_escaping_leaves_no_way_to_mention_or_link(text):
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", slack(text))


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS)
def test_a_channel_is_the_same_after_it_was_kept(channel):
    changed = channel.model_copy(
        update={"at_least": "high", "unacknowledged_for": None, "events": ["failed"]}
    )
    assert channel_of(canonical(channel)) == channel
    assert channel_of(canonical(changed)) == changed
    assert canonical(channel_of(canonical(changed))) == canonical(changed)
    assert place(changed) == place(channel)


@pytest.mark.parametrize("text", ["", "{}", '{"type": "pigeon", "loft": "s3cret"}', "[1]", "null"])
def test_a_kept_channel_that_cannot_be_read_is_not_quoted(text):
    with pytest.raises(BadConfiguration, match="newer Evergreen") as raised:
        channel_of(text)
    assert "s3cret" not in str(raised.value)


def test_message_ids_of_odd_domains_are_valid():
    assert message_id("k", "exämple.com").endswith("@evergreen.invalid>")
    assert message_id("k", "mail.example.com").endswith("@mail.example.com>")
