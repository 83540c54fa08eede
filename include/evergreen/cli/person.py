"""Who types a command, and what they say of it."""

from __future__ import annotations

import os
import pwd

from evergreen.cli.usage import UsageError
from evergreen.hand import LONGEST_WHY
from evergreen.text import plain


def person() -> str:
    """Return the account that runs this process; no option and no variable changes it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a user without a name
        return f"uid {os.getuid()}"


def reason(why: str) -> str:
    """Return a reason as one line.

    Raises:
        UsageError: it says nothing, or too much to be read later.
    """
    line = plain(why, LONGEST_WHY + 1).strip()
    if not line:
        raise UsageError("--why: say why, for whoever reads the ledger later")
    if len(line) > LONGEST_WHY:
        raise UsageError(f"--why: at most {LONGEST_WHY} characters")
    return line
