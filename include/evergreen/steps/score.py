"""Score the rows of a window with the champion of its end, and put them into the prediction log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from evergreen.errors import BadConfiguration, DataUnusable, LedgerError
from evergreen.failpoints import failpoint
from evergreen.logged_rows import PREFIX, VERSION, prediction_columns
from evergreen.ports import Lease
from evergreen.results import PinnedModel, Release
from evergreen.steps.champions import champion_at
from evergreen.steps.hand import refuse_paused
from evergreen.steps.memory import holding, recall, record
from evergreen.steps.witness import refuse_behind
from evergreen.watch_results import Scored
from evergreen.window import Window
from evergreen.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

log = logging.getLogger(__name__)

ROWS_PER_CALL = 250_000
"""A call of the scorer starts a process, which costs seconds; its rows are held in memory."""


def score(
    workspace: Workspace, run_key: str, model: PinnedModel, as_of: datetime, reason: str
) -> Scored:
    """Return what was scored, now or by an earlier try of this run.

    The champion is the one of the as-of, so a backfilled run of a past window meets the version of that
    time. Rows take the place of all rows of the window that the log holds. Without a champion nothing is
    scored or recorded, and `note` says so.

    Raises:
        BadConfiguration: the model file has no section `score`.
        DataUnusable: rows without key or time, a key that stands twice, a lost or odd feature.
        ArtefactDamaged: the champion's files are not what the ledger recorded.
        ModelRefused: the champion may not be loaded.
        ScoringInterrupted: the process that runs the champion was killed or took too long.
        SourceUnavailable: the source did not answer.
        StoreUnavailable: the log did not take the rows; what stood there still stands.
        LeaseHeld: another run scores this model; it may be over later.
        Paused: a person paused the model or its scoring.
        LedgerBehind: a checkpoint contradicts the ledger; nothing was written.
    """
    found = recall(workspace, "scored", run_key, Scored)
    if found is not None:
        return found
    refuse_behind(workspace.ledger, workspace.checkpoints)
    refuse_paused(workspace, run_key, "score")
    window = _window(model, as_of)
    lease: Lease | None = None
    try:
        with holding(workspace, run_key, "score", "score") as lease:
            scored = replace(_scored(workspace, run_key, model, window, lease), reason=reason)
            failpoint("score.logged")
            if scored.version is not None:  # where nothing was done, a later try may find a champion
                record(workspace, "scored", run_key, scored, lease)
    finally:
        if lease is not None:
            with suppress(LedgerError):  # it runs out by itself; a held one is waited for
                workspace.ledger.free(lease)
    log.info(
        "rows=%d version=%s window=%s reason=%s", scored.rows, scored.version, scored.window, reason
    )
    return scored


def _window(model: PinnedModel, as_of: datetime) -> Window:
    score, where = model.spec.score, f"model {model.spec.name}"
    if score is None:
        raise BadConfiguration(
            "this model is not scored by Evergreen", where=where, fix="add a section score to its file"
        )
    as_of = as_of.astimezone(UTC)
    try:
        return Window(score.window.before(as_of), as_of)
    except (ValueError, OverflowError) as exc:
        raise DataUnusable(
            f"no window can be derived: {exc}",
            where=where,
            got=f"as-of {as_of.isoformat()}",
            fix="choose a later as-of or another score.window",
        ) from exc


def _scored(
    workspace: Workspace, run_key: str, model: PinnedModel, window: Window, lease: Lease
) -> Scored:
    from evergreen.distinct_keys import distinct_keys

    spec = model.spec
    champion = champion_at(workspace, spec.name, window.end)
    if champion is None:
        note = f"nothing to score with: there was no champion yet as of {window.end:%Y-%m-%d %H:%M} UTC"
        return Scored(run_key, window, None, 0, "", note)
    where = f"model {spec.name}, rows to score of {window}"
    section = "data.source" if spec.score is None or spec.score.source is None else "score.source"
    answers = _Answers(workspace, champion, model, where)
    rows = distinct_keys(workspace.scoring_source_for(model).read(window), spec.data.key, where, section)

    def until_the_lease_is_checked() -> Iterator[pa.RecordBatch]:
        yield from answers.of(rows)
        workspace.ledger.check(lease)

    uri = workspace.predictions.replace(
        spec.name, window, until_the_lease_is_checked(), spec.data.time_column
    )
    return Scored(run_key, window, champion.version.number, answers.rows, uri)


class _Answers:
    """Turns rows into logged rows, a bounded number of them per call of the scorer."""

    def __init__(self, workspace: Workspace, champion: Release, model: PinnedModel, where: str) -> None:
        self.rows = 0
        self._scorer = workspace.scorer
        self._champion = champion
        self._data = model.spec.data
        self._where = where

    def of(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in _in_chunks(batches, ROWS_PER_CALL):
            self._refuse_reserved(rows.column_names)
            predictions = self._scorer.predict(self._champion.candidate, rows)
            self.rows += rows.num_rows
            yield from self._logged(rows, predictions).to_batches()

    def _logged(self, rows: pa.Table, predictions: np.ndarray) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        candidate = self._champion.candidate
        used = [feature.name for feature in candidate.features]
        logged = rows.select([self._data.time_column, self._data.key, *used])
        version = np.full(rows.num_rows, self._champion.version.number, dtype=np.int64)
        logged = logged.append_column(VERSION, pa.array(version))
        columns = predictions.T if candidate.classes else [predictions]
        for name, values in zip(prediction_columns(candidate.classes), columns, strict=True):
            logged = logged.append_column(name, pa.array(np.ascontiguousarray(values, dtype=np.float64)))
        return logged

    def _refuse_reserved(self, names: list[str]) -> None:
        taken = [name for name in names if name.startswith(PREFIX)]
        if taken:
            raise DataUnusable(
                "column names that are kept for what the log adds",
                where=self._where,
                got=", ".join(taken),
                allowed=f"names that do not begin with {PREFIX}",
                fix="rename the columns in the query, or leave them out",
            )


def _in_chunks(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    """Yield tables of at least `most` rows, but the last; a batch is never cut."""
    import pyarrow as pa

    pending: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if pending and batch.schema != pending[0].schema:
            yield pa.Table.from_batches(pending)
            pending, count = [], 0
        pending.append(batch)
        count += len(batch)
        if count >= most:
            yield pa.Table.from_batches(pending)
            pending, count = [], 0
    if count:
        yield pa.Table.from_batches(pending)
