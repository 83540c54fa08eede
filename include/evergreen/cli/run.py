"""`evergreen run`: the same steps that Airflow runs, in this process."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic

from rich.console import Console

from evergreen import steps
from evergreen.cli.commands import FINDINGS, OK
from evergreen.cli.output import say, say_json
from evergreen.cli.usage import instant, model_path, models_folder
from evergreen.connections import from_environment
from evergreen.errors import EvergreenError
from evergreen.loading import load_model
from evergreen.results import RunReport, to_json
from evergreen.settings import Settings
from evergreen.wiring import open_workspace
from evergreen.workspace import Workspace

AFTER_THE_WINDOW: tuple[Callable[[Workspace, str], object], ...] = (
    steps.ingest,
    steps.validate,
    steps.train,
    steps.evaluate,
    steps.register,
    steps.release,
)


def run(arguments: Namespace) -> int:
    """Run a retrain; 1 where the data was rejected or unusable."""
    path = model_path(models_folder(arguments.models), arguments.name)
    as_of = instant(arguments.as_of, "--as-of") if arguments.as_of else _this_minute()
    model = load_model(path)
    run_key = f"{arguments.name}/cli/{as_of:%Y-%m-%dT%H:%M:%SZ}/{model.digest[:12]}"
    with open_workspace(Settings.from_environment(), from_environment) as workspace:
        try:
            with _progress("resolve_window"):
                steps.resolve_window(
                    workspace,
                    run_key=run_key,
                    model=model,
                    as_of=as_of,
                    reason=arguments.reason,
                    release=arguments.release,
                )
            _go_through(workspace, run_key)
        except EvergreenError as exc:
            result = steps.report(workspace, run_key, str(exc))
            _show(result, arguments.json)
            raise
        result = steps.report(workspace, run_key)
    _show(result, arguments.json)
    return FINDINGS if result.outcome in {"rejected", "failed"} else OK


def _go_through(workspace: Workspace, run_key: str) -> None:
    for step in AFTER_THE_WINDOW:
        with _progress(step.__name__):
            result = step(workspace, run_key)
        if getattr(result, "passed", True) is False:
            return


@contextmanager
def _progress(step: str) -> Iterator[None]:
    console = Console(stderr=True)
    started = monotonic()
    with console.status(f"{step} …"):
        yield
    console.print(f"{step:<15} {monotonic() - started:6.1f} s", highlight=False)


def _show(result: RunReport, as_json: bool) -> None:
    if as_json:
        say_json(to_json(result))
        return
    for line in result.lines:
        say(f"  {line}")
    say(result.summary)


def _this_minute() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)
