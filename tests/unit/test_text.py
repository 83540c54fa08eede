"""Text of others is shown as the characters it holds, and as nothing else."""

import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.text import html, markdown, plain


@given(st.text())
def test_a_plain_line_holds_nothing_that_steers_a_terminal(text):
    line = plain(text)
    assert not [c for c in line if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert plain(line) == line


def test_a_long_text_is_cut_and_says_so():
    assert plain("x" * 5000, 10) == "x" * 9 + "…"


class Texts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.text += data


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_html_shows_the_text_and_makes_no_tag(text):
    parser = Texts()
    parser.feed(f"<p title='{html(text)}' lang=\"{html(text)}\">{html(text)}</p>")
    parser.close()
    assert parser.tags == [("p", [("title", plain(text)), ("lang", plain(text))])]
    assert parser.text == plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "![x](https://evil.example/track.png)",
        "https://evil.example",
        "www.evil.example",
        "&lt;b&gt;",
        "| a | b |",
        "# heading",
        "- item",
        "1. item",
        "> quote",
        "`code`",
        "**bold** __bold__ ~~gone~~",
        "---",
        "a\\",
        "<https://evil.example>",
        "me@evil.example",
        "$x^2$",
    ],
)
def test_markdown_shows_the_characters_and_nothing_else(text):
    """Judged by a renderer that is not ours, where it is installed."""
    renderer = pytest.importorskip("markdown_it").MarkdownIt("gfm-like", {"linkify": False})
    parser = Texts()
    parser.feed(renderer.render(markdown(text)))
    parser.close()
    assert [tag for tag, _ in parser.tags] == ["p"]
    assert parser.text.strip() == text


def test_markdown_breaks_what_would_become_a_link_by_itself():
    assert markdown("https://evil.example") == "https\\://evil.example"
    assert markdown("www.evil.example") == "www\\.evil.example"
    assert markdown("me@evil.example") == "me\\@evil.example"


def test_markdown_leaves_words_and_numbers_readable():
    assert markdown("an as-of, 0.05 per week; 10:30") == "an as-of, 0.05 per week; 10:30"
