"""Named places where a test may kill the process, between any two side effects of a step.

Set `EVERGREEN_FAIL` to a name and the process dies there as if by `kill -9`: no clean-up runs.
Without it a failpoint is one dictionary look-up.
"""

from __future__ import annotations

import os

EXIT_CODE = 137


def failpoint(name: str) -> None:
    """Die here if a test asked for it."""
    if os.environ.get("EVERGREEN_FAIL") == name:
        os._exit(EXIT_CODE)
