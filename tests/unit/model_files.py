"""A model file that is valid, for tests to write and to spoil."""

from pathlib import Path

VALID = """\
schema_version: 1
name: flights
description: Will a flight be late?
owner: ops@example.com
schedule: "@monthly"
data:
  source:
    type: sql
    connection: warehouse
    query: SELECT * FROM flights WHERE time_hour >= :start AND time_hour < :end
  time_column: time_hour
  key: flight_id
  label: {column: late, delay: 1 day}
  train_window: 3 months
  test_window: 1 month
train:
  estimator: sklearn.ensemble.HistGradientBoostingClassifier
  params: {max_iter: 200}
gate:
  metric: log_loss
"""
QUERY = "SELECT * FROM flights WHERE time_hour >= :start AND time_hour < :end"
SUITE = """\
expectations:
  - type: expect_column_values_to_not_be_null
    kwargs: {column: origin}
"""


def write_model(folder: Path, *edits: tuple[str, str], name: str = "flights") -> Path:
    """Write the valid model file with parts replaced; a part that is not there is a mistake."""
    text = VALID.replace("name: flights", f"name: {name}")
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path
