"""A model file becomes a spec, or every problem of it at once."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.durations import UNITS, Duration
from evergreen.errors import InvalidModelFile
from evergreen.loading import find_model_files, load_model, load_spec
from evergreen.metric_spec import RANKING
from evergreen.names import name_problem
from evergreen.results import PinnedModel, from_json, to_json
from evergreen.spec import ModelSpec
from tests.unit.model_files import QUERY, SUITE, write_model


def problems_of(load, path):
    with pytest.raises(InvalidModelFile) as caught:
        load(path)
    return caught.value.problems


def test_a_valid_file_becomes_a_spec_with_its_defaults(tmp_path):
    spec = load_spec(write_model(tmp_path))
    assert spec.data.train_window == Duration(3, "months")
    assert spec.gate.policy == "non_inferiority"
    assert spec.start == date(2020, 1, 1)


def test_model_files_are_those_of_the_folder_itself_in_order(tmp_path):
    for name in ("b.yaml", "a.yml", "c.json", ".hidden.yaml", "a.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "d.yaml").touch()
    assert [path.name for path in find_model_files(tmp_path)] == ["a.yaml", "a.yml", "b.yaml"]


def test_a_folder_named_like_a_model_file_is_seen_and_refused(tmp_path):
    (tmp_path / "x.yaml").mkdir()
    (path,) = find_model_files(tmp_path)
    (problem,) = problems_of(load_spec, path)
    assert problem.what == "not a file"


@pytest.mark.parametrize("load", [load_spec, load_model])
def test_a_link_out_of_the_folder_is_seen_and_refused(tmp_path, load):
    outside = tmp_path / "outside"
    models = tmp_path / "models"
    outside.mkdir()
    models.mkdir()
    (models / "flights.yaml").symlink_to(write_model(outside))
    (path,) = find_model_files(models)
    (problem,) = problems_of(load, path)
    assert "by a link" in problem.what


@pytest.mark.parametrize("load", [load_spec, load_model])
@pytest.mark.parametrize("content", [None, b"", b"a: \xff"])
def test_a_file_that_is_missing_or_empty_or_not_text_is_an_invalid_model_file(tmp_path, load, content):
    path = tmp_path / "flights.yaml"
    if content is not None:
        path.write_bytes(content)
    assert problems_of(load, path)[0].path == str(path)


def test_two_files_of_one_stem_are_both_refused(tmp_path):
    path = write_model(tmp_path)
    twin = tmp_path / "flights.yml"
    twin.write_text(path.read_text())
    for file in (path, twin):
        assert "two model files" in problems_of(load_spec, file)[0].what


def test_what_the_file_names_is_pinned_with_it(tmp_path):
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "flights.sql").write_text(QUERY)
    (tmp_path / "suite.yaml").write_text(SUITE)
    path = write_model(
        tmp_path,
        (f"query: {QUERY}", "query_file: sql/flights.sql"),
        ("train:", "expectations: suite.yaml\ntrain:"),
    )
    model = load_model(path)
    assert model.query == QUERY
    assert model.suite is not None
    assert model.suite.expectations[0].kwargs == {"column": "origin"}
    assert model.folder == str(tmp_path)
    assert from_json(PinnedModel, json.loads(json.dumps(to_json(model)))) == model


def test_a_file_that_was_pinned_before_tags_were_bounded_is_still_read(tmp_path):
    pinned = to_json(load_model(write_model(tmp_path)))
    pinned["spec"]["tags"] = [f"tag {number}" for number in range(60)]
    assert len(from_json(PinnedModel, pinned).spec.tags) == 60


def test_the_digest_follows_spec_query_and_suite_and_nothing_else(tmp_path):
    (tmp_path / "q.sql").write_text(QUERY)
    (tmp_path / "suite.yaml").write_text(SUITE)
    edits = [(f"query: {QUERY}", "query_file: q.sql"), ("train:", "expectations: suite.yaml\ntrain:")]
    first = load_model(write_model(tmp_path, *edits)).digest
    assert load_model(write_model(tmp_path, *edits, ("schema", "# a comment\nschema"))).digest == first
    assert load_model(write_model(tmp_path, *edits, ("200", "300"))).digest != first
    write_model(tmp_path, *edits)
    (tmp_path / "q.sql").write_text(f"{QUERY} AND TRUE")
    changed_query = load_model(tmp_path / "flights.yaml").digest
    assert changed_query != first
    (tmp_path / "suite.yaml").write_text(SUITE.replace("origin", "dest"))
    assert load_model(tmp_path / "flights.yaml").digest not in {first, changed_query}


WATCHED = (
    "gate:\n",
    """\
