"""What stands of the deeds of people: the last of its kind wins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evergreen.hand import PAUSABLE, Deed, Said, Standing, standing_after
from evergreen.results import from_json, to_json

START = datetime(2026, 1, 1, tzinfo=UTC)

deeds = st.builds(
    Deed,
    st.sampled_from(["rollback", "pin", "unpin", "pause", "resume"]),
    st.sampled_from(["ana", "bob"]),
    st.sampled_from(["it errs", "a campaign", "moved on"]),
    st.integers(1, 5),
    st.none() | st.sampled_from(PAUSABLE),
)


def at(number: int) -> datetime:
    return START + timedelta(hours=number)


def after(*done: Deed) -> Standing:
    return standing_after((number, at(number), deed) for number, deed in enumerate(done, 1))


def deed(action: str, version: int | None = None, only: str | None = None, who: str = "ana") -> Deed:
    return Deed(action, who, "why not", version, only)


def said(number: int, who: str = "ana") -> Said:
    return Said(who, "why not", at(number))


def test_nothing_stands_where_nothing_was_done():
    assert after() == Standing()
    assert after().withheld is None
    assert after().lines() == ()


@given(st.lists(deeds))
def test_the_last_pin_or_unpin_decides_whether_a_model_is_pinned(done: list[Deed]):
    stands = after(*done)
    about = [(n, d) for n, d in enumerate(done, 1) if d.action in {"pin", "unpin"}]
    if not about or about[-1][1].action == "unpin":
        assert (stands.pinned, stands.version) == (None, None)
        return
    number, last = about[-1]
    assert stands.pinned == Said(last.who, last.why, at(number))
    rollbacks = [d.version for d in done[number:] if d.action == "rollback"]
    assert stands.version == [last.version, *rollbacks][-1], "a rollback takes the pin with it"


@given(st.lists(deeds))
def test_the_last_pause_or_resumption_of_a_duty_decides_on_it_and_on_no_other(done: list[Deed]):
    stands = after(*done)
    for duty in PAUSABLE:
        about = [
            (n, d)
            for n, d in enumerate(done, 1)
            if d.action in {"pause", "resume"} and d.only in {None, duty}
        ]
        if not about or about[-1][1].action == "resume":
            assert duty not in stands.paused
        else:
            number, last = about[-1]
            assert stands.paused[duty] == Said(last.who, last.why, at(number))


@given(st.lists(deeds))
def test_what_stands_remembers_the_last_deed_and_travels_as_json(done: list[Deed]):
    stands = after(*done)
    assert stands.seq == (len(done) or None)
    assert from_json(Standing, to_json(stands)) == stands


@given(st.lists(deeds))
def test_nothing_is_released_while_pinned_or_while_retrains_are_paused(done: list[Deed]):
    stands = after(*done)
    assert (stands.withheld is not None) == (stands.pinned is not None or "retrain" in stands.paused)


def test_a_rollback_alone_pins_nothing():
    assert after(deed("rollback", 1)).pinned is None


def test_a_pause_of_scoring_or_of_the_watch_keeps_nothing_from_being_released():
    assert after(deed("pause", only="score"), deed("pause", only="monitor")).withheld is None


def test_the_words_name_who_decided_when_and_why_and_which_dags_rest():
    whole = after(deed("pin", 3), deed("pause", who="bob"))
    assert whole.lines() == (
        "pinned on version 3 by ana since 2026-01-01 01:00 UTC: why not",
        "paused by bob since 2026-01-01 02:00 UTC: why not",
    )
    assert whole.withheld == "version 3 is pinned by ana since 2026-01-01 01:00 UTC: why not"
    some = after(deed("pause", only="score"), deed("pause", only="monitor", who="bob"))
    assert some.lines() == (
        "paused (score) by ana since 2026-01-01 01:00 UTC: why not",
        "paused (monitor) by bob since 2026-01-01 02:00 UTC: why not",
    )
    left = after(deed("pause"), deed("resume", only="score"))
    assert left.lines() == ("paused (retrain, monitor) by ana since 2026-01-01 01:00 UTC: why not",)
    assert left.withheld == "the model is paused by ana since 2026-01-01 01:00 UTC: why not"


def test_a_reason_that_holds_control_characters_is_told_without_them():
    deed_ = Deed("pin", "ana\x1b[2J", "a\nb\u202e", 1)
    assert after(deed_).lines() == ("pinned on version 1 by ana[2J since 2026-01-01 01:00 UTC: a b",)
