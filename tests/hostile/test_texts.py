"""What others write is shown as text, in DAGs, their pages, letters and logs; templates stay text."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from evergreen.alerts.letter_words import as_text, words_of
from evergreen.alerts.mail import mail_of
from evergreen.alerts.mail_page import mail_page
from evergreen.alerts.slack_blocks import blocks_of, fallback_of
from evergreen.alerts.webhook_body import body_of
from tests.contracts.letters import CHANNELS, FAILED
from tests.contracts.letters import letter as letter_of

TEMPLATE = "{{ 7*7 }}{% if 1 %}{{ 7*7 }}{% endif %}{# 7*7 #}"
MARKUP = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>[a](javascript:alert(1))"
    "![b](https://evil.example/x.png)<https://evil.example|c><!channel><!here><@U1>"
)
STEERING = (
    "\x1b[31m\u202e\u2066\r\nBcc: all@example.com\n\n2026-01-01 00:00:00 INFO a line of its own\x00"
)
MODELS = tuple(sorted(Path("dags/models").glob("*.yaml")))


def places(tree: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every text in a tree."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from places(value, (*keys, key))
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from places(value, (*keys, number))
    elif isinstance(tree, str):
        yield keys


def with_text(tree: Any, keys: tuple[Any, ...], text: str) -> Any:
    """Return the tree with another text at a path."""
    if not keys:
        return text
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[keys[0]] = with_text(tree[keys[0]], keys[1:], text)
    return copy


def whole_tree() -> dict[str, Any]:
    """Return a model file that says much, with the optional texts too."""
    tree: dict[str, Any] = yaml.safe_load(MODELS[0].read_text())
    return tree | {
        "display_name": "Late flights",
        "tags": ["flights"],
        "owner": "ops@example.com",
        "release": {"approval": {"approvers": ["alice"]}},
        "alerts": [{"type": "log"}, {"type": "slack", "connection": "slack"}],
    }


CASES = [(keys, text) for text in (TEMPLATE, MARKUP) for keys in places(whole_tree())]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Any]]:
    """The DAGs of model files that each hold a hostile text in one place, with where it stands."""
    from evergreen_airflow.loader import load_models

    found = []
    for number, (keys, text) in enumerate(CASES):
        folder = tmp_path_factory.mktemp(f"case{number}")
        tree = with_text(whole_tree(), keys, text)
        (folder / f"{tree['name'] if keys != ('name',) else 'named'}.yaml").write_text(
            yaml.safe_dump(tree)
        )
        namespace: dict[str, Any] = {}
        load_models(folder, namespace)
        assert namespace
        found += [(".".join(map(str, keys)), dag) for dag in namespace.values()]
    return found


def test_texts_are_taken_in_some_places_and_refused_in_others(built: list[tuple[str, Any]]) -> None:
    refused = {keys for keys, dag in built if dag.dag_id.endswith("__invalid_spec")}
    taken = {keys for keys, dag in built} - refused
    assert {"description", "owner", "display_name", "release.approval.approvers.0"} <= taken
    assert {
        "name",
        "data.source.connection",
        "schedule",
        "alerts.1.connection",
    } <= refused


def test_no_template_of_a_task_holds_a_text_of_the_model_file(built: list[tuple[str, Any]]) -> None:
    for keys, dag in built:
        for task in dag.tasks:
            for field in task.template_fields:
                held = repr(getattr(task, field, ""))
                assert "7*7" not in held, (keys, task.task_id, field)
                assert "<script>" not in held, (keys, task.task_id, field)


def test_rendering_every_task_evaluates_nothing(built: list[tuple[str, Any]]) -> None:
    for keys, dag in built:
        for task in dag.tasks:
            task.render_template_fields({})
            assert "49" not in repr([getattr(task, field, "") for field in task.template_fields]), keys


def test_the_pages_of_dags_show_the_text_and_make_nothing_of_it(built: list[tuple[str, Any]]) -> None:
    renderer = pytest.importorskip("markdown_it").MarkdownIt(
        "gfm-like", {"linkify": False, "html": True}
    )
    for keys, dag in built:
        page = Tags(renderer.render(dag.doc_md or ""))
        assert not page.found & {"script", "img", "iframe", "svg"}, keys
        assert all(not link.startswith(("javascript", "https://evil")) for link in page.links), keys


class Tags(HTMLParser):
    """The tags and link targets of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = TEMPLATE + MARKUP + STEERING
TEXTS = ("headline", "lines", "values", "owner", "command")


def told(field: str) -> Any:
    value: Any = (HOSTILE, HOSTILE) if field in {"lines", "values"} else HOSTILE
    event = replace(FAILED, **{field: value})
    return letter_of(CHANNELS["email"].model_copy(update={"data_values": True}), event)


@pytest.mark.parametrize("field", TEXTS)
def test_a_mail_has_no_header_tag_or_link_of_its_text(field: str) -> None:
    letter = told(field)
    words = words_of(letter, data_values=True)
    page = Tags(mail_page(words))
    assert not page.found & {"script", "img", "iframe", "svg", "form"}
    assert all(link.startswith("https://airflow.example.com") for link in page.links)
    assert "49" not in re.sub(r"\d{3,}|[\d.:-]{5,}", "", page.text)
    message = mail_of(letter, words, "evergreen@example.com", ["ops@example.com"], FAILED.at)
    assert message["bcc"] is None
    assert all("\n" not in str(value) and "\r" not in str(value) for value in message.values())


@pytest.mark.parametrize("field", TEXTS)
def test_slack_is_given_no_mention_and_no_link_of_a_text(field: str) -> None:
    words = words_of(told(field), data_values=True)
    fallback = fallback_of(words, threaded=False)
    assert not re.search(r"<[!@#]|<https?://evil", fallback)
    for block in _elements(blocks_of(words)):
        if block.get("type") == "mrkdwn":
            assert not re.search(r"<[!@#]|<https?://evil", block["text"])


def _elements(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _elements(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _elements(value)


@pytest.mark.parametrize("field", TEXTS)
def test_a_webhook_is_given_json_and_a_log_one_line_for_each_that_is_ours(
    field: str, caplog: pytest.LogCaptureFixture
) -> None:
    letter = told(field)
    words = words_of(letter, data_values=True)
    assert json.loads(body_of(letter, words))
    text = as_text(words)
    assert not re.search("[\x00\x1b\u202e\u2066\r]", text)
    assert not re.search(r"(?m)^(Bcc:|2026-01-01 00:00:00 INFO)", text)
    with caplog.at_level(logging.INFO):
        logging.getLogger("evergreen").info("%s", text)
    assert "\x1b" not in caplog.text
