"""Messages to people as lines of the log, for installations without any other channel."""

from __future__ import annotations

import logging

from evergreen.alerts.channels import channel_of
from evergreen.alerts.letter_words import words_of
from evergreen.connections import Connections
from evergreen.outbox import Letter, Receipt

logger = logging.getLogger("evergreen.alerts")


class LogSink:
    """Writes one line a letter: a warning, or of low severity for information."""

    def __init__(self, connections: Connections) -> None:
        pass

    def send(self, letter: Letter) -> Receipt:
        """Log the letter."""
        channel = channel_of(letter.message.channel)
        words = words_of(letter, data_values=channel.data_values)
        level = logging.INFO if words.severity == "low" else logging.WARNING
        parts = [words.lead, *words.lines, *words.values]
        parts += [f"{label.lower()} {value}" for label, value in words.facts]
        parts += [words.url, *(f"{what.lower()}: {command}" for what, command in words.commands)]
        said = "; ".join(filter(None, parts))
        logger.log(level, "%s %s [%s]", words.title, said, letter.message.key)
        return Receipt()
