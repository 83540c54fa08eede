"""`evergreen rollback`: make an earlier champion champion again."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from evergreen.cli.exit_codes import OK
from evergreen.cli.known_model import known_model
from evergreen.cli.output import complain, say, say_json
from evergreen.cli.person import person, reason
from evergreen.connections import from_environment
from evergreen.errors import LeaseHeld
from evergreen.hand_questions import standing
from evergreen.ports import Pointer
from evergreen.results import Release, to_json
from evergreen.run_keys import pass_key
from evergreen.settings import Settings
from evergreen.steps.rollback import Plan, check, planned
from evergreen.steps.rollback import rollback as roll_back
from evergreen.text import plain
from evergreen.wiring import open_workspace
from evergreen.workspace import Workspace

SECONDS_BETWEEN_TRIES = 2


def rollback(arguments: Namespace) -> int:
    """Roll back, or say what that would do."""
    why, settings = reason(arguments.why), Settings.from_environment()
    with open_workspace(settings, from_environment) as workspace:
        model = known_model(workspace.ledger, settings.models, arguments.name)
        plan = planned(workspace, model, arguments.to)
        if arguments.dry_run:
            return _foretold(workspace, plan, arguments)
        release = _when_free(workspace, plan, why, arguments.wait)
        served = workspace.deployer.serving(model)
        stands = standing(workspace.ledger, model)
    undo = None
    if not plan.done and not plan.lost:
        undo = f'evergreen rollback {model} --to {release.previous} --why "…"'
    if arguments.json:
        say_json(
            {
                "changed": not plan.done,
                "release": to_json(release),
                "serving": None if served is None else to_json(served),
                "standing": to_json(stands),
                "undo": undo,
            }
        )
        return OK
    for line in _already(plan) if plan.done else _done(plan, release):
        say(line)
    say(f"  serves: {_served(served, release)}")
    for line in stands.lines():
        say(f"  {line}")
    if not plan.done and stands.withheld is None:
        say(f'  the next retrain may replace it; to keep it: evergreen pin {model} --why "…"')
    if undo is not None:
        say(f"  undo: {undo}")
    return OK


def _when_free(workspace: Workspace, plan: Plan, why: str, wait_seconds: float) -> Release:
    """Roll back, as soon as no run is at work on the model.

    Raises:
        LeaseHeld: one still was after that time.
    """

    def told(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            complain(f"waiting up to {wait_seconds:g} seconds: {state.outcome.exception()}")

    tries = Retrying(
        retry=retry_if_exception_type(LeaseHeld),
        wait=wait_fixed(SECONDS_BETWEEN_TRIES),
        stop=stop_after_delay(wait_seconds),
        before_sleep=told,
        reraise=True,
    )
    try:
        return tries(roll_back, workspace, plan, person(), why)
    except LeaseHeld as exc:
        model = plan.champion.name
        by_a_pass = workspace.ledger.holder(model) == pass_key(model)
        wait = "wait for that run with --wait 3600, or end it (in Airflow: mark it failed)"
        follow = f"where that pass was killed, evergreen reconcile {model} gives its lease back"
        raise LeaseHeld(
            exc.what,
            where=exc.where,
            got=exc.got,
            fix=f"nothing was changed; {follow if by_a_pass else wait}; then say this again",
        ) from exc


def _foretold(workspace: Workspace, plan: Plan, arguments: Namespace) -> int:
    half_done = plan.unfinished
    first = half_done is not None and not plan.lost and half_done.run_key != plan.run_key
    if not plan.done and not first:
        check(workspace, plan)
    holder = workspace.ledger.holder(plan.champion.name)
    if arguments.json:
        say_json(
            {
                "champion": plan.champion.version.number,
                "to": plan.target.version.number,
                "would_change": not plan.done,
                "unfinished": None if half_done is None else half_done.version.number,
                "held_by": holder,
            }
        )
        return OK
    if plan.done:
        for line in _already(plan):
            say(line)
        return OK
    if half_done is not None and first:
        say(
            f"{half_done.name}: run {half_done.run_key} decided to release version "
            f"{half_done.version.number} and did not finish: a rollback would finish that first, and "
            "ask you to look again; nothing was changed"
        )
        return OK
    say(
        f"{plan.champion.name}: version {plan.target.version.number} (trained as of "
        f"{plan.target.trained_as_of:%Y-%m-%d %H:%M}) would take the place of version "
        f"{plan.gone.version.number} on target {plan.champion.target}"
    )
    say("  its files are what the ledger recorded, and the registry holds it; nothing was changed")
    if holder is not None:
        say(f"  run {holder} is at work on the model: the rollback waits for it with --wait")
    return OK


def _already(plan: Plan) -> Iterator[str]:
    champion = plan.champion
    name, number = champion.name, champion.version.number
    if champion.restored is None:
        yield f"{name}: version {number} is the champion already; nothing was done"
        return
    deed = champion.restored.deed
    yield (
        f"{name}: version {number} is the champion already: {plain(deed.who, 100)} rolled back to it "
        f"from version {champion.previous}: {plain(deed.why, 300)}; nothing was done"
    )
    yield f'  to go further back, name the version: evergreen rollback {name} --to VERSION --why "…"'


def _done(plan: Plan, release: Release) -> Iterator[str]:
    yield (
        f"{release.name}: version {release.version.number} (trained as of "
        f"{release.trained_as_of:%Y-%m-%d %H:%M}) is champion again, in the place of version "
        f"{plan.gone.version.number}{', which the registry lost' if plan.lost else ''}"
    )
    if release.restored is not None:
        yield f"  by {plain(release.restored.deed.who, 100)}: {plain(release.restored.deed.why, 300)}"


def _served(served: Pointer | None, release: Release) -> str:
    if served is None:
        return "nothing: the target names no version"
    differs = (
        "" if served.model.digest == release.version.model.digest else ", which is NOT the champion"
    )
    return f"version {served.version} on target {release.target}, as read back from it{differs}"
