#!/usr/bin/env python3
"""Ends well where a server answers and, if asked for one, says that Airflow's COMPONENT is healthy.

python healthy.py URL [COMPONENT]

Compose runs this every half minute in each container, so it imports nothing but the standard library.
"""

from __future__ import annotations

import json
import sys
from urllib.request import urlopen

SECONDS = 5


def main(url: str, component: str | None = None) -> None:
    """Ask once.

    Raises:
        OSError: no answer, or one that says no.
        SystemExit: the component is not healthy.
    """
    with urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - docker-compose.yaml names it
        body = answer.read()
    if component is not None and (status := json.loads(body)[component]["status"]) != "healthy":
        raise SystemExit(f"{component}: {status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
