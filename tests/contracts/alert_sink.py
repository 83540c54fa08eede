"""What every sink that sends over a network keeps to, whatever answers it."""

from __future__ import annotations

import logging
import traceback
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from evergreen.errors import EvergreenError
from evergreen.http_post import Limits
from evergreen.outbox import AlertSink, SinkRefused, SinkUnavailable
from tests.contracts.letters import AGAIN, FAILED, URL, letter

SHORT = Limits(connect=0.3, whole=0.3)
LONG = Limits(connect=10.0, whole=60.0)
NOW = datetime(2026, 11, 1, 6, 13, tzinfo=UTC)
CANARY = "canary7Zq9canary"
FAILS_FOR_NOW = ("says 500", "hangs", "closes mid-way", "drips", "is not there")


class AlertSinkContract:
    """Give `channel`, and the methods that make a sink and tell what its other side got."""

    channel: object

    def sink_against(self, how: str = "works", secret: str | None = None) -> AlertSink:
        """Return a sink whose other side behaves so.

        With a secret, it is in each field of the connection that can hold one, and the other side
        quotes all that it is sent.
        """
        raise NotImplementedError

    def received(self) -> list[str]:
        """Return each message that the other side took, as whoever gets it reads it."""
        raise NotImplementedError

    def keys(self) -> list[str]:
        """Return the idempotency keys that came with them."""
        raise NotImplementedError

    def test_a_message_says_what_happened_the_numbers_who_owns_it_where_and_what_to_do(self):
        self.sink_against().send(letter(self.channel))
        (said,) = self.received()
        for part in (FAILED.headline, *FAILED.lines, FAILED.owner, URL, FAILED.command):
            assert part in said
        assert FAILED.values[0] not in said

    def test_values_of_the_data_are_quoted_where_the_owner_allows_it(self):
        allowing = self.channel.model_copy(update={"data_values": True})
        self.sink_against().send(letter(allowing))
        assert FAILED.values[0] in self.received()[0]

    def test_a_second_try_carries_the_same_key_and_another_message_another(self):
        sink = self.sink_against()
        for event in (FAILED, FAILED, AGAIN):
            sink.send(letter(self.channel, event))
        first, second, other = self.keys()
        assert first == second != other

    @pytest.mark.parametrize("how", FAILS_FOR_NOW)
    def test_a_receiver_that_fails_for_now_may_be_tried_again(self, how):
        with pytest.raises(SinkUnavailable) as raised:
            self.sink_against(how).send(letter(self.channel))
        assert raised.value.retryable
        assert raised.value.where
        assert len(str(raised.value)) < 1000

    def test_a_receiver_that_says_never_is_not_tried_again_and_the_reason_says_what_to_do(self):
        with pytest.raises(SinkRefused) as raised:
            self.sink_against("says never").send(letter(self.channel))
        assert raised.value.fix
        assert not raised.value.retryable

    @pytest.mark.parametrize("how", ["works", "says never", *FAILS_FOR_NOW])
    def test_no_secret_of_a_connection_or_of_a_text_is_raised_logged_or_told(self, how, caplog):
        caplog.set_level(logging.DEBUG)
        sink = self.sink_against(how, secret=CANARY)
        raised = ""
        try:
            sink.send(letter(self.channel, full_of(CANARY)))
        except EvergreenError:
            raised = traceback.format_exc()
        assert bool(raised) == (how != "works")
        assert CANARY not in raised
        assert CANARY not in caplog.text
        assert not [said for said in self.received() if CANARY in said]
        assert how != "works" or "***" in self.received()[0]


def full_of(secret):
    """Return an event whose texts hold a secret, once so that only a control character parts it."""
    split = f"{secret[:5]}\x00{secret[5:]}"
    return replace(
        FAILED,
        headline=f"the login {secret} failed",
        lines=(f"password={secret}", split, f"{secret[:5]}\n{secret[5:]}"),
        values=(secret,),
        owner=secret,
        triggered_by=secret,
        run_key=secret,
        command=f"evergreen {secret}",
    )
