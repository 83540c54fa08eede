"""Scores a run's challenger and champion on rows that neither learnt from, and measures both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from evergreen.comparison import Evidence, Finding
from evergreen.errors import ArtefactDamaged, DataUnusable, ModelRefused
from evergreen.ports import PROBED_ROWS
from evergreen.results import Candidate, Release, Retrain, Snapshot
from evergreen.steps.memory import need
from evergreen.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from evergreen.evidence.judged_rows import JudgedRows


def measure(
    workspace: Workspace,
    retrain: Retrain,
    champion: Release | None,
    unseen_from: datetime,
) -> tuple[Evidence, tuple[str, ...]]:
    """Return all that the gate judges by, and notes for people.

    Args:
        workspace: The ports.
        retrain: The run.
        champion: Whom the challenger is compared with, or None.
        unseen_from: The time from which on none of the models has learnt from the test rows.

    Raises:
        ArtefactDamaged: a model or the snapshot is not what the ledger recorded.
        ModelRefused: a model holds a type that is not trusted.
        DataUnusable: a model cannot be scored on these rows, or no row is left.
    """
    candidate = need(workspace, "candidate", retrain.run_key, Candidate)
    test = _labelled_rows(workspace, retrain)
    evidence, notes = _compared(
        workspace, retrain, _from(retrain, test, unseen_from), candidate, champion
    )
    return (
        replace(
            evidence,
            serving=workspace.scorer.probe(candidate, test.slice(0, PROBED_ROWS)),
            findings=_findings(workspace, retrain, test, candidate),
        ),
        (*notes, *_never_there(retrain, test)),
    )


def _never_there(retrain: Retrain, rows: pa.Table) -> Iterable[str]:
    """Say which columns the leak checks are to leave alone that there are none of: a slip of the pen."""
    for name in retrain.model.spec.gate.leaks.allow:
        if name not in rows.column_names:
            yield f"gate.leaks.allow names {name!r}, which the data does not have"


def _labelled_rows(workspace: Workspace, retrain: Retrain) -> pa.Table:
    """Return the test window's rows with a label, in the snapshot's order."""
    from evergreen.training.labels import labelled

    data = retrain.model.spec.data
    snapshot = need(workspace, "snapshot", retrain.run_key, Snapshot)
    rows = workspace.snapshots.read(snapshot, retrain.windows.test, data.time_column)
    return labelled(rows, data.label.column)


def _from(retrain: Retrain, rows: pa.Table, unseen_from: datetime) -> pa.Table:
    import pyarrow.compute as pc

    if unseen_from > retrain.windows.test.start:
        times = rows.column(retrain.model.spec.data.time_column)
        rows = rows.filter(pc.greater_equal(times, unseen_from))
    if not rows.num_rows:
        raise DataUnusable(
            "no row is left to compare on",
            where=f"window {retrain.windows.test}",
            got=f"no labelled row from {unseen_from:%Y-%m-%d %H:%M} on",
            fix="start a run with a later as-of",
        )
    return rows


def _compared(
    workspace: Workspace,
    retrain: Retrain,
    table: pa.Table,
    candidate: Candidate,
    champion: Release | None,
) -> tuple[Evidence, tuple[str, ...]]:
    """Score all on the judged rows and measure; with a note where the label has grown a class."""
    from evergreen.evidence.clusters import clusters_of, weights_of
    from evergreen.evidence.gather import aligned, constant, gather
    from evergreen.evidence.judged_rows import JudgedRows
    from evergreen.evidence.losses import need_readable
    from evergreen.training.labels import labels_of

    rule, data = retrain.model.spec.gate, retrain.model.spec.data
    ours = workspace.scorer.predict(candidate, table)
    theirs = None
    if champion is not None:
        with _blamed_on(champion):
            theirs = _champion_predictions(workspace, champion, candidate, table)
    known = () if champion is None else champion.candidate.classes
    clusters, clustered_by = clusters_of(rule, data, table, retrain.windows.test.start)
    rows = JudgedRows(
        labels=labels_of(table, data.label.column, rule.task),
        classes=tuple(sorted({*candidate.classes, *known})),
        clusters=clusters,
        clustered_by=clustered_by,
        weights=weights_of(data, table),
    )
    ours = aligned(ours, candidate.classes, rows.classes)
    need_readable(rule.metric, rows, ours, "the challenger")
    if champion is not None and theirs is not None:
        theirs = aligned(theirs, known, rows.classes)
        with _blamed_on(champion):
            need_readable(rule.metric, rows, theirs, "the champion")
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
    workspace: Workspace, retrain: Retrain, test: pa.Table, candidate: Candidate
) -> tuple[Finding, ...]:
    from evergreen.evidence.leaks import findings

    windows, spec = retrain.windows, retrain.model.spec
    snapshot = need(workspace, "snapshot", retrain.run_key, Snapshot)
    train = workspace.snapshots.read(snapshot, windows.train, spec.data.time_column)
    rule, task = spec.gate.leaks, spec.gate.task
    return findings(rule, spec.data, task, windows, candidate.features, train, test)


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
