"""The published schema says what the spec says, and is up to date."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from evergreen.document import read_document
from evergreen.schema import model_schema, reference_page, stale_files, suite_schema, write_reference
from evergreen.spec import ModelSpec, Suite
from tests.unit.model_files import SUITE, VALID


def sections(model):
    schema = model.model_json_schema()
    yield schema
    yield from schema.get("$defs", {}).values()


def models_of(model, seen=None):
    from pydantic import BaseModel

    seen = set() if seen is None else seen
    if model in seen:
        return seen
    seen.add(model)
    stack = [field.annotation for field in model.model_fields.values()]
    while stack:
        kind = stack.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            models_of(kind, seen)
        stack.extend(getattr(kind, "__args__", ()))
    return seen


FIELDS = [
    (model, name)
    for root in (ModelSpec, Suite)
    for model in sorted(models_of(root), key=lambda each: each.__name__)
    for name in model.model_fields
]


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=lambda part: getattr(part, "__name__", part))
def test_every_field_has_a_description_and_an_example_that_holds(model, name):
    field = model.model_fields[name]
    assert field.description
    assert field.description.endswith(".")
    assert field.examples
    validator = model.__pydantic_validator__
    for example in field.examples:
        try:
            validator.validate_python({name: example})
        except ValueError as exc:
            wrong = [error for error in exc.errors() if error["loc"][:1] == (name,)]
            assert not wrong


def test_the_fields_looked_at_are_all_there_are():
    assert {model.__name__ for model, _ in FIELDS} >= {"SqlSource", "FilesSource", "Gate", "Expectation"}


def test_the_committed_files_are_up_to_date():
    assert stale_files(Path("docs/reference")) == []


def test_a_file_that_differs_or_lacks_is_stale(tmp_path):
    written = write_reference(tmp_path)
    assert stale_files(tmp_path) == []
    written[0].write_text("{}")
    written[1].unlink()
    assert stale_files(tmp_path) == written[:2]


@pytest.mark.parametrize("schema", [model_schema(), suite_schema()], ids=["model", "suite"])
def test_the_schema_is_valid_draft_2020_12_with_a_relative_id(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "/" not in schema["$id"]


def test_the_schema_takes_what_the_spec_takes():
    jsonschema.validate(yaml.safe_load(VALID), model_schema())
    jsonschema.validate(yaml.safe_load(SUITE), suite_schema())


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("tier",), "hihg"),
        (("unknown",), 1),
        (("name",), "A"),
        (("data", "train_window"), "3months"),
        (("gate", "confidence"), 1),
        (("data", "source"), {"type": "sqll"}),
        (("gate", "metric"), "log_los"),
        (("gate", "metric"), "cost"),
        (("gate", "metric"), {"type": "quantile_loss"}),
        (("gate", "metric"), {"type": "log_loss", "quantile": 0.5}),
        (("gate", "margin"), -1),
        (("gate", "margin"), "1"),
        (("gate", "cluster"), "week"),
        (("gate", "cluster"), {"colum": "a"}),
        (("gate", "slices"), ["a", {"column": "b", "bin": 4}]),
        (("gate", "fairness"), {"columns": ["a"], "metric": "parity", "bound": 0.1}),
        (("gate", "serving"), {"size": "50"}),
    ],
)
def test_the_schema_refuses_what_the_spec_refuses(keys, value):
    tree = copy.deepcopy(yaml.safe_load(VALID))
    section = tree
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tree, model_schema())
    with pytest.raises(ValueError):
        ModelSpec.model_validate(tree)


@pytest.mark.parametrize("path", sorted(Path("dags/models").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_schema_takes_the_example_models(path):
    jsonschema.validate(read_document(path).tree, model_schema())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("metric", {"type": "log_loss"}),
        ("metric", {"type": "quantile_loss", "quantile": 0.9}),
        ("metric", {"type": "cost", "costs": [{"truth": True, "decided": 0, "cost": -1}]}),
        ("metric", {"type": "own", "name": "gain", "task": "regression", "higher_is_better": True}),
        ("margin", "0.5 %"),
        ("cluster", "row"),
        ("cluster", {"column": "carrier"}),
        ("slices", ["origin", {"column": "distance"}]),
        ("serving", {"size": "50 MB", "memory": "1.5 GB"}),
        ("fairness", None),
    ],
)
def test_schema_and_spec_take_every_form_of_a_gate(key, value):
    tree = copy.deepcopy(yaml.safe_load(VALID))
    tree["gate"][key] = value
    jsonschema.validate(tree, model_schema())
    ModelSpec.model_validate(tree)


def test_margins_and_sizes_stand_in_the_schema_as_a_file_writes_them():
    margin = model_schema()["$defs"]["Gate"]["properties"]["margin"]
    assert margin["default"] == 0.0
    assert '"relative"' not in json.dumps(model_schema())


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("gate.margin", "number ≥ 0 or percentage"),
        ("gate.cluster", "`day`, `row` or section"),
        ("gate.slices", "list of text or section"),
        ("gate.serving.size", "size or null"),
    ],
)
def test_the_page_says_each_form_a_value_may_have(key, wanted):
    (line,) = [line for line in reference_page().splitlines() if line.startswith(f"| `{key}` |")]
    assert f"| {wanted} |" in line


def test_durations_stand_in_the_schema_as_a_file_writes_them():
    text = json.dumps(model_schema())
    assert '"default": "0 days"' in text
    assert '"count"' not in text


def test_the_page_names_every_key():
    page = reference_page()
    for root in (ModelSpec, Suite):
        for section in sections(root):
            for name in section.get("properties", {}):
                assert f"{name}`" in page
