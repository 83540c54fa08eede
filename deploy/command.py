#!/usr/bin/env python3
"""Runs a command of Evergreen with the connections of the file that CONNECTIONS names.

python command.py rollback MODEL --why "…"

Tasks ask Airflow's API server for a connection. A command is no task, and looks for AIRFLOW_CONN_ID in
its environment: from here it has them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def with_connections(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with every connection of the file, as JSON or as its URI."""
    connections = json.loads(Path(environ["CONNECTIONS"]).read_text(encoding="utf-8"))
    return {**environ} | {
        f"AIRFLOW_CONN_{name.upper()}": one if isinstance(one, str) else json.dumps(one)
        for name, one in connections.items()
    }


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
    """Become the command."""
    os.execvpe("evergreen", ["evergreen", *arguments], with_connections(environ))  # noqa: S606, S607


if __name__ == "__main__":
    main(sys.argv[1:])
