"""`evergreen run`: the same steps that Airflow runs, in this process."""

from __future__ import annotations

import itertools
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from time import monotonic

from rich.console import Console

from evergreen import steps
from evergreen.approval import OS_USER
from evergreen.approval_results import Asked
from evergreen.cli.alone import alone
from evergreen.cli.exit_codes import FINDINGS, INTERRUPTED, OK
from evergreen.cli.output import complain, say, say_json
from evergreen.cli.person import person
from evergreen.cli.terminable import terminable
from evergreen.cli.usage import UsageError, model_path, models_folder, past
from evergreen.connections import from_environment
from evergreen.errors import EvergreenError, LeaseHeld, LedgerBehind, LedgerError
from evergreen.loading import load_model
from evergreen.results import PinnedModel, Retrain, RunReport, to_json
from evergreen.settings import Settings
from evergreen.steps.hand import refuse_paused
from evergreen.steps.memory import retrain_of
from evergreen.steps.requests import Serves, open_requests
from evergreen.steps.summary import summarise
from evergreen.wiring import open_workspace
from evergreen.workspace import Workspace

AFTER_THE_WINDOW: tuple[Callable[[Workspace, str], object], ...] = (
    steps.ingest,
    steps.validate,
    steps.train,
    steps.evaluate,
    steps.refit,
    steps.register,
    steps.approve.ask,
    steps.release,
)


def run(arguments: Namespace) -> int:
    """Run a retrain; 1 where the data was rejected or unusable, 130 where it was interrupted.

    Raises:
        Paused: a person paused the model; nothing was begun.
    """
    if arguments.requested and (arguments.as_of or arguments.release != "auto"):
        raise UsageError("--requested: as-of and release are the request's; give neither")
    path = model_path(models_folder(arguments.models), arguments.name)
    as_of = past(arguments.as_of, "--as-of")
    model = load_model(path)
    settings = Settings.from_environment()
    with (
        open_workspace(settings, from_environment) as workspace,
        alone(settings.home, arguments.name),
        terminable(),
    ):
        wanted = _wanted(workspace, arguments, as_of, model)
        if wanted is None:
            return _nothing_requested(arguments)
        run_key = _run_to_go_on_with(workspace, wanted)
        refuse_paused(workspace, run_key, "retrain")
        try:
            with _progress("resolve_window"):
                begun = steps.resolve_window(
                    workspace,
                    run_key=run_key,
                    model=model,
                    as_of=as_of,
                    reason=arguments.reason,
                    release=arguments.release,
                    serves=_serves(arguments),
                    triggered_by=f"{OS_USER}{person()}",
                )
            asked = _go_through(workspace, run_key) if isinstance(begun, Retrain) else None
        except (LeaseHeld, LedgerBehind):
            raise  # it is the other run, or the ledger's keeper, that has something to report
        except EvergreenError as exc:
            with suppress(LeaseHeld):  # a pass that looks for crashes holds it, and closes the run
                result = steps.report(workspace, run_key, str(exc))
                _show(result, arguments.json, why=False)  # the error itself says why
            raise
        except KeyboardInterrupt:
            _give_back(workspace, arguments.name, run_key)
            complain("interrupted; the same command goes on where this one stopped")
            return INTERRUPTED
        except Exception:  # whatever it is, the next run must not wait for this one's lease
            _give_back(workspace, arguments.name, run_key)
            raise
        if asked is not None:
            return _wait(workspace, asked, arguments)
        result = steps.report(workspace, run_key)
    _show(result, arguments.json)
    return FINDINGS if result.outcome in {"rejected", "failed"} else OK


def _wanted(
    workspace: Workspace, arguments: Namespace, as_of: datetime, model: PinnedModel
) -> str | None:
    """Return the key of the run that is asked for; None where it is to serve a request and none is open.

    The same command gives the same key, so that it goes on where a killed one stopped.
    """
    name = arguments.name
    if not arguments.requested:
        when = f"{as_of:%Y-%m-%dT%H:%M:%SZ}"
        return "/".join((name, "cli", when, model.digest[:12], arguments.release))
    waiting = open_requests(workspace, name)
    if not waiting:
        return None
    newest = waiting[-1]
    if newest.taken_by is not None and newest.taken_by.startswith(f"{name}/cli/"):
        return newest.taken_by
    return f"{name}/cli/request/{newest.request.key.partition('/')[2]}"


def _nothing_requested(arguments: Namespace) -> int:
    if arguments.json:
        say_json(None)
    else:
        say(f"no retrain of {arguments.name!r} is asked for")
    return OK


def _serves(arguments: Namespace) -> Serves:
    """Return which requests the run serves: one by hand those that its later rows answer, too."""
    if arguments.requested:
        return "newest"
    return "none" if arguments.release == "never" else "earlier"


def _run_to_go_on_with(workspace: Workspace, wanted: str) -> str:
    """Return the key of the run asked for, or of the next one where that one has failed for good.

    A run keeps what it once read. Who mends the data and asks again wants it read again.
    """
    keys = (wanted if number == 1 else f"{wanted}/{number}" for number in itertools.count(1))
    return next(key for key in keys if not steps.failed_for_good(workspace, key))


def _give_back(workspace: Workspace, model: str, run_key: str) -> None:
    """Leave the model to whoever runs next."""
    with suppress(LedgerError):
        workspace.ledger.free(workspace.ledger.acquire(model, run_key))


def _go_through(workspace: Workspace, run_key: str) -> Asked | None:
    """Run the steps after the first; return the question that the run waits with, if it does."""
    for step in AFTER_THE_WINDOW:
        with _progress(step.__module__.rpartition(".")[2]):
            result = step(workspace, run_key)
        if isinstance(result, Asked):
            return result
        if getattr(result, "passed", True) is False:
            return None
    return None


def _wait(workspace: Workspace, asked: Asked, arguments: Namespace) -> int:
    """Say whom the run waits for, and how it goes on; it is not over, so nothing is reported of it."""
    result = summarise(workspace, asked.run_key)
    _show(result, arguments.json)
    if not arguments.json:
        as_of = retrain_of(workspace, asked.run_key).windows.as_of
        release = "" if arguments.release == "auto" else f" --release {arguments.release}"
        same = "--requested" if arguments.requested else f"--as-of {as_of:%Y-%m-%dT%H:%M:%SZ}{release}"
        say(f"once it is answered, this goes on: evergreen run {arguments.name} {same}")
    return OK


@contextmanager
def _progress(step: str) -> Iterator[None]:
    console = Console(stderr=True)
    started = monotonic()
    with console.status(f"{step} …"):
        yield
    console.print(f"{step:<15} {monotonic() - started:6.1f} s", highlight=False)


def _show(result: RunReport, as_json: bool, *, why: bool = True) -> None:
    if as_json:
        say_json(to_json(result))
        return
    for line in result.lines:
        if line not in result.summary:  # which says why a run failed
            say(f"  {line}")
    reason = "".join(result.lines[-1:])
    say(result.summary if why else result.summary.removesuffix(f" ({reason})"))
