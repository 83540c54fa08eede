"""What is checked of alerts, staleness and approval; the messages are under tests/golden."""

import pytest

from evergreen.alert_checks import SECRET_LIKE
from evergreen.errors import InvalidModelFile
from evergreen.loading import load_spec
from tests.unit.model_files import write_model


def with_lines(folder, text):
    return write_model(folder, ("gate:\n", f"{text}\ngate:\n"))


@pytest.mark.parametrize(
    "text",
    [
        "alerts: []",
        "alerts: [{type: log}]",
        # the same place for different events, and once more after two hours
        "alerts: [{type: slack, connection: a, events: [failed]}, {type: slack, connection: a, "
        "events: [promoted]}, {type: slack, connection: a, unacknowledged_for: 2 hours}]",
        # two rooms of one bot
        "alerts: [{type: slack, connection: a, channel: x}, {type: slack, connection: a, channel: y}]",
        "alerts: [{type: email, to: [a@b.c], events: [promoted, failed], unacknowledged_for: 1 day}]",
        "stale_after: 32 days",
        "stale_after: 2 months",
        "tier: high\nrelease: {approval: {approvers: [alice]}}",
        "tier: medium\nrelease: {approval: {on_timeout: release}}",
    ],
)
def test_what_is_sound_gets_no_message(tmp_path, text):
    load_spec(with_lines(tmp_path, text))


def test_staleness_without_a_schedule_is_whatever_the_owner_says(tmp_path):
    path = write_model(
        tmp_path, ('schedule: "@monthly"', "schedule: null"), ("gate:\n", "stale_after: 1 day\ngate:\n")
    )
    assert load_spec(path).stale_after is not None


@pytest.mark.parametrize(
    ("schedule", "length", "wait"),
    [
        ("@daily", "1 day", "1 day"),
        ("0 6 * * 1-5", "2 days", "3 days"),
        ("@quarterly", "90 days", "92 days"),
        ("@hourly", "30 minutes", "1 hour"),
    ],
)
def test_the_longest_wait_of_a_schedule_counts(tmp_path, schedule, length, wait):
    path = write_model(
        tmp_path,
        ('schedule: "@monthly"', f'schedule: "{schedule}"'),
        ("gate:\n", f"stale_after: {length}\ngate:\n"),
    )
    with pytest.raises(InvalidModelFile, match=f"leaves up to {wait} between"):
        load_spec(path)


@pytest.mark.parametrize(
    ("given", "secret"),
    [
        ("slack_ml", False),
        ("smtp_default", False),
        ("AWS_PROD_2024_account-0123456789_role", False),
        ("a" * 40, False),
        ("xoxb-123", True),
        ("whsec_abc", True),
        ("0123456789abcdef0123456789abcdef", True),
    ],
)
def test_an_id_is_told_from_a_secret(given, secret):
    assert bool(SECRET_LIKE.match(given)) == secret
