"""One `evergreen run` of a model at a time on this machine.

The ledger's lease knows a holder by its run key, so that a retry takes over what a killed try left.
Two processes that were asked for the same run share that key and would fence each other off, until
neither may write. A file lock tells them apart: the system drops it with its process, however that ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from evergreen.errors import BadConfiguration, LeaseHeld
from evergreen.file_lock import locked


@contextmanager
def alone(home: Path, model: str) -> Iterator[None]:
    """Be the only such process of a model, as far as `home` reaches, while the block runs.

    Raises:
        BadConfiguration: `home` cannot be written.
        LeaseHeld: another process is at work on this model.
    """
    lock = home / "running" / f"{model}.lock"
    with ExitStack() as held:
        try:
            held.enter_context(locked(lock, wait=False))
        except BlockingIOError:
            raise LeaseHeld(
                "another evergreen run is at work on this model",
                where=model,
                fix="nothing was begun; wait for that one to end, and then ask again",
            ) from None
        except OSError as exc:
            raise BadConfiguration(
                f"the folder cannot be written: {exc.strerror}",
                where=str(lock.parent),
                fix="set EVERGREEN_HOME to a folder of your own",
            ) from exc
        yield
