"""Measure challenger, champion and baseline on the same rows and ask the gate."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from evergreen.comparison import Comparison, Evidence, Finding
from evergreen.errors import ArtefactDamaged, DataUnusable, ModelRefused
from evergreen.failpoints import failpoint
from evergreen.ports import PROBED_ROWS, Entry
from evergreen.results import Candidate, Release, Retrain, Snapshot, from_json, to_json
from evergreen.steps.memory import (
    holding,
    last_entry,
    model_of,
    need,
    recall,
    record_next,
    retrain_of,
)
from evergreen.steps.settle import settle
from evergreen.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from evergreen.evidence.judged_rows import JudgedRows
    from evergreen.gate_spec import Metric

log = logging.getLogger(__name__)

COMPARISON_FILE = "comparison.json"
PICTURE_FILE = "gate.png"


def evaluate(workspace: Workspace, run_key: str) -> Comparison:
    """Return the comparison with the champion of now; it is kept on the challenger's MLflow run, too.

    A comparison that was made against another champion than now's is made again, unless this run has
    already begun to release on it.

    Raises:
        ArtefactDamaged: a model or the snapshot is not what the ledger recorded.
        ModelRefused: a model holds a type that is not trusted.
        DataUnusable: a model cannot be scored on these rows: the data has lost a column, say.
        StoreUnavailable: the tracking server did not answer.
    """
    retrain = retrain_of(workspace, run_key)
    with holding(workspace, run_key, "evaluate") as lease:
        settle(workspace, model_of(run_key), lease)
        champion = workspace.ledger.last(model_of(run_key), "release")
        found = recall(workspace, "comparison", run_key, Comparison)
        if found is not None and (
            found.champion_seq == (champion.seq if champion else None)
            or last_entry(workspace, "release_intended", run_key) is not None
        ):
            return found
        comparison = _compare(workspace, run_key, retrain, champion)
        _attach(workspace, run_key, retrain, comparison)
        failpoint("evaluate.attached")
        record_next(workspace, "comparison", run_key, comparison, lease)
    log.info("promote=%s reasons=%s", comparison.promote, "; ".join(comparison.reasons))
    return comparison


def _attach(workspace: Workspace, run_key: str, retrain: Retrain, comparison: Comparison) -> None:
    """Keep the comparison beside its model for people to read; the ledger's entry is what counts."""
    from evergreen.evidence.picture import picture

    candidate = need(workspace, "candidate", run_key, Candidate)
    title = f"{retrain.model.spec.name} as of {retrain.windows.as_of:%Y-%m-%d %H:%M}"
    written = json.dumps(to_json(comparison), sort_keys=True, indent=1)
    workspace.trainer.attach(
        candidate, {COMPARISON_FILE: written.encode(), PICTURE_FILE: picture(comparison, title)}
    )


def _compare(workspace: Workspace, run_key: str, retrain: Retrain, champion: Entry | None) -> Comparison:
    from evergreen import gate  # imports scipy, which a DAG file must not

    spec = retrain.model.spec
    candidate = need(workspace, "candidate", run_key, Candidate)
    serving = None if champion is None else from_json(Release, champion.body)
    opponent, notes = _opponent(serving, retrain)
    test = _test_rows(workspace, run_key, retrain)
    judged, cut = _unseen(workspace, test, opponent)
    evidence, grown = _measure(workspace, judged, candidate, opponent)
    evidence = replace(
        evidence,
        serving=workspace.scorer.probe(candidate, test.rows.slice(0, PROBED_ROWS)),
        findings=_findings(workspace, run_key, test, candidate),
    )
    return gate.never_over_newer(
        replace(
            gate.compare(spec.gate, spec.tier, evidence),
            champion_version=None if serving is None else serving.version.number,
            champion_seq=None if champion is None else champion.seq,
            notes=(*notes, *cut, *grown),
        ),
        retrain.windows.as_of,
        None if serving is None else serving.as_of,
    )


@dataclass(frozen=True, slots=True)
class _TestRows:
    """Labelled rows of the test window, in the snapshot's order, and what they were asked for."""

    retrain: Retrain
    rows: pa.Table


def _test_rows(workspace: Workspace, run_key: str, retrain: Retrain) -> _TestRows:
    from evergreen.training.labels import labelled

    data = retrain.model.spec.data
    snapshot = need(workspace, "snapshot", run_key, Snapshot)
    rows = workspace.snapshots.read(snapshot, retrain.windows.test, data.time_column)
    return _TestRows(retrain, labelled(rows, data.label.column))


def _opponent(serving: Release | None, retrain: Retrain) -> tuple[Release | None, tuple[str, ...]]:
    """Return the champion to compare with, and why not where there is none to compare with."""
    if serving is None:
        return None, ()
    number = serving.version.number
    if serving.as_of > retrain.windows.as_of:
        return None, (f"not compared with version {number}: that has seen these rows in training",)
    if retrain.release == "unopposed":
        return None, (f"not compared with version {number}, as asked",)
    return serving, ()


def _unseen(
    workspace: Workspace, test: _TestRows, champion: Release | None
) -> tuple[_TestRows, tuple[str, ...]]:
    """Return the test rows that the champion was not trained on, and a note of a cut.

    The windows of one model file never overlap so; a test window that was lengthened since does.

    Raises:
        DataUnusable: no row is left.
    """
    import pyarrow.compute as pc

    window, rows = test.retrain.windows.test, test.rows
    notes: tuple[str, ...] = ()
    learnt_until = window.start if champion is None else _learnt_until(workspace, champion)
    if learnt_until > window.start:
        times = rows.column(test.retrain.model.spec.data.time_column)
        rows = rows.filter(pc.greater_equal(times, learnt_until))
        notes = (
            f"compared on rows from {learnt_until:%Y-%m-%d %H:%M} only: the champion was trained on "
            "the rows before",
        )
    if not rows.num_rows:
        raise DataUnusable("no row is left to compare on", where=f"window {window}", got=notes or None)
    return replace(test, rows=rows), notes


