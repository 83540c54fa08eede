"""A model file to start from, with the query and the suite it names."""

from __future__ import annotations

import os
from pathlib import Path
from string import Template
from typing import Literal

from evergreen.artefacts import sync_folder
from evergreen.checks import MODEL_SUFFIXES
from evergreen.errors import BadConfiguration
from evergreen.names import name_problem
from evergreen.schema import MODEL_SCHEMA_FILE

_PUBLISHED = Path("docs", "reference", MODEL_SCHEMA_FILE)

_MODEL = Template("""\
# yaml-language-server: $$schema=$schema
# ^ completes and checks the keys in your editor$hint
schema_version: 1
name: $word                # the file's stem
description: What does this model answer?
owner: team@example.com
tier: medium                # low | medium | high: how much is at stake
schedule: "@monthly"        # a cron expression in UTC, @hourly … @yearly, or null: only when asked
start: 2024-01-01           # the first day that a scheduled or backfill run may cover
data:
$source
  time_column: event_time   # when a row happened
  key: id                   # unique within a window
  label:
    column: outcome         # what is predicted
    delay: 0 days           # how long after a row's time its label is known
  train_window: 3 months
  test_window: 1 month
  time_zone: UTC            # of times that carry none
  min_rows: 1000            # of the train and of the test window
expectations: expectations/$name.yaml
train:
  estimator: sklearn.ensemble.HistGradientBoostingClassifier
  params: {max_iter: 200}
gate:
  metric: log_loss          # or brier, roc_auc, …; squared_error, absolute_error, … for a regressor
  policy: non_inferiority   # the fresher model wins ties; or superiority: it must be proven better
  margin: 0.002             # the difference that matters: in the metric's unit, or "1%" of its value
  confidence: 0.95
  # cluster: {column: customer_id}   # rows that may be alike; without it, those of one day
  # slices: [country]                # columns none of whose values may be harmed
  # fairness: {columns: [sex], metric: equalized_odds, bound: 0.1}
  # calibration: {max_error: 0.05}   # how well probabilities must match what happens
  # serving: {size: 50 MB, p99_latency_ms: 50}
""")
_SQL_SOURCE = Template("""\
  source:
    type: sql
    connection: warehouse   # an Airflow connection; outside Airflow AIRFLOW_CONN_WAREHOUSE
    query_file: sql/$name.sql""")
_FILES_SOURCE = Template("""\
  source:
    type: files
    format: parquet         # or csv
    paths:                  # relative to this file's folder, or URLs such as s3://bucket/*.parquet
      - data/$name-*.parquet""")
_QUERY = Template("""\
-- The rows of one window. Evergreen binds its start and its end, in UTC; the end is not part of it.
SELECT *
FROM $name
WHERE event_time >= :start
  AND event_time < :end
""")
_SUITE = """\
# What every snapshot must fulfil before a model is trained on it (Great Expectations).
expectations:
  - type: expect_column_values_to_not_be_null
    kwargs: {column: event_time}
    why: a row without a time belongs to no window
  - type: expect_column_values_to_not_be_null
    kwargs: {column: outcome, mostly: 0.99}
    severity: warning         # only reported; error, the default, rejects the data
    why: rows without a label cannot be learnt from
"""


def scaffold(name: str, folder: Path, source: Literal["sql", "files"]) -> list[Path]:
    """Write a model file that lints clean, with its suite and, for SQL, its query; return their paths.

    The model file is written last. Files that are there already with this very content are kept.

    Raises:
        BadConfiguration: `name` cannot be a model's name.
        FileExistsError: one of the files is there with other content; nothing was written.
        OSError: the folder cannot be written.
    """
    problem = name_problem(name)
    if problem:
        raise BadConfiguration(problem, where="the model's name", got=name)
    contents = _contents(name, folder, source)
    twins = {folder / f"{name}{suffix}" for suffix in MODEL_SUFFIXES} - contents.keys()
    for path in sorted(twins | contents.keys()):
        wanted = contents.get(path)
        if os.path.lexists(path) and (wanted is None or _content_of(path) != wanted):
            raise FileExistsError(f"{path} exists")
    for path, content in contents.items():
        if not os.path.lexists(path):
            _create(path, content)
    return list(reversed(contents))


def _contents(name: str, folder: Path, source: Literal["sql", "files"]) -> dict[Path, str]:
    schema, hint = _schema_reference(folder)
    template = _SQL_SOURCE if source == "sql" else _FILES_SOURCE
    filled = template.substitute(name=name)
    contents = {folder / "expectations" / f"{name}.yaml": _SUITE}
    if source == "sql":
        contents[folder / "sql" / f"{name}.sql"] = _QUERY.substitute(name=name)
    word = f'"{name}"' if name[0].isdigit() else name
    model = _MODEL.substitute(name=name, word=word, source=filled, schema=schema, hint=hint)
    contents[folder / f"{name}.yaml"] = model
    return contents


def _schema_reference(folder: Path) -> tuple[str, str]:
    """Return the schema's path relative to the folder, and how to get it where it is not there."""
    here = folder.absolute()
    for above in (here, *here.parents):
        if (above / _PUBLISHED).is_file():
            return Path(os.path.relpath(above / _PUBLISHED, here)).as_posix(), ""
    return MODEL_SCHEMA_FILE, f"; `evergreen schema > {MODEL_SCHEMA_FILE}` writes that file"


def _content_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _create(path: Path, content: str) -> None:
    """Write a new file; one that has come in between is left alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
