"""The idempotency keys of ledger entries: `KIND/RUN_KEY`, `KIND#2/RUN_KEY` for a second of a kind.

Distinct entries have distinct keys: a kind holds neither `#` nor `/`, whatever a run key holds.
"""

from __future__ import annotations


def entry_key(kind: str, run_key: str, number: int = 1) -> str:
    """Return the key of a run's `number`-th entry of a kind, counted from 1.

    >>> entry_key("comparison", "churn/run", 2)
    'comparison#2/churn/run'
    """
    return f"{kind}/{run_key}" if number == 1 else f"{kind}#{number}/{run_key}"


def run_key_of(key: str) -> str:
    """Return the run key within an entry's key.

    >>> run_key_of("comparison#2/churn/run")
    'churn/run'
    """
    return key.partition("/")[2]
