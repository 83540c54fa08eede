"""What the command line asks of its arguments beyond what argparse checks."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

from evergreen.cron import times
from evergreen.names import did_you_mean, name_problem
from evergreen.settings import Settings
from evergreen.window import parse_instant


class UsageError(Exception):
    """An argument that parses and makes no sense."""


def instant(text: str, flag: str) -> datetime:
    """Read a date argument.

    Raises:
        UsageError: it is none.
    """
    try:
        return parse_instant(text)
    except ValueError as exc:
        raise UsageError(f"{flag}: {exc}") from None


def past(text: str | None, flag: str) -> datetime:
    """Read an as-of that must not lie ahead; none is now, to the minute.

    Raises:
        UsageError: it is no date, or its data is not there yet.
    """
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    as_of = instant(text, flag) if text else now
    if as_of > now:
        raise UsageError(
            f"{flag}: {as_of:%Y-%m-%d %H:%M} UTC lies ahead: its data is not there yet; "
            f"the latest is now, {now:%Y-%m-%d %H:%M} UTC"
        )
    return as_of


def walked_as_ofs(arguments: Namespace, schedule: str | None, key: str) -> list[datetime]:
    """Return the as-ofs that --as-of, or --from and --to, ask for: one, or those of the schedule.

    `--from` itself is left out: the schedule's first time after it is the first, as in Airflow, where a
    run's as-of is the end of its interval.

    Raises:
        UsageError: both are given or half of the range, the range is reversed or holds no time of the
            schedule, or the model file has no such schedule.
    """
    if arguments.since is None and arguments.to is None:
        return [past(arguments.as_of, "--as-of")]
    if arguments.as_of is not None or arguments.since is None:
        raise UsageError("give --as-of, or --from with --to (default: now)")
    if schedule is None:
        raise UsageError(f"--from and --to walk {key}, which the model file leaves empty")
    since, until = instant(arguments.since, "--from"), past(arguments.to, "--to")
    found = list(times(schedule, since, until)) if since < until else []
    if not found:
        raise UsageError(f"{key}, {schedule!r}, does not come due from {since} to {until}")
    return found


def models_folder(given: str | None) -> Path:
    """Return the folder of the model files.

    Raises:
        UsageError: there is no such folder.
    """
    folder = Path(given) if given else Settings.from_environment().models
    if not folder.is_dir():
        raise UsageError(
            f"no folder of model files at {folder}; give --models DIR or set EVERGREEN_MODELS"
        )
    return folder


def model_path(folder: Path, name: str) -> Path:
    """Return the model file of a name.

    Raises:
        UsageError: not a name, or no such model file.
    """
    from evergreen.loading import find_model_files

    problem = name_problem(name)
    if problem:
        raise UsageError(f"{name!r}: {problem}")
    files = {path.stem: path for path in find_model_files(folder)}
    if name not in files:
        hint = did_you_mean(name, files)
        known = f"models there: {', '.join(sorted(files)) or 'none'}"
        raise UsageError(f"no model file {folder / name}.yaml; {hint or known}")
    return files[name]
