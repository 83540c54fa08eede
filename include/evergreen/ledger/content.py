"""What a caller wants appended: checked before the database is touched, compared where it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from evergreen.canonical import canonical
from evergreen.errors import KeyConflict, LedgerError, bounded
from evergreen.ledger import KINDS
from evergreen.ledger.chain import Row, entry_of
from evergreen.ports import Lease

LONGEST_KEY_BYTES = 2000


class Content:
    """An entry before it has a place in the chain; `body` is its canonical text.

    Raises:
        LedgerError: an unknown kind, a key that is none, or a body that is not JSON.
    """

    def __init__(self, kind: str, key: str, body: Mapping[str, Any], lease: Lease) -> None:
        if kind not in KINDS:
            raise LedgerError(
                "unknown kind of entry", where=bounded(key), got=kind, allowed=", ".join(KINDS)
            )
        if not key or not key.isprintable() or len(key.encode()) > LONGEST_KEY_BYTES:
            raise LedgerError(
                "not an idempotency key",
                got=key,
                allowed=f"1 to {LONGEST_KEY_BYTES} bytes of printable text",
            )
        try:
            self.body = canonical(dict(body)).decode()
        except ValueError as exc:
            raise LedgerError(
                "the entry's body is not JSON",
                where=key,
                got=str(exc),
                fix="pass JSON values; NaN and infinities are none",
            ) from exc
        self.kind = kind
        self.key = key
        self.lease = lease

    def agreeing(self, stored: Row) -> Row:
        """Return the stored row where it says the same.

        Raises:
            KeyConflict: it says something else.
        """
        ours = {"kind": self.kind, "model": self.lease.model, "body": json.loads(self.body)}
        theirs = {"kind": stored.kind, "model": stored.model, "body": entry_of(stored).body}
        if ours == theirs and self.body == stored.body:
            return stored
        paths = sorted(_differences("", ours, theirs))
        raise KeyConflict(
            "the ledger holds another entry under this key",
            where=self.key,
            got=f"different {', '.join(paths)}",
            fix=f"entry {stored.seq} stands; what was computed now is not what was computed then",
        )


def _differences(path: str, ours: Any, theirs: Any) -> Iterator[str]:
    """Yield the paths at which two JSON values differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in ours.keys() | theirs.keys():
            inner = f"{path}.{name}" if path else str(name)
            yield from _differences(inner, ours.get(name), theirs.get(name))
    elif ours != theirs or type(ours) is not type(theirs):
        yield path