def _learnt_until(workspace: Workspace, champion: Release) -> datetime:
    """Return the end of the champion's train window; its own run knows it where it does not say."""
    if champion.candidate.trained_on is not None:
        return champion.candidate.trained_on.end
    begun = recall(workspace, "run_started", champion.run_key, Retrain)
    return champion.as_of if begun is None else begun.windows.train.end


def _measure(
    workspace: Workspace, judged: _TestRows, candidate: Candidate, champion: Release | None
) -> tuple[Evidence, tuple[str, ...]]:
    """Score all on the judged rows and measure; with a note where the label has grown a class."""
    from evergreen.evidence.clusters import clusters_of, weights_of
    from evergreen.evidence.gather import aligned, constant, gather
    from evergreen.evidence.judged_rows import JudgedRows
    from evergreen.training.labels import labels_of

    spec, table = judged.retrain.model.spec, judged.rows
    rule, data = spec.gate, spec.data
    ours = workspace.scorer.predict(candidate, table)
    theirs = None
    if champion is not None:
        with _blamed_on(champion):
            theirs = _champion_predictions(workspace, champion, candidate, table)
    known = () if champion is None else champion.candidate.classes
    clusters, clustered_by = clusters_of(rule, data, table, judged.retrain.windows.test.start)
    rows = JudgedRows(
        labels=labels_of(table, data.label.column, rule.task),
        classes=tuple(sorted({*candidate.classes, *known})),
        clusters=clusters,
        clustered_by=clustered_by,
        weights=weights_of(data, table),
    )
    ours = aligned(ours, candidate.classes, rows.classes)
    if champion is not None and theirs is not None:
        theirs = aligned(theirs, known, rows.classes)
        _judgeable(rule.metric, rows, ours)  # labels that no model can be judged on are not its fault
        with _blamed_on(champion):
            _judgeable(rule.metric, rows, theirs)
    wanted = [one if isinstance(one, str) else one.column for one in rule.slices]
    wanted += rule.fairness.columns if rule.fairness else []
    evidence = gather(
        rule,
        rows,
        {name: table.column(name) for name in wanted if name in table.column_names},
        ours,
        theirs,
        constant(candidate.baseline, candidate.classes, rows),
        constant(candidate.last_period, candidate.classes, rows) if candidate.last_period else None,
    )
    return evidence, tuple(_grown(rows, candidate, champion))


def _grown(rows: JudgedRows, challenger: Candidate, champion: Release | None) -> Iterable[str]:
    """Say which labels of the rows a model does not know: it gave them a probability of 0."""
    import numpy as np

    models = [("the challenger", challenger.classes)]
    if champion is not None:
        models.append((f"the champion, version {champion.version.number},", champion.candidate.classes))
    for name, known in models if rows.classes else ():
        found = sorted({*map(str, np.unique(rows.labels))} - {*known})
        if found:
            count = int(np.isin(rows.labels, found).sum())
            yield (
                f"{name} does not know the class {', '.join(found[:5])}: its probability counts as 0 on "
                f"{count:,} rows"
            )


def _findings(
    workspace: Workspace, run_key: str, test: _TestRows, candidate: Candidate
) -> tuple[Finding, ...]:
    from evergreen.evidence.leaks import findings

    windows, spec = test.retrain.windows, test.retrain.model.spec
    snapshot = need(workspace, "snapshot", run_key, Snapshot)
    train = workspace.snapshots.read(snapshot, windows.train, spec.data.time_column)
    rule, task = spec.gate.leaks, spec.gate.task
    return findings(rule, spec.data, task, windows, candidate.features, train, test.rows)


def _champion_predictions(
    workspace: Workspace, champion: Release, challenger: Candidate, rows: pa.Table
) -> np.ndarray:
    known = set(champion.candidate.classes)
    if champion.candidate.task != challenger.task:
        raise DataUnusable(
            "it answers another kind of question",
            got=f"a challenger for {challenger.task}",
            allowed=champion.candidate.task,
            fix="give the changed model a file and a name of its own",
        )
    if known and challenger.classes and known.isdisjoint(challenger.classes):
        raise DataUnusable(
            "the label's classes are others than those it was trained on",
            got=", ".join(challenger.classes),
            allowed=", ".join(sorted(known)),
            fix="write the label as before in the query",
        )
    return workspace.scorer.predict(champion.candidate, rows)


def _judgeable(metric: Metric, rows: JudgedRows, predictions: np.ndarray) -> None:
    """Raise where the metric refuses a model's predictions; an undefined metric is no fault of them.

    Raises:
        DataUnusable: such as a predicted mean of 0, which no Poisson loss can judge.
    """
    from evergreen.evidence.metrics import MetricUndefined, value

    with suppress(MetricUndefined):
        value(metric, rows, predictions)


@contextmanager
def _blamed_on(champion: Release) -> Iterator[None]:
    """Name the champion in what goes wrong with it, and the way out."""
    way_out = (
        "or replace the champion: a run with release=unopposed releases a challenger that beats the "
        "baseline without this comparison"
    )
    try:
        yield
    except (ArtefactDamaged, DataUnusable, ModelRefused) as exc:
        raise type(exc)(
            f"the champion, version {champion.version.number}, cannot be scored: {exc.what}",
            where=exc.where,
            got=exc.got,
            allowed=exc.allowed,
            fix=f"{exc.fix or 'mend the data or the store'}; {way_out}",
        ) from exc
