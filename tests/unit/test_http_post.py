"""Which addresses are public, and when a server wishes to be asked again."""

import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.http_post import LONGEST_WAIT, Answer, is_public

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)
PRIVATE = [
    *("10.0.0.1", "127.0.0.1", "127.1.2.3", "169.254.169.254", "172.16.0.1", "192.168.1.1"),
    *("0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
    *("::", "::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "ff02::1", "2001:db8::1"),
    *("fec0::1", "::10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b:1::a00:1", "5f00::1"),
    *("not an address", ""),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_the_internet_does_not_reach_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:4700::1111"])
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_is_as_public_as_the_one_that_it_carries(inner):
    carried = int(inner)
    for outer in (
        ipaddress.IPv6Address(0xFFFF << 32 | carried),
        ipaddress.IPv6Address(0x0064FF9B << 96 | carried),
        ipaddress.IPv6Address(0x2002 << 112 | carried << 80),
    ):
        assert is_public(str(outer)) == is_public(str(inner))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("-5", None),
        ("nan", None),
        ("9" * 400, LONGEST_WAIT),
        ("Sun, 01 Nov 2026 06:02:00 GMT", 120.0),
        ("Sun, 01 Nov 2026 05:00:00 GMT", 0.0),
        ("Wed, 01 Nov 2028 06:00:00 GMT", LONGEST_WAIT),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_a_wish_to_be_left_alone_is_read_in_both_forms_and_bounded(said, seconds):
    assert Answer(429, "", {"retry-after": said}).retry_after_seconds(NOW) == seconds
    assert timedelta(seconds=LONGEST_WAIT) == timedelta(days=1)


@given(st.text())
def test_whatever_a_header_says_is_a_wish_or_none(said):
    wait = Answer(429, "", {"retry-after": said}).retry_after_seconds(NOW)
    assert wait is None or 0 <= wait <= LONGEST_WAIT
