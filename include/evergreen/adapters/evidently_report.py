"""Evidently's own page about rows then and now, as one HTML file that needs no network.

Evidently runs in a process of its own, which is ended when it takes too long: it takes seconds to import
and keeps hundreds of megabytes. Its limits and colours are its own; the watch's verdict does not follow
them. It writes text of the data into a script as it is, so angle brackets are replaced before.

`python -m evergreen.adapters.evidently_report FOLDER` reads `before.arrow`, `after.arrow` and
`columns.json` there and writes `page.html`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.column_kinds import kind_of
from evergreen.errors import bounded
from evergreen.evidence.numbers import counted
from evergreen.redaction import redact
from evergreen.text import html, plain
from evergreen.watch_ports import NoPage

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MOST_ROWS = 5_000
MOST_COLUMNS = 20
MOST_CATEGORIES = 50
LONGEST_CATEGORY = 60
TIMEOUT_SECONDS = 180.0
NOT_INSTALLED = "Evidently is not installed; evergreen[evidently] brings it"

_BEFORE, _AFTER, _COLUMNS, _PAGE = "before.arrow", "after.arrow", "columns.json", "page.html"
_PASSED_ON = ("LANG", "LC_ALL", "PATH", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE", "TMPDIR")
_ANGLES = str.maketrans("<>", "\u2039\u203a")
_NO_NETWORK = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


def installed() -> bool:
    """Tell whether Evidently is there to be asked."""
    return find_spec("evidently") is not None


def page(
    before: pa.Table,
    after: pa.Table,
    columns: Sequence[str],
    title: str,
    seconds: float = TIMEOUT_SECONDS,
) -> bytes:
    """Return the page.

    Args:
        before: Rows of the baseline; of more than `MOST_ROWS` some are drawn, the same each time.
        after: Rows of the window, likewise.
        columns: The columns that matter, the foremost first. Left out are those beyond `MOST_COLUMNS`,
            times, and those that one of the tables lacks or has no value of.
        title: Stands above the page.
        seconds: After which Evidently is ended; `TIMEOUT_SECONDS` at the latest.

    Raises:
        NoPage: Evidently is not installed, failed or took too long, or there is nothing to show.
    """
    if not installed():
        raise NoPage(NOT_INSTALLED)
    shown = [name for name in columns if _is_shown(before, name) and _is_shown(after, name)]
    shown = shown[:MOST_COLUMNS]
    if not shown:
        raise NoPage("no column has values that Evidently shows, then and now")
    sampled = [_sample(rows.select(shown)) for rows in (before, after)]
    with tempfile.TemporaryDirectory(prefix="evergreen-evidently-") as name:
        folder = Path(name)
        _write(folder, sampled, shown)
        _run(folder, min(seconds, TIMEOUT_SECONDS))
        made = (folder / _PAGE).read_text()
    then, now = (counted(rows.num_rows, "row") for rows in sampled)
    said = f"{title} · {then} of the baseline against {now} of the window · made by Evidently, whose "
    return _framed(made, f"{said}limits are its own: the watch's verdict does not follow them").encode()


def _is_shown(rows: pa.Table, column: str) -> bool:
    if rows.column_names.count(column) != 1:
        return False
    values = rows.column(column)
    return kind_of(str(values.type)) in {"number", "flag", "text"} and values.null_count < len(values)


def _sample(rows: pa.Table) -> pa.Table:
    import numpy as np

    if rows.num_rows <= MOST_ROWS:
        return rows
    drawn = np.random.default_rng(0).choice(rows.num_rows, MOST_ROWS, replace=False)
    return rows.take(np.sort(drawn))


def _write(folder: Path, tables: Sequence[pa.Table], columns: Sequence[str]) -> None:
    import pyarrow as pa

    for name, rows in zip((_BEFORE, _AFTER), tables, strict=True):
        with pa.ipc.new_file(folder / name, rows.schema) as sink:
            sink.write_table(rows)
    (folder / _COLUMNS).write_text(json.dumps(columns))


def _run(folder: Path, timeout_seconds: float) -> None:
    """Run Evidently in a process that holds no credentials."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-P", "-m", "evergreen.adapters.evidently_report", str(folder)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            env=environment | {"HOME": str(folder), "DO_NOT_TRACK": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise NoPage(f"Evidently took longer than {timeout_seconds:g} s") from exc
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise NoPage(f"Evidently failed: {redact(bounded(' '.join(last), 300))}")


def _framed(made: str, said: str) -> str:
    """Return the page with a line above it, and forbidden to load anything."""
    policy = f'<head><meta http-equiv="Content-Security-Policy" content="{_NO_NETWORK}">'
    line = f'<body><p style="font:14px sans-serif;margin:16px 24px">{html(said)}</p>'
    return made.replace("<head>", policy, 1).replace("<body>", line, 1)


def main(folder: Path) -> None:
    """Make the page that `folder` asks for."""
    import pyarrow as pa
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    columns = json.loads((folder / _COLUMNS).read_text())
    tables = []
    for name in (_BEFORE, _AFTER):
        with pa.OSFile(str(folder / name)) as file:
            tables.append(pa.ipc.open_file(file).read_all())
    before, after = _frames(tables, columns)
    numbers = [name for name in before.columns if before[name].dtype == float]
    kinds = DataDefinition(
        numerical_columns=numbers,
        categorical_columns=[name for name in before.columns if name not in numbers],
    )
    sets = [Dataset.from_pandas(frame, data_definition=kinds) for frame in (after, before)]
    report = Report([DataDriftPreset(columns=list(before.columns))])
    (folder / _PAGE).write_text(report.run(*sets).get_html_str(as_iframe=False))


def _frames(tables: Sequence[pa.Table], columns: Sequence[str]) -> list[pd.DataFrame]:
    """Return both tables as Evidently may show them: numbers, and categories of harmless text."""
    import pandas as pd

    found: list[dict[str, Any]] = [{} for _ in tables]
    for column in columns:
        values = [rows.column(column).to_pandas() for rows in tables]
        name = _harmless(column)
        while name in found[0]:
            name += "'"
        if all(kind_of(str(rows.schema.field(column).type)) == "number" for rows in tables):
            values = [series.astype(float).replace([inf, -inf], nan) for series in values]
        else:
            values = [series.map(_harmless, na_action="ignore").astype(object) for series in values]
            frequent = pd.concat(values).value_counts().index[:MOST_CATEGORIES]
            values = [
                series.where(series.isin(frequent) | series.isna(), "(others)") for series in values
            ]
        for frame, series in zip(found, values, strict=True):
            frame[name] = series
    return [pd.DataFrame(frame) for frame in found]


def _harmless(text: object) -> str:
    return plain(text, LONGEST_CATEGORY).translate(_ANGLES)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
