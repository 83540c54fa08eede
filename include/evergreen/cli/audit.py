"""`evergreen audit`: is the ledger still the one that was written, and where does it first not."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from evergreen.checkpoints import Checkpoint, Held, held_against
from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.output import say, say_json
from evergreen.cli.usage import UsageError
from evergreen.connections import from_environment
from evergreen.errors import ArtefactDamaged
from evergreen.evidence.numbers import counted
from evergreen.ledger.chain import Audit
from evergreen.ports import Entry
from evergreen.settings import Settings
from evergreen.steps.eras import adoptions
from evergreen.wiring import checkpoint_places, open_ledger
from evergreen.witness_ports import CheckpointPlace

WHOLE = (None, None)
COLUMNS = ("seq", "at", "model", "kind", "key", "body", "previous_hash", "hash")


def audit(arguments: Namespace) -> int:
    """Verify the chain, and hold it against checkpoints; 1 where it is not what was written.

    Raises:
        ArtefactDamaged: a place holds a file that is no checkpoint, or a named one holds none.
        StoreUnavailable: a place did not answer, so the ledger cannot be vouched for.
    """
    if arguments.verifier:
        say(files("evergreen.ledger").joinpath("verifier.py").read_text(encoding="utf-8").rstrip("\n"))
        return OK
    settings = Settings.from_environment()
    places = checkpoint_places(settings, from_environment, arguments.checkpoints or ())
    with open_ledger(settings) as ledger:
        if arguments.export is not None:
            _export(ledger, Path(arguments.export))
        found = ledger.verify()
        kept = _all(places, named=bool(arguments.checkpoints))
        given_up = adoptions(ledger) if found.ok else ()
        held = held_against(kept, _up_to(found.count, ledger), found.count, given_up)
    wrong = judged(found, held)
    if arguments.json:
        _say_json(found, held, kept, wrong)
    else:
        _say(found, held, kept, wrong)
    return OK if wrong == WHOLE else FINDINGS


def judged(found: Audit, held: Held) -> tuple[int | None, str | None]:
    """Return the first bad entry, by the chain or a checkpoint, and how it shows; `WHOLE`: none is."""
    wrong = [] if found.ok else [(found.first_bad_seq or 0, found.what or "")]
    wrong += [(one.first_bad_seq, one.what) for one in held.contradictions]
    return min(wrong, key=lambda one: one[0], default=WHOLE)


def _up_to(last: int, ledger: Any) -> Callable[[int], Entry | None]:
    """Return what the ledger has at a `seq`, as far as its own chain is whole."""
    return lambda seq: ledger.at(seq) if seq <= last else None


def _all(places: Sequence[CheckpointPlace], *, named: bool) -> list[Checkpoint]:
    """Return every checkpoint of the places; what is none is evidence of harm, and not passed over."""
    kept: list[Checkpoint] = []
    for place in places:
        before = len(kept)
        for name, one in place.found():
            if one is None:
                raise ArtefactDamaged(
                    "this is no checkpoint, or not the one that its name says",
                    where=f"{place.uri}/{name}",
                    fix="find out what became of it; the ledger was not held against this place",
                )
            kept.append(one)
        if named and len(kept) == before:
            raise ArtefactDamaged("there is no checkpoint at this place", where=place.uri)
    return kept


def _say(found: Audit, held: Held, kept: Sequence[Checkpoint], wrong: Any) -> None:
    for one in held.given_up:
        say(f"given up by an adoption: the checkpoint of entry {one.seq}, {one.at}")
    if not found.ok:
        say(f"the chain is broken at entry {wrong[0]}: {wrong[1]}")
        return
    say(f"the chain verifies: {found.count:,} entries, head {found.head}")
    if wrong != WHOLE:
        say(f"but it is not the ledger of its checkpoints, from entry {wrong[0]} at the latest")
        say(f"  {wrong[1]}; checkpoints agree with entries up to {held.agreed}")
    elif held.agreed:
        vouching = counted(len(kept) - len(held.given_up), "checkpoint")
        say(f"held against {vouching}: entries up to {held.agreed:,} are what they were")
    else:
        say("no checkpoint vouches for it: a tail that was cut off, or computed anew, would not show")


def _say_json(found: Audit, held: Held, kept: Sequence[Checkpoint], wrong: Any) -> None:
    first_bad_seq, what = wrong
    answer = asdict(found) | {"ok": wrong == WHOLE, "first_bad_seq": first_bad_seq, "what": what}
    given_up = [asdict(one) for one in held.given_up]
    say_json({**answer, "checkpoints": len(kept), "agreed": held.agreed, "given_up": given_up})


def _export(ledger: Any, path: Path) -> None:
    """Write every row to a new file, as JSON lines for the stand-alone verifier."""
    try:
        with path.open("x", encoding="utf-8") as file:
            for row in ledger.rows():
                line = json.dumps({name: getattr(row, name) for name in COLUMNS})
                file.write(f"{line}\n")
    except OSError as exc:
        raise UsageError(f"--export: {path}: {exc.strerror}") from None