score:
  schedule: null
  window: 1 day
  source: {type: sql, connection: w, query_file: fresh.sql}
monitor:
  schedule: "@daily"
  window: 7 days
  source:
    source: {type: sql, connection: w, query: SELECT a WHERE t >= :start AND t < :end}
    prediction: p
gate:
""",
)


def test_the_queries_of_scoring_and_of_the_watch_are_pinned_and_are_no_part_of_the_digest(tmp_path):
    (tmp_path / "fresh.sql").write_text(QUERY)
    plain = load_model(write_model(tmp_path))
    watched = load_model(write_model(tmp_path, WATCHED))
    assert watched.score_query == QUERY
    assert watched.monitor_query == "SELECT a WHERE t >= :start AND t < :end"
    assert (plain.score_query, plain.monitor_query) == (None, None)
    assert watched.digest == plain.digest, "a champion's file may be watched without a new champion"


def test_a_broken_suite_is_told_at_its_own_place(tmp_path):
    (tmp_path / "suite.yaml").write_text("expectations:\n  - typ: expect_x\n")
    path = write_model(tmp_path, ("train:", "expectations: suite.yaml\ntrain:"))
    load_spec(path)
    found = {(p.path, p.line, p.key, p.what) for p in problems_of(load_model, path)}
    suite = str(tmp_path / "suite.yaml")
    assert found == {
        (suite, 2, "expectations[0].typ", "unknown key"),
        (suite, 2, "expectations[0].type", "this key is missing"),
    }


def test_a_query_file_that_links_out_of_the_folder_is_refused(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    (tmp_path / "secret.sql").write_text(QUERY)
    (models / "q.sql").symlink_to(tmp_path / "secret.sql")
    path = write_model(models, (f"query: {QUERY}", "query_file: q.sql"))
    (problem,) = problems_of(load_model, path)
    assert problem.key == "data.source.query_file"
    assert "by a link" in problem.what


def test_thousands_of_problems_are_told_in_a_bounded_message(tmp_path):
    path = write_model(tmp_path)
    unknown = "".join(f"key{number}: 1\n" for number in range(5000))
    path.write_text(path.read_text() + unknown)
    problems = problems_of(load_spec, path)
    assert len(problems) == 50
    assert "4951 further problems" in problems[-1].what


def test_no_word_of_the_validator_reaches_the_user(tmp_path):
    path = write_model(
        tmp_path,
        ("type: sql", "type: sql\n    sql: 1\n    url: [1]"),
        ("metric: log_loss", "metric: 1\n  policy: []\n  margin: x"),
        ("params: {max_iter: 200}", "params: x"),
        ("3 months", "{}"),
    )
    path.write_text(path.read_text() + "  cluster: []\n  slices: [1, {}]\n  serving: {size: 1}\n")
    text = str(InvalidModelFile(list(problems_of(load_spec, path))))
    for jargon in (
        "discriminator",
        "Tag",
        "Input should",
        "pydantic",
        "function-",
        "union",
        "dictionary",
        "instance",
        "source.sql.url",
    ):
        assert jargon not in text


def test_a_password_never_stands_in_a_message(tmp_path):
    path = write_model(tmp_path, ("connection: warehouse", "url: [postgresql://u:hunter22@h/d]"))
    assert "hunter22" not in str(InvalidModelFile(list(problems_of(load_model, path))))
    path = write_model(tmp_path, ("connection: warehouse", "url: postgresql://u:hunter22@h/d"))
    assert "hunter22" not in str(InvalidModelFile(list(problems_of(load_model, path))))


WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=30
)
DURATIONS = st.builds(Duration, st.integers(1, 400), st.sampled_from(UNITS)).map(str)


PERCENT = st.decimals(0, 9999, places=6).map(lambda share: f"{share:f}%")
MARGINS = st.floats(0, 1e300) | PERCENT
SIZES = st.builds(
    lambda count, unit: f"{count} {unit}",
    st.integers(0, 999_999) | st.decimals(0, 999, places=3).map("{:f}".format),
    st.sampled_from(["kB", "MB", "GB"]),
)
METRICS = st.one_of(
    st.sampled_from(["log_loss", "brier", "roc_auc"]),
    st.just({"type": "cost", "costs": [{"truth": True, "decided": 0, "cost": -2}]}),
    st.fixed_dictionaries(
        {
            "type": st.just("own"),
            "name": st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,20}\Z"),
            "task": st.sampled_from(["classification", "regression"]),
            "higher_is_better": st.booleans(),
        }
    ),
    st.sampled_from(["squared_error", "poisson_loss", {"type": "absolute_error"}]),
    st.floats(0.01, 0.99).map(lambda share: {"type": "quantile_loss", "quantile": share}),
)


def slices_of(columns):
    named = st.sampled_from(columns)
    binned = st.fixed_dictionaries({"column": named}, optional={"bins": st.integers(2, 20)})
    return st.lists(
        named | binned,
        max_size=3,
        unique_by=lambda entry: entry if isinstance(entry, str) else entry["column"],
    )


@st.composite
def gate_trees(draw, columns):
    serving = st.fixed_dictionaries({}, optional={"size": SIZES, "memory": SIZES})
    fairness = st.fixed_dictionaries(
        {
            "columns": st.just(columns[:1]),
            "metric": st.just("group_loss"),
            "bound": st.floats(0.01, 1),
            "breach": st.sampled_from([None, "block", "report"]),
        }
    )
    metric = draw(METRICS)
    if isinstance(metric, str) and metric in RANKING:  # has no loss of a group
        fairness = st.none()
    slices = draw(slices_of(columns[1:]))  # each slice of the clusters' column would be one
    return {
        "metric": metric,
        "margin": draw(MARGINS),
        "cluster": draw(st.just("row") | st.just({"column": columns[0]})),
        "slices": slices,
        "slice_rule": {"margin": draw(st.none() | MARGINS)} if slices else {},
        "serving": draw(serving),
        "fairness": draw(st.none() | fairness),
        "leaks": {"allow": columns[:1]},
    }


@st.composite
def spec_trees(draw):
    columns = draw(st.lists(WORDS, min_size=6, max_size=6, unique=True))
    return {
        "schema_version": 1,
        "name": "flights",
        "description": draw(WORDS),
        "owner": draw(WORDS),
        "schedule": draw(st.sampled_from([None, "@daily", "0 6 1 * *"])),
        "start": draw(st.dates()).isoformat(),
        "tags": draw(st.lists(WORDS, max_size=3)),
        "data": {
            "source": {"type": "sql", "connection": "warehouse", "query": QUERY},
            "time_column": columns[0],
            "key": columns[1],
            "label": {"column": columns[2]},
            "train_window": draw(DURATIONS),
            "test_window": draw(DURATIONS),
        },
        "train": {
            "estimator": draw(WORDS),
            "params": draw(
                st.dictionaries(
                    WORDS,
                    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | WORDS,
                    max_size=3,
                )
            ),
        },
        "gate": draw(gate_trees(columns[3:])),
    }


def block_style(tree, indent=0):
    """Write a tree as block YAML with JSON's scalars, which YAML 1.2 shares."""
    pad = "  " * indent
    for key, value in tree.items():
        quoted = json.dumps(key, ensure_ascii=False)
        if isinstance(value, dict) and value:
            yield f"{pad}{quoted}:\n"
            yield from block_style(value, indent + 1)
        else:
            yield f"{pad}{quoted}: {json.dumps(value, ensure_ascii=False)}\n"


@given(spec_trees())
def test_a_spec_written_as_yaml_is_read_as_itself(tmp_path_factory, tree):
    spec = ModelSpec.model_validate(tree)
    path = tmp_path_factory.getbasetemp() / "flights.yaml"
    path.write_text("".join(block_style(spec.model_dump(mode="json"))), encoding="utf-8")
    assert load_spec(path) == spec
    assert name_problem(spec.name) is None
