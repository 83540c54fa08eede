"""What each rule says at each check of a stream, without drift and with each drift there is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.watch_results import DayLoss
from tests.benchmarks.watch_ours import Days, Watch, monitor, remembering
from tests.benchmarks.watch_peers import DEFAULT_FOLDER, LABEL, PROBABILITY, Peer, Question, ask
from tests.benchmarks.watch_streams import CHANGED, CHECKS, Drift, predicted, stream

Rule = Literal[
    "Evergreen",
    "Evidently",
    "NannyML",
    "NannyML and CBPE",
    "Evergreen, labels",
    "Evidently, labels",
    "NannyML, labels",
    "Evidently, labels and columns",
    "NannyML, labels and columns",
]
UNLABELLED: tuple[Rule, ...] = ("Evergreen", "Evidently", "NannyML", "NannyML and CBPE")
LABELLED: tuple[Rule, ...] = (
    "Evergreen, labels",
    "Evidently, labels",
    "NannyML, labels",
    "Evidently, labels and columns",
    "NannyML, labels and columns",
)
OURS: tuple[Rule, ...] = ("Evergreen", "Evergreen, labels")


@dataclass(frozen=True, slots=True)
class Part:
    """Some streams.

    `purpose` is "tune", where ours is not asked, or "test". `min_effect` is our floor, None the default.
    """

    purpose: str
    numbers: tuple[int, ...]
    rows: int
    reference: int
    drifts: tuple[Drift, ...]
    min_effect: float | None = None
    peers: Path = DEFAULT_FOLDER


@dataclass(frozen=True, slots=True, eq=False)
class Alarms:
    """What the rules say of one stream.

    `excess` has, for each rule and drift (None: without), how far each check lies beyond what the rule
    expects, `(CHECKS,)`; it alarms above 1 by its defaults. Of ours it is 0 or 2: quiet or alarm.
    """

    onset: int
    excess: Mapping[tuple[Rule, Drift | None], np.ndarray]


def alarms(part: Part) -> list[Alarms]:
    """Return what the rules say of each stream of a part."""
    with tempfile.TemporaryDirectory() as folder:
        asked = [_Asked(part, number, Path(folder) / str(number)) for number in part.numbers]
        found = {
            peer: iter(ask(peer, [each for one in asked for each in one.questions(peer)], part.peers))
            for peer in ("evidently", "nannyml")
        }
        return [Alarms(one.stream.onset, one.answered(found)) for one in asked]


class _Asked:
    """A stream, its files, and how the peers' answers are put together."""

    def __init__(self, part: Part, number: int, folder: Path) -> None:
        folder.mkdir()
        self._part, self._folder = part, folder
        self.stream = stream(number, part.purpose, part.rows, part.reference)
        self._moved = tuple(each for each in part.drifts if each.change != "relation")
        self._turned = tuple(each for each in part.drifts if each.change == "relation")
        self._changes = tuple(dict.fromkeys(CHANGED[each.change] for each in self._moved))
        reference, rows = self.stream.reference, self.stream.rows
        self._known = Days(reference, predicted(reference), reference.labels())
        self._quiet = Days(rows, predicted(rows), rows.labels())
        self._drifted = {drift: self._after_onset(drift) for drift in part.drifts}
        self._write()

    def _after_onset(self, drift: Drift) -> Days:
        rows, labels = self.stream.after_onset(drift)
        if drift.change == "relation":
            return Days(rows, self._quiet.answers[-len(rows) :], labels)
        return Days(rows, predicted(rows), labels)

    def _write(self) -> None:
        known, quiet = self._known, self._quiet
        self._file("all", known.rows.table(), quiet.rows.table())
        for name in self._changes:
            chunks = [self._drifted[drift].rows.table((name,)) for drift in self._of(name)]
            self._file(name, known.rows.table((name,)), pa.concat_tables(chunks))
        moved = [quiet, *(self._drifted[drift] for drift in self._moved)]
        turned = [quiet, *(self._drifted[drift] for drift in self._turned)]
        answers = {PROBABILITY: known.answers}
        seen = pa.table({PROBABILITY: np.concatenate([days.answers for days in moved])})
        self._file("answers", pa.table(answers), seen)
        self._file("unlabelled", pa.table({**answers, LABEL: known.labels}), seen)
        judged = {
            PROBABILITY: np.concatenate([days.answers for days in turned]),
            LABEL: np.concatenate([days.labels for days in turned]),
        }
        self._file("labelled", pa.table({**answers, LABEL: known.labels}), pa.table(judged))

    def _file(self, name: str, reference: pa.Table, windows: pa.Table) -> None:
        pq.write_table(reference, self._folder / f"{name}-reference.parquet")
        pq.write_table(windows, self._folder / f"{name}-windows.parquet")

    def questions(self, peer: Peer) -> Iterator[Question]:
        """Yield what a peer is asked, in the order in which `answered` takes the answers."""
        for name in ("all", *self._changes, "answers"):
            yield self._question("drift", name)
        if peer == "nannyml":
            yield self._question("estimate", "unlabelled")
        yield self._question("performance", "labelled")

    def _question(self, measure: Literal["drift", "estimate", "performance"], name: str) -> Question:
        reference, windows = (
            str(self._folder / f"{name}-{which}.parquet") for which in ("reference", "windows")
        )
        return Question(measure, reference, windows, self._part.rows)

    def answered(
        self, found: Mapping[Peer, Iterator[Mapping[str, list[float]]]]
    ) -> dict[tuple[Rule, Drift | None], np.ndarray]:
        """Return what each rule says of each drift."""
        excess = {} if self._part.purpose == "tune" else self._ours()
        for peer, rule in (("evidently", "Evidently"), ("nannyml", "NannyML")):
            said = found[peer]
            columns = {name: np.array(values) for name, values in next(said).items()}
            changed = {
                name: self._shared(np.array(next(said)[name]), self._of(name)) for name in self._changes
            }
            answers = self._cut(np.array(next(said)[PROBABILITY]), self._moved)
            for drift in (None, *self._moved):
                values = dict(columns)
                if drift is not None:
                    name = CHANGED[drift.change]
                    values[name] = self._spliced(values[name], changed[name][drift])
                excess[rule, drift] = _worst([*values.values(), answers[drift]])
            if peer == "nannyml":
                estimates = self._cut(_worst(next(said).values()), self._moved)
                for drift in (None, *self._moved):
                    both = [excess["NannyML", drift], estimates[drift]]
                    excess["NannyML and CBPE", drift] = _worst(both)
            for drift, values in self._cut(_worst(next(said).values()), self._turned).items():
                excess[f"{rule}, labels", drift] = values
                # Where only the relation changes, the columns stay as they are without drift.
                both = [values, excess[rule, None]]
                excess[f"{rule}, labels and columns", drift] = _worst(both)
        return excess

    def _ours(self) -> dict[tuple[Rule, Drift | None], np.ndarray]:
        """Return what Evergreen says; after the first alarm since an onset it is not asked again."""
        onset, quiet = self.stream.onset, self._quiet
        with remembering():
            watch = Watch(self._known, self._part.rows, monitor(self._part.min_effect))
            found = {
                (rule, None): self._said(watch, quiet, 0, labels=rule == OURS[1], stop=False)
                for rule in OURS
            }
            for drift, days in self._drifted.items():
                rule = OURS[drift.change == "relation"]
                later = self._said(watch, days, onset, labels=rule == OURS[1], stop=True)
                found[rule, drift] = self._spliced(found[rule, None], later)
        return found

    def _said(self, watch: Watch, days: Days, start: int, *, labels: bool, stop: bool) -> np.ndarray:
        before = slice(0, start * self._part.rows)
        quiet, size = self._quiet, self._part.rows
        losses: tuple[DayLoss, ...] = ()
        estimates: tuple[DayLoss, ...] = ()
        if labels:
            known = watch.losses(quiet.answers[before], quiet.labels[before], 0)
            losses = known + watch.losses(days.answers, days.labels, start)
        else:
            known = watch.estimates(quiet.answers[before], 0)
            estimates = known + watch.estimates(days.answers, start)
        found = np.zeros(CHECKS - start)
        for place in range(CHECKS - start):
            part, end = slice(place * size, (place + 1) * size), start + place + 1
            verdict = watch.verdict(
                start + place,
                days.rows.only(part),
                days.answers[part],
                losses[:end],
                estimates[:end],
            )
            found[place] = 2.0 * (verdict.answer == "alarm")
            if stop and found[place]:
                break
        return found

    def _of(self, name: str) -> tuple[Drift, ...]:
        return tuple(drift for drift in self._moved if CHANGED[drift.change] == name)

    def _cut(self, values: np.ndarray, drifts: Sequence[Drift]) -> dict[Drift | None, np.ndarray]:
        """Return the series without drift, and those with each, from one file's windows."""
        base, rest = values[:CHECKS], values[CHECKS:]
        shared = self._shared(rest, drifts)
        return {None: base, **{each: self._spliced(base, shared[each]) for each in drifts}}

    def _shared(self, values: np.ndarray, drifts: Sequence[Drift]) -> dict[Drift, np.ndarray]:
        if not drifts:
            return {}
        return dict(zip(drifts, np.split(values, len(drifts)), strict=True))

    def _spliced(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return np.concatenate([before[: self.stream.onset], after])


def _worst(series: object) -> np.ndarray:
    found: np.ndarray = np.max(np.array(list(series)), axis=0)  # type: ignore[call-overload]
    return found
