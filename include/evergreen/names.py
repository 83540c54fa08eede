"""The one place that says what a model may be called and which ids follow from its name.

Distinct names give distinct ids: a name holds no double underscore and no trailing one, and every
id is `NAME__SUFFIX` with a fixed suffix.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable

NAME_PATTERN = r"^[a-z0-9](?:_?[a-z0-9])*$"
NAME_RULE = (
    "1 to 63 characters of a-z, 0-9 and single underscores, beginning and ending with a letter or digit"
)
LONGEST_NAME = 63
LONGEST_GUESSED = 100
RESERVED_NAMES = frozenset(
    {
        "evergreen",
        "dags",
        "models",
        "all",
        "none",
        "null",
        "latest",
        "invalid",
        "con",
        "nul",
        "aux",
        "prn",
    }
)

_NAME = re.compile(NAME_PATTERN)
_SUFFIXES = frozenset({"invalid_spec", "monitor", "retrain", "score"})


def name_problem(name: str) -> str | None:
    """Return why `name` cannot be a model's name, or None where it can.

    >>> name_problem("flight_delay") is None
    True
    >>> name_problem("dags")
    "the name 'dags' is reserved"
    """
    if name in RESERVED_NAMES:
        return f"the name {name!r} is reserved"
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        return f"not a model name (a name has {NAME_RULE})"
    return None


def retrain_dag_id(name: str) -> str:
    """Return the id of the model's retrain DAG."""
    return f"{name}__retrain"


def score_dag_id(name: str) -> str:
    """Return the id of the DAG that scores fresh rows with the model's champion."""
    return f"{name}__score"


def monitor_dag_id(name: str) -> str:
    """Return the id of the DAG that watches the model's champion."""
    return f"{name}__monitor"


FLEET_DAG_ID = "evergreen__fleet"
"""The DAG that looks after all models; no model can be called evergreen."""
RECONCILE_DAG_ID = "evergreen__reconcile"
"""The DAG that finishes or closes what a crash left of any model."""


def invalid_dag_id(stem: str) -> str:
    """Return the id of the DAG that shows what is wrong with the model file `stem`.

    A stem that is no model name keeps its readable part and gets a digest of the whole, so that two
    broken files never share an id.
    """
    if name_problem(stem) is None:
        return f"{stem}__invalid_spec"
    readable = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:40] or "file"
    digest = hashlib.sha256(stem.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{readable}__{digest}__invalid_spec"


def file_name(text: str) -> str:
    """Return a name that any file system and object store takes, another one for every text.

    >>> file_name("backfill__2013-04-01T06:00:00+00:00")
    'backfill__2013-04-01T06_00_00_00_00__17c21179'
    """
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", text)[:80]
    return f"{readable}__{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def model_of_dag_id(dag_id: str) -> str | None:
    """Return the model a DAG id belongs to, or None for an id that is not one of ours."""
    name, _, suffix = dag_id.rpartition("__")
    return name if name and suffix in _SUFFIXES else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return a suggestion for a misspelt word, or None where nothing known is near.

    >>> did_you_mean("log_los", ["log_loss", "brier"])
    "did you mean 'log_loss'?"
    """
    if len(word) > LONGEST_GUESSED:
        return None
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None
