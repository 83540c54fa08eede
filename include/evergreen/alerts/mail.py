"""A letter as a mail: plain text and HTML, in one thread with the other letters of its incident."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import TYPE_CHECKING

from evergreen.alerts.letter_words import Words, as_text, header_key
from evergreen.alerts.mail_page import mail_page
from evergreen.text import plain

if TYPE_CHECKING:
    from evergreen.outbox import Letter

_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9.@_-]{3,500}>")


def mail_of(letter: Letter, words: Words, sender: str, to: Sequence[str], now: datetime) -> EmailMessage:
    """Return the mail; the same letter has the same Message-ID at every try.

    Raises:
        ValueError: an address of the sender or of a receiver that is none.
    """
    message = letter.message
    mail = EmailMessage(policy=SMTP)
    name, spec = parseaddr(sender if sender == plain(sender) else "")
    mail["From"] = _address(spec, name)
    mail["To"] = [_address(address) for address in to]
    mail["Subject"] = f"Re: {words.subject}" if words.continues else words.subject
    mail["Date"] = format_datetime(now)
    domain = spec.rpartition("@")[2]
    identity = message_id(message.key, domain)
    mail["Message-ID"] = identity
    if message.incident is not None and message.purpose != "digest":
        _in_its_thread(mail, message_id(f"incident/{message.incident}", domain), letter.thread)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["X-Evergreen-Event"] = "digest" if message.purpose == "digest" else message.event.name
    mail["X-Evergreen-Message"] = header_key(message.key)
    if words.severity == "high" and not words.good:
        mail["Importance"] = "high"
    mail.set_content(as_text(words))
    mail.add_alternative(mail_page(words), subtype="html")
    mail.set_boundary(f"=_evergreen_{_digest(message.key)[:32]}")
    return mail


def message_id(key: str, domain: str) -> str:
    """Return the Message-ID that belongs to a key.

    >>> message_id("failed/churn/1", "example.com")
    '<498130a131642223badd483ee4796bba78d37d20@example.com>'
    """
    where = domain if _DOMAIN.fullmatch(domain) else "evergreen.invalid"
    return f"<{_digest(key)[:40]}@{where}>"


def _in_its_thread(mail: EmailMessage, incident: str, opening: str | None) -> None:
    """Refer to the incident, a mail that never was, and to its opening: readers thread by either."""
    known = opening if opening and _MESSAGE_ID.fullmatch(opening) else None
    mail["References"] = f"{incident} {known}" if known else incident
    if known:
        mail["In-Reply-To"] = known


def _digest(key: str) -> str:
    return hashlib.sha256(header_key(key).encode()).hexdigest()


def _address(spec: str, name: str = "") -> Address:
    try:
        return Address(display_name=name, addr_spec=spec)
    except (ValueError, IndexError):
        raise ValueError("not an e-mail address") from None
