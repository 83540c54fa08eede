"""`evergreen reconcile --adopt`: accept a ledger that its checkpoints contradict (a backup)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.output import say, say_json
from evergreen.cli.person import person, reason
from evergreen.cli.usage import UsageError
from evergreen.connections import from_environment
from evergreen.errors import BadConfiguration, ChainBroken
from evergreen.results import to_json
from evergreen.settings import Settings
from evergreen.steps.adopt import Loss, loss
from evergreen.steps.adopt import adopt as accept
from evergreen.wiring import fill, open_ledger


def adopt(arguments: Namespace) -> int:
    """Say what is lost, and unless it is a dry run accept the ledger; 1 where a dry run found a loss.

    Raises:
        ChainBroken: the ledger's own chain does not verify: that cannot be adopted.
        BadConfiguration: no place of checkpoints is set, so nothing can contradict the ledger.
    """
    if arguments.names or not (arguments.why or arguments.dry_run):
        raise UsageError("--adopt: it is about the whole ledger; name no model, and say --why")
    settings = Settings.from_environment()
    with open_ledger(settings) as ledger:
        workspace = fill(settings, from_environment, ledger)
        if not workspace.checkpoints:
            raise BadConfiguration(
                "no place keeps checkpoints of the ledger, so there is nothing to give up",
                fix="set EVERGREEN_CHECKPOINTS",
            )
        chain = ledger.verify()
        if not chain.ok:
            raise ChainBroken(
                "a ledger whose own chain is broken cannot be adopted",
                where=f"ledger entry {chain.first_bad_seq}",
                got=chain.what,
                fix="restore a backup that `evergreen audit` finds whole",
            )
        found = loss(workspace.ledger, workspace.checkpoints, workspace.registry)
        adopted = None
        if found is not None and not arguments.dry_run:
            why = reason(arguments.why)
            adopted = accept(workspace.ledger, workspace.checkpoints, found, person(), why)
    if arguments.json:
        lost = None if found is None else {**asdict(found.newest), "unknown": list(found.unknown)}
        say_json({"lost": lost, "adopted": None if adopted is None else to_json(adopted)})
    else:
        for line in _told(found):
            say(line)
        if adopted is not None:
            say(f"adopted, as era {adopted.era}: runs may begin; now see evergreen reconcile --dry-run")
    return FINDINGS if found is not None and adopted is None else OK


def _told(found: Loss | None) -> Iterator[str]:
    if found is None:
        yield "no checkpoint contradicts the ledger: there is nothing to give up"
        return
    head = 0 if found.head is None else found.head.seq
    yield f"the ledger has {head:,} entries; checkpoints vouch for those up to {found.agreed:,}"
    yield f"given up: the checkpoint of entry {found.newest.seq:,} of {found.newest.at}"
    yield f"  {found.newest.text()}"
    for line in found.unknown:
        yield f"in the registry, and unknown to the ledger: {line}"
