"""Secrets are masked by value, in every form they leave in."""

import base64
import html
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from secrets import token_hex
from urllib.parse import quote, quote_plus

import pytest

from evergreen import redaction
from evergreen.errors import bounded
from evergreen.redaction import hide, holds_password, redact


@pytest.fixture(autouse=True)
def no_other_secrets(monkeypatch):
    monkeypatch.setattr(redaction, "_secrets", {})


SECRET = 'p@ss "w/o"\\rd é+'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps({"password": SECRET}),
        repr(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        quote(SECRET, safe="").lower(),
        quote(SECRET, safe=" +"),
        json.dumps(SECRET, ensure_ascii=False),
        json.dumps(json.dumps({"password": SECRET})),
        ascii(SECRET),
        repr(json.dumps({"password": SECRET})),
        repr(SECRET.encode()),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        html.escape(SECRET),
    ],
)
def test_a_registered_secret_is_masked_in_every_form(form):
    hide(SECRET)
    shown = redact(f"before {form} after")
    assert "***" in shown
    assert form not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("after", ["", "z", "yz", "/db?x=1"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_in_the_base64_of_a_longer_text_is_masked(before, after, encode):
    hide("hunter2-canary")
    encoded = encode(f"{before}hunter2-canary{after}".encode()).decode()
    shown = redact(f"Basic {encoded}")
    assert "***" in shown
    whole = base64.urlsafe_b64decode(shown.split()[-1].replace("***", "").ljust(80, "A") + "==")
    assert b"hunter" not in whole
    assert b"canary" not in whole


@pytest.mark.parametrize("left", range(4, 13))
def test_what_is_left_of_a_secret_where_a_text_was_cut_is_masked(left):
    hide("hunter2-canary")
    text = f"cannot reach db as {'hunter2-canary'[:left]}… and more…"
    assert redact(text) == "cannot reach db as ***… and more…"
    assert redact(bounded("x" * 90 + "hunter2-canary", 90 + left + 1)) == "x" * 90 + "***…"


def test_a_text_that_was_cut_elsewhere_is_left_alone():
    hide("hunter2-canary")
    assert redact("a hunt… hunter… hun…") == "a ***… ***… hun…"
    assert redact("hunted… by hunters…") == "hunted… by hunters…"


def test_a_secret_over_several_lines_is_masked_on_one_line():
    hide("BEGIN KEY\nabcdef\nEND KEY")
    assert redact("x BEGIN KEY abcdef END KEY y") == "x *** y"


def test_the_longer_of_two_secrets_is_masked_whole():
    hide("hunter")
    hide("hunter22")
    assert redact("hunter22") == "***"


@pytest.mark.parametrize("secret", ["", "abc", "    ", "\n\n\n\n"])
def test_what_is_too_short_to_be_a_secret_masks_nothing(secret):
    hide(secret)
    assert redact("abc def") == "abc def"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://bob:hunter22@db/x", "postgresql://bob:***@db/x"),
        ("postgresql+psycopg://:hunter22@db/x", "postgresql+psycopg://:***@db/x"),
        ("redis://u:p@ss@h", "redis://u:***@h"),
        ("postgresql://u:pa/ss@h/db", "postgresql://u:***@h/db"),
        ("s3://key:secret@bucket/x and more", "s3://key:***@bucket/x and more"),
        ("postgresql://h/db?user=u&password=hunter22&a=1", "postgresql://h/db?user=u&password=***&a=1"),
        ("https://h/?access_key=abc", "https://h/?access_key=***"),
        ("https://h/b?sv=2024&sig=a%2Fb%3D", "https://h/b?sv=2024&sig=***"),
        (
            "https://h/k?X-Amz-Security-Token=Fwo/&X-Amz-Signature=de01",
            "https://h/k?X-Amz-Security-Token=***&X-Amz-Signature=***",
        ),
        ("AccountName=a;AccountKey=Zm9v==;Other=b", "AccountName=a;AccountKey=***;Other=b"),
    ],
)
def test_a_password_within_a_url_is_masked(text, shown):
    assert redact(text) == shown
    assert holds_password(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8080/x and bob@example.com",
        "http://localhost:8080/bob@example.com",
        "sqlite:///data/x.db",
        "postgresql://bob@db:5432/x",
        "s3://bucket/flights/*.parquet",
        "12:30 ops@example.com",
    ],
)
def test_what_holds_no_password_is_left_alone(text):
    assert redact(text) == text
    assert not holds_password(text)


def test_json_stays_json_where_a_url_in_it_is_masked():
    text = json.dumps({"url": "pg://u:hunter22@h", "mail": "a@b"}, separators=(",", ":"))
    assert json.loads(redact(text)) == {"url": "pg://u:***@h", "mail": "a@b"}


@pytest.mark.parametrize(
    "secret",
    [
        "https://hooks.slack.com/services/T000/B000/AbCdEfGh1234",
        "https://hooks.slack-gov.com/workflows/T000/B000/AbCdEfGh1234",
        "xoxb-1234567890-AbCdEfGh1234",
        "xoxe.xoxp-1-AbCdEfGh1234",
        "whsec_AbCdEfGh1234+/==",
    ],
)
def test_a_secret_of_a_known_form_is_masked_though_nobody_registered_it(secret):
    assert "AbCdEfGh1234" not in redact(f"posted to {secret}, and more")
    assert redact(f"posted to {secret}, and more").endswith("***, and more")


def test_secrets_that_are_hidden_while_another_thread_masks_do_not_disturb_it():
    for secret in (SECRET, *(token_hex(16) for _ in range(100))):
        hide(secret)

    def hide_more() -> None:
        for _ in range(500):
            hide(token_hex(16))

    with ThreadPoolExecutor(1) as pool, switching_often():
        hiding = pool.submit(hide_more)
        texts = {redact(f"{SECRET}, and {SECRET[:8]}…")}
        while not hiding.done():
            texts.add(redact(f"{SECRET}, and {SECRET[:8]}…"))
        hiding.result()
    assert texts == {"***, and ***…"}


@contextmanager
def switching_often() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
