"""Make an earlier champion champion again: a release like any other, decided by a person.

It goes the way of `release.py`: under the model's lease for retraining, an intent by compare-and-set on
the champion that the person saw, then the world, then the outcome (`settle.finish`). Killed anywhere and
asked for again it ends as if it had never been killed: its run key follows from that champion and the
version asked for. Where nobody asks again, the next run finishes it.

The as-of of such a release is the latest that any run of the model had by then: rows up to it were
answered by whoever was champion of their time, and rows after it are the old version's to answer.
Scoring and the watch go by that, a backfill of earlier rows still meets who was champion then, and a
retrain as of an earlier instant does not replace what a person chose knowing more.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from evergreen.errors import ArtefactDamaged, ChampionMoved, LedgerError, NotAllowed
from evergreen.failpoints import failpoint
from evergreen.hand import Deed, Restored
from evergreen.hand_questions import known_until, releases, rolled_back, unfinished_release
from evergreen.ports import Entry, Lease
from evergreen.results import GivenUp, Release, from_json
from evergreen.run_keys import is_retrain
from evergreen.steps.memory import holding, recall, record
from evergreen.steps.settle import check_alias, finish, settle
from evergreen.steps.witness import refuse_behind
from evergreen.workspace import Workspace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollback would do: `champion` is who serves by the ledger, `target` who is to.

    `done`: the target is champion already, and there is nothing to do. `unfinished` is a release that
    was decided and not carried out: it is finished first, and the person is to look again; but where it
    is `lost`, for the registry does not hold its version any more, the rollback takes its place.
    """

    seq: int
    champion: Release
    target: Release
    done: bool = False
    unfinished: Release | None = None
    lost: bool = False

    @property
    def run_key(self) -> str:
        """The same for the same wish about the same champion."""
        return f"{self.champion.name}/hand/{self.seq}-to-{self.target.version.number}"

    @property
    def gone(self) -> Release:
        """What is taken out of service: the champion, or what was to take its place."""
        return self.unfinished if self.unfinished is not None and self.lost else self.champion


def planned(workspace: Workspace, model: str, to: int | None) -> Plan:
    """Return what a rollback would do; only reads.

    Without a version it goes to the champion before the present one, leaving out what was rolled back.
    A champion that a person brought back is not left by that: who says it twice, or two who say it at
    once, do not go back twice. Nor is it where what was to take its place is lost.

    Raises:
        NotAllowed: there is no champion, none before it, or the version never was champion.
        StoreUnavailable: the registry did not answer.
    """
    made = releases(workspace.ledger, model)
    if not made:
        raise NotAllowed("the model has no champion, so there is nothing to roll back", where=model)
    entry, champion = made[-1]
    begun, lost = _half_done(workspace, model)
    stays = to is None and (lost or champion.restored is not None)
    target = champion if stays else _target(workspace, made, to)
    done = begun is None and target.version == champion.version
    return Plan(entry.seq, champion, target, done, begun, lost)


def _half_done(workspace: Workspace, model: str) -> tuple[Release | None, bool]:
    """Return the release that was decided and not carried out, and whether its version is lost.

    One that a rollback gave up, which was killed then, counts as well: who says it again means the same.
    """
    begun = unfinished_release(workspace.ledger, model)
    if begun is not None:
        return begun, not workspace.registry.holds(begun.version)
    intended = workspace.ledger.last(model, "release_intended")
    found = None if intended is None else from_json(Release, intended.body)
    given_up = None if found is None else recall(workspace, "release_given_up", found.run_key, GivenUp)
    if given_up is None or is_retrain(given_up.by):
        return None, False
    return found, True


def _target(workspace: Workspace, made: Sequence[tuple[Entry, Release]], to: int | None) -> Release:
    champion = made[-1][1]
    if to is not None:
        for _, one in reversed(made):
            if one.version.number == to:
                return one
        raise NotAllowed(f"version {to} never was champion", where=champion.name, allowed=_listed(made))
    gone = {one.version for one in rolled_back(workspace.ledger, champion.name).values()}
    for _, before in reversed(made):
        if before.version.number not in {champion.version.number, *gone}:
            return before
    raise NotAllowed(
        f"there was no champion before version {champion.version.number} that was not rolled back",
        where=champion.name,
        allowed=_listed(made),
        fix="name one with --to, or retrain",
    )


