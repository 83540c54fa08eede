"""What the witness needs from the world: places that keep checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from evergreen.checkpoints import Checkpoint


class CheckpointPlace(Protocol):
    """Keeps checkpoints of one ledger, each for good."""

    @property
    def uri(self) -> str:
        """Where it is, as people name it."""
        ...

    def put(self, checkpoint: Checkpoint) -> bool:
        """Keep a checkpoint; False where it was kept already. Nothing is ever written over.

        Raises:
            LedgerBehind: another checkpoint of this era and `seq` is kept: of another ledger.
            StoreUnavailable: the place did not take it.
        """
        ...

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that can be read, or None where there is none.

        Raises:
            ArtefactDamaged: there are files, and none of them can be read.
            StoreUnavailable: the place did not answer.
        """
        ...

    def found(self) -> Iterator[tuple[str, Checkpoint | None]]:
        """Yield every kept file, the newest first, with its checkpoint; None: it is none.

        Raises:
            StoreUnavailable: the place did not answer.
        """
        ...
