"""The published schema says what the spec says, and is up to date."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

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