def _listed(made: Sequence[tuple[Entry, Release]]) -> str:
    """Return the versions that were champion before, with when they were trained."""
    champion = made[-1][1].version.number
    known = {one.version.number: one.trained_as_of for _, one in made}
    others = [f"version {n} (as of {at:%Y-%m-%d})" for n, at in sorted(known.items()) if n != champion]
    return ", ".join(others) or "no other version was champion"


def check(workspace: Workspace, plan: Plan) -> None:
    """Refuse what could not be carried out, before anything is begun; only reads.

    Raises:
        ArtefactDamaged: the version's files are not what the ledger recorded, or the registry lost it.
        RegistryDisagrees: somebody moved the registry's alias to a third version.
        StoreUnavailable: the registry or the artifact store did not answer.
    """
    version = plan.target.version
    if not workspace.registry.holds(version):
        raise ArtefactDamaged(
            "the registry does not hold this version any more; nothing was changed",
            where=f"registered model {version.name}",
            got=f"version {version.number} of candidate {version.candidate_key}",
            fix="restore it there, or roll back to another version",
        )
    check_alias(workspace, version, plan.champion.version.number)
    workspace.scorer.verify(plan.target.candidate)


def rollback(workspace: Workspace, plan: Plan, who: str, why: str) -> Release:
    """Make the plan's target champion and return its release, made now or by an earlier try.

    Args:
        workspace: The ports.
        plan: What `planned` said.
        who: The person.
        why: Their reason.

    Raises:
        ChampionMoved: another release was made since the plan, or one was finished first that a killed
            run had begun; a person should look again.
        LeaseHeld: a run is at work on the model.
        ArtefactDamaged: see `check`.
        RegistryDisagrees: see `check`.
        LedgerBehind: a checkpoint contradicts the ledger; nothing was changed.
        StoreUnavailable: the registry or the target did not take the version; the same command, or the
            next run, finishes what was begun.
    """
    if plan.done:
        return plan.champion
    refuse_behind(workspace.ledger, workspace.checkpoints)
    to, gone = plan.target.version.number, plan.gone.version.number
    deed = Deed("rollback", who, why, to, previous=gone)
    lease: Lease | None = None
    try:
        with holding(workspace, plan.run_key, "rollback") as lease:
            return _carried_out(workspace, plan, deed, lease)
    finally:
        if lease is not None:
            with suppress(LedgerError):
                workspace.ledger.free(lease)


def _carried_out(workspace: Workspace, plan: Plan, deed: Deed, lease: Lease) -> Release:
    model = plan.champion.name
    begun = unfinished_release(workspace.ledger, model)
    settle(workspace, model, lease)
    found = recall(workspace, "release", plan.run_key, Release)
    if found is not None:
        return found
    newest, champion = releases(workspace.ledger, model)[-1]
    if newest.seq != plan.seq:
        finished = begun is not None and begun.run_key == champion.run_key
        raise ChampionMoved(
            f"version {champion.version.number} became champion since you looked"
            + (f": what run {champion.run_key} had begun was finished first" if finished else "")
            + "; nothing was rolled back",
            where=model,
            fix="look at it, then say again what is to serve",
        )
    check(workspace, plan)
    failpoint("rollback.checked")
    intended = record(
        workspace,
        "release_intended",
        plan.run_key,
        _intent(workspace, plan, deed),
        lease,
        expected_release=plan.seq,
    )
    failpoint("rollback.intended")
    release = finish(workspace, intended, lease)
    failpoint("rollback.finished")
    log.info("%s rolled back to version %d by %s", model, release.version.number, deed.who)
    return release


def _intent(workspace: Workspace, plan: Plan, deed: Deed) -> Release:
    target, champion = plan.target, plan.champion
    known = known_until(workspace.ledger, champion.name)
    return Release(
        name=champion.name,
        version=target.version,
        candidate=target.candidate,
        previous=champion.version.number,
        as_of=champion.as_of if known is None else max(known, champion.as_of),
        target=champion.target,
        run_key=plan.run_key,
        restored=Restored(deed, target.made_by, target.trained_as_of),
    )
