"""What is checked of a model file's scoring and watch; the messages are under tests/golden."""

from evergreen.drift.distances import DISTANCES
from evergreen.loading import load_spec
from evergreen.watch_checks import ORDERED_ONLY
from tests.unit.model_files import write_model


def test_the_distances_refused_for_categories_are_those_that_need_an_order():
    assert {name for name, distance in DISTANCES.items() if distance.ordered} == ORDERED_ONLY


def test_a_watch_over_the_teams_own_log_needs_no_scoring(tmp_path):
    monitor = """\
monitor:
  schedule: "@daily"
  window: 7 days
  source:
    source: {type: files, format: parquet, paths: [served/*.parquet]}
    probabilities: {a: p_a, b: p_b}
    version: version
gate:
"""
    spec = load_spec(write_model(tmp_path, ("gate:\n", monitor)))
    assert spec.monitor is not None
    assert spec.score is None
