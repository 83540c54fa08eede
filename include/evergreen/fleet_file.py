"""The fleet's own file (`EVERGREEN_ALERTS`): who is told of models whose file names no channels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from evergreen.alert_spec import Channel, FleetAlerts, LogChannel
from evergreen.document import read_document
from evergreen.errors import InvalidModelFile
from evergreen.length_checks import lengths_of_escalation
from evergreen.spec_errors import problems_of, shown_value

log = logging.getLogger(__name__)

LAST_RESORT: tuple[Channel, ...] = (LogChannel(type="log"),)
"""Who is told where nobody is named: the log of whoever delivers."""


def read_fleet(path: Path) -> FleetAlerts:
    """Read the fleet's file.

    Raises:
        InvalidModelFile: with every problem of the file, and its place.
    """
    document = read_document(path)
    problems = list(document.problems)
    if not isinstance(document.tree, dict):
        if not problems:
            got = shown_value(document.tree)
            fix = "write 'alerts:' and a list of channels"
            problems.append(document.problem((), "the file must be a section of keys", got=got, fix=fix))
        raise InvalidModelFile(problems)
    problems.extend(lengths_of_escalation(document, path))
    try:
        fleet = FleetAlerts.model_validate(document.tree)
    except ValidationError as exc:
        raise InvalidModelFile([*problems, *problems_of(document, exc, FleetAlerts)]) from None
    if problems:
        raise InvalidModelFile(problems)
    return fleet


def fleet_channels(path: Path | None) -> Sequence[Channel]:
    """Return the fleet's channels, or the log where no file is set or it cannot be used.

    A broken file stops no message: it is logged, and `evergreen notify` says what is wrong with it.
    """
    if path is None:
        return LAST_RESORT
    try:
        return read_fleet(path).alerts
    except InvalidModelFile as exc:
        log.error("the fleet's alerts (EVERGREEN_ALERTS) cannot be used; the log is: %s", exc)
        return LAST_RESORT
