"""`evergreen as-of`: who was champion at a time, on what evidence."""

from __future__ import annotations

from argparse import Namespace

from evergreen.approval_results import Answered
from evergreen.approval_words import short_answer
from evergreen.cli.exit_codes import FINDINGS, OK
from evergreen.cli.output import say, say_json
from evergreen.cli.usage import instant
from evergreen.comparison import Comparison
from evergreen.evidence.words import refitted, sentences
from evergreen.ledger.questions import ChampionThen
from evergreen.ledger.questions import as_of as champion_at
from evergreen.results import Refit, Retrain, Snapshot, from_json, to_json
from evergreen.settings import Settings
from evergreen.text import plain
from evergreen.wiring import open_ledger


def as_of(arguments: Namespace) -> int:
    """Print the champion then; 1 where there was none."""
    when = instant(arguments.date, "DATE")
    with open_ledger(Settings.from_environment()) as ledger:
        found = champion_at(ledger, arguments.name, when, arguments.by)
    if arguments.json:
        say_json(None if found is None else to_json(found))
    elif found is None:
        say(f"{arguments.name} had no champion at {when:%Y-%m-%d %H:%M} UTC")
    else:
        for line in _lines(found):
            say(line)
    return FINDINGS if found is None else OK


def _lines(found: ChampionThen) -> list[str]:
    release = found.release
    lines = [
        f"{release.name} version {release.version.number}, trained as of "
        f"{release.trained_as_of:%Y-%m-%d %H:%M}",
        f"  released  {found.entry.at:%Y-%m-%d %H:%M:%S} UTC on target {release.target}, "
        f"ledger entry {found.entry.seq}",
        f"  model     {release.version.model.digest}",
        f"  trained   MLflow run {release.candidate.run_id}, {release.candidate.rows_trained:,} rows",
    ]
    if release.restored is not None:
        deed = release.restored.deed
        lines.append(f"  by hand   {plain(deed.who, 100)} rolled back to it: {plain(deed.why, 300)}")
    if found.run_started is not None:
        retrain = from_json(Retrain, found.run_started.body)
        lines.append(f"  asked for {retrain.reason} (model file {retrain.model.digest[:12]})")
    if found.snapshot is not None:
        snapshot = from_json(Snapshot, found.snapshot.body)
        lines.append(f"  data      snapshot {snapshot.digest[:12]} of {snapshot.window}")
    if found.comparison is not None:
        comparison = from_json(Comparison, found.comparison.body)
        lines += [f"  evidence  {sentence}" for sentence in sentences(comparison)]
    if found.refit is not None:
        lines += [f"  shipped   {sentence}" for sentence in refitted(from_json(Refit, found.refit.body))]
    if found.approval is not None:
        answered = from_json(Answered, found.approval.body)
        lines.append(
            f"  agreed    {short_answer(answered)} at {answered.at:%Y-%m-%d %H:%M:%S} UTC "
            f"({answered.how}, evidence {answered.evidence[:12]}, ledger entry {found.approval.seq})"
        )
    return lines
