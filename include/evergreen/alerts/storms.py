"""What becomes of many messages at once: a few are sent, and the rest are gathered into one digest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from evergreen.alerts.channels import canonical, channel_of, place
from evergreen.canonical import digest_of
from evergreen.outbox import Allowance, Message, Purpose

MOST_AT_ONCE = 5
SPAN = timedelta(minutes=10)
HOLD = timedelta(seconds=60)
MOST_GATHERED = 500
BEGINNINGS: frozenset[Purpose] = frozenset({"opening", "single", "escalation"})
FOLLOW_UPS: frozenset[Purpose] = frozenset({"update", "closing"})
"""Counted apart: that many models are well again is a storm of its own."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """What is tried now, which digests are made of which messages (by key), and what waits for one.

    `send` keeps within the allowance; `late` is sent whatever the allowance.
    """

    send: tuple[Message, ...] = ()
    late: tuple[Message, ...] = ()
    digests: tuple[tuple[Message, tuple[str, ...]], ...] = ()
    held: tuple[Message, ...] = ()


def allowance(message: Message, now: datetime) -> Allowance | None:
    """Return what the place of a message may be sent of its kind; None: as much as there is."""
    kind = _kind(message)
    return None if kind is None else Allowance(MOST_AT_ONCE, now - SPAN, kind)


def sort_out(waiting: Sequence[Message], sent: Callable[[str, Allowance], int], now: datetime) -> Sorted:
    """Sort what is due into what is sent by itself and what is gathered.

    Of each kind a place gets `MOST_AT_ONCE` within `SPAN`. What comes beyond that is held for `HOLD`
    after the first of it was due, and then told in one digest; one that is held alone is sent as it is.
    So is what somebody began to send: it may have arrived, and its key alone lets the receiver tell.

    Args:
        waiting: Messages that are due.
        sent: Returns how many a channel was sent of an allowance's kind since its begin.
        now: The time.
    """
    send: list[Message] = []
    late = [one for one in waiting if one.begun]
    held: list[Message] = []
    digests: list[tuple[Message, tuple[str, ...]]] = []
    fresh = [one for one in waiting if not one.begun]
    for _, group in groupby(sorted(fresh, key=_group), key=_group):
        these = list(group)
        allowed = allowance(these[0], now)
        left = len(these)
        if allowed is not None:
            left = max(allowed.most - sent(these[0].channel, allowed), 0)
        rest = these[left:]
        send += these[:left]
        if not rest:
            continue
        if now < min(one.due_at for one in rest) + HOLD:
            held += rest
        elif len(rest) == 1:
            late += rest
        else:
            parts = [rest[i : i + MOST_GATHERED] for i in range(0, len(rest), MOST_GATHERED)]
            digests += [(_digest(part, now), tuple(one.key for one in part)) for part in parts]
    return Sorted(tuple(send), tuple(late), tuple(digests), tuple(held))


def _digest(members: Sequence[Message], now: datetime) -> Message:
    """Return the message that tells all of them; it quotes data only where each of them may."""
    first = members[0]
    channels = [channel_of(one.channel) for one in members]
    careful = channels[0].model_copy(update={"data_values": all(one.data_values for one in channels)})
    events = tuple(event for one in members for event in (one.event, *one.gathers))
    incidents = {one.incident for one in members}
    return Message(
        key=f"digest/{digest_of([one.key for one in members])[:32]}",
        channel=canonical(careful),
        purpose="digest",
        event=events[0],
        incident=first.incident if len(incidents) == 1 else None,
        due_at=now,
        gathers=events[1:],
    )


def _kind(message: Message) -> frozenset[Purpose] | None:
    return next((kind for kind in (BEGINNINGS, FOLLOW_UPS) if message.purpose in kind), None)


def _group(message: Message) -> tuple[str, str]:
    kind = _kind(message)
    return place(channel_of(message.channel)), "" if kind is None else min(kind)
