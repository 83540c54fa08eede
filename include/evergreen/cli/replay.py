"""`evergreen replay`: what the watch would have done over recorded history, and at what cost."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from evergreen.cli.exit_codes import OK
from evergreen.cli.output import say_json
from evergreen.cli.replay_tables import show
from evergreen.cli.terminable import terminable
from evergreen.cli.usage import UsageError, instant, model_path, models_folder
from evergreen.connections import from_environment
from evergreen.loading import load_model
from evergreen.monitor_spec import RetrainCost
from evergreen.redaction import redact
from evergreen.replay.play import Progress, play
from evergreen.replay.results import Replay
from evergreen.replay.scratch import scratch
from evergreen.replay.side_by_side import difference, unlike
from evergreen.results import PinnedModel, to_json
from evergreen.settings import Settings
from evergreen.text import plain


def replay(arguments: Namespace) -> int:
    """Replay one policy, or two side by side; nothing of the installation is read or written."""
    start, end = _stretch(arguments)
    path = model_path(models_folder(arguments.models), arguments.name)
    policies = {path.name: load_model(path)}
    if arguments.other is not None:
        policies |= _other(Path(arguments.other), path, policies[path.name])
    _need_a_watch(policies)
    cost = _cost(policies)
    found: list[Replay] = []
    with (
        terminable(),
        scratch(Settings.from_environment(), from_environment) as shared,
        _progress() as told,
    ):
        for number, (policy, model) in enumerate(policies.items(), 1):
            with shared.workspace(f"policy-{number}") as workspace:
                found.append(
                    play(workspace, policy, model, start, end, cost=cost, progress=told(policy))
                )
    if arguments.json:
        say_json(_as_json(found))
    else:
        show(found)
    return OK


def _stretch(arguments: Namespace) -> tuple[datetime, datetime]:
    start, end = instant(arguments.start, "--from"), instant(arguments.end, "--to")
    now = datetime.now(UTC)
    if start >= end:
        raise UsageError(
            f"--from {start:%Y-%m-%d %H:%M} does not lie before --to {end:%Y-%m-%d %H:%M} (UTC)"
        )
    if end > now:
        raise UsageError(
            f"--to: {end:%Y-%m-%d %H:%M} UTC lies ahead: only what is recorded can be replayed; the "
            f"latest is now, {now:%Y-%m-%d %H:%M} UTC"
        )
    return start, end


def _other(file: Path, path: Path, model: PinnedModel) -> dict[str, PinnedModel]:
    """Return the policy to lay beside the model's own, under a name that tells the two apart."""
    if not file.is_file():
        raise UsageError(f"--with: no such file: {file}")
    other = load_model(file, in_place_of=path)
    differing = list(unlike(model, other))
    if differing:
        raise UsageError(
            f"--with: {file} cannot be laid beside {path}: both must ask the same of the same rows, and "
            f"these differ: {', '.join(differing)}"
        )
    return {file.name if file.name != path.name else str(file): other}


def _need_a_watch(policies: dict[str, PinnedModel]) -> None:
    monitors = [model.spec.monitor for model in policies.values()]
    if not any(monitor and monitor.schedule for monitor in monitors):
        files = " and ".join(policies)
        raise UsageError(
            f"there is no watch to replay: {files} {'has' if len(policies) == 1 else 'have'} no section "
            "monitor with a schedule; add one, or name a file that has one with --with"
        )


def _cost(policies: dict[str, PinnedModel]) -> RetrainCost | None:
    """Return in which money to count: as the first of the files says that says so."""
    for model in policies.values():
        monitor = model.spec.monitor
        if monitor is not None and monitor.retrain is not None and monitor.retrain.cost is not None:
            return monitor.retrain.cost
    return None


@contextmanager
def _progress() -> Iterator[Callable[[str], Progress]]:
    """Tell on standard error, in one line that is written over, which instant is at work."""
    with Console(stderr=True).status("replay …") as status:

        def told(policy: str) -> Progress:
            return lambda at, what: status.update(
                redact(plain(f"{policy}: {at:%Y-%m-%d %H:%M} {what} …"))
            )

        yield told


def _as_json(found: list[Replay]) -> dict[str, object]:
    return {
        "replays": [to_json(one) for one in found],
        "difference": to_json(difference(*found)) if len(found) == 2 else None,
    }
