"""Whether a Redis can be started here: skips where it is not installed, and fails there in CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def redis_program() -> Path:
    """Return the server's program."""
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("Redis is not installed, and in CI its tests must run")
        pytest.skip("Redis is not installed (apt-get install redis-server)")
    return Path(found)
