"""The published form of the model file: JSON Schemas for editors, and a page made from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from evergreen.amounts import Margin, Share, Size
from evergreen.artefacts import write_atomically
from evergreen.durations import Duration
from evergreen.rates import KOfN, Rate
from evergreen.spec import ModelSpec, Suite
from evergreen.text import markdown

MODEL_SCHEMA_FILE = "model.schema.json"
SUITE_SCHEMA_FILE = "suite.schema.json"
REFERENCE_FILE = "model-file.md"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def model_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a model file."""
    return _schema_of(ModelSpec, MODEL_SCHEMA_FILE, "Evergreen model file")


def suite_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a suite file."""
    return _schema_of(Suite, SUITE_SCHEMA_FILE, "Evergreen suite file")


def write_reference(folder: Path) -> list[Path]:
    """Write the schemas and the reference page; return their paths.

    Raises:
        OSError: the folder cannot be written.
    """
    for name, content in _files().items():
        write_atomically(folder / name, content)
    return [folder / name for name in _files()]


def stale_files(folder: Path) -> list[Path]:
    """Return the published files that are missing or differ from what the code says now."""
    return [
        folder / name
        for name, content in _files().items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != content
    ]


def reference_page() -> str:
    """Return the reference of model files and suite files as Markdown."""
    lines = [
        "# The model file",
        "",
        "<!-- Made from the schema by `evergreen schema --write docs/reference`; do not edit. -->",
        "",
        "One YAML file per model, named after it. Unknown keys are refused. Numbers, booleans and null",
        "follow YAML 1.2: `no`, `on` and `1_000` are text. Anchors, aliases and tags are not read.",
        f"Editors complete the keys with [{MODEL_SCHEMA_FILE}]({MODEL_SCHEMA_FILE}):",
        "",
        "```yaml",
        f"# yaml-language-server: $schema=…/{MODEL_SCHEMA_FILE}",
        "schema_version: 1",
        "name: flight_delay",
        "```",
        "",
    ]
    lines += _sections(model_schema(), "")
    lines += ["# The suite file", "", f"Its schema: [{SUITE_SCHEMA_FILE}]({SUITE_SCHEMA_FILE}).", ""]
    lines += _sections(suite_schema(), "")
    return "\n".join(lines).rstrip() + "\n"


def _files() -> dict[str, bytes]:
    return {
        MODEL_SCHEMA_FILE: _json(model_schema()),
        SUITE_SCHEMA_FILE: _json(suite_schema()),
        REFERENCE_FILE: reference_page().encode(),
    }


def _json(schema: Mapping[str, Any]) -> bytes:
    return (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()


class _Schema(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Write durations, rates, shares, sizes and margins as a model file does."""
        if isinstance(dft, Margin):
            return dft.written()
        written = isinstance(dft, Duration | KOfN | Rate | Share | Size)
        return str(dft) if written else super().encode_default(dft)

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:  # noqa: ARG002
        """Keep the order of the model file."""
        return value


def _schema_of(model: type[BaseModel], name: str, title: str) -> dict[str, Any]:
    schema = model.model_json_schema(schema_generator=_Schema)
    return {"$schema": _DIALECT, "$id": name, **schema, "title": title}


def _sections(schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Yield the lines of a section's table and then of the sections within it, in the file's order."""
    yield from _table(schema, schema, prefix)
    yield from _inner(schema, schema, prefix)


def _inner(root: Mapping[str, Any], section: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in section["properties"].items():
        items = next((one["items"] for one in _branches(value) if one.get("type") == "array"), None)
        path = f"{prefix}{key}" + ("" if items is None else "[]")
        for kind in _kinds(root, value if items is None else items):
            chosen = kind["properties"].get("type", {}).get("const")
            head = f"`{path}`" + (f" of type `{chosen}`" if chosen else "")
            yield from (f"## {head}", "", kind.get("description", ""), "")
            yield from _table(root, kind, f"{path}.")
            yield from _inner(root, kind, f"{path}.")


def _table(root: Mapping[str, Any], section: Mapping[str, Any], prefix: str) -> Iterator[str]:
    required = section.get("required", ())
    yield "| key | what it says | type | default | example |"
    yield "| --- | --- | --- | --- | --- |"
    for key, value in section["properties"].items():
        default = "required" if key in required else _default(root, value)
        example = _code(value["examples"][0]) if value.get("examples") else ""
        cells = (
            f"`{prefix}{key}`",
            markdown(_description(root, value)),
            _type(root, value),
            default,
            example,
        )
        yield f"| {' | '.join(cells)} |"
    yield ""


def _kinds(root: Mapping[str, Any], value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the sections that a value may be: none for a plain value, several for a union."""
    names = [branch["$ref"].rpartition("/")[2] for branch in _branches(value) if "$ref" in branch]
    return [root["$defs"][name] for name in names]


def _branches(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what a value may be, each alternative of a union by itself."""
    alternatives = [*value.get("oneOf", ()), *value.get("anyOf", ())]
    for branch in alternatives:
        yield from _branches(branch)
    if not alternatives:
        yield value


def _description(root: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    """Return a key's description; Pydantic drops one that its section repeats."""
    own = value.get("description")
    return str(own or next((kind["description"] for kind in _kinds(root, value)), ""))


def _default(root: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    default = value.get("default")
    return "as below" if isinstance(default, Mapping) and _kinds(root, value) else _code(default)


def _type(root: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    if "oneOf" in value or "anyOf" in value:
        return " or ".join(dict.fromkeys(_type(root, branch) for branch in _branches(value)))
    if "$ref" in value:
        return "section"
    if "enum" in value or "const" in value:
        return ", ".join(_code(word) for word in value.get("enum", [value.get("const")]))
    words = {
        "string": "text",
        "integer": "whole number",
        "object": "section",
        "boolean": "true or false",
    }
    name = str(words.get(value.get("type", ""), value.get("type", "anything")))
    if name == "array":
        return f"list of {_type(root, value['items'])}"
    if value.get("format") == "date":
        return "date"
    if value.get("title") in {"Duration", "K of n", "Percentage", "Rate", "Share", "Size"}:
        return str(value["title"]).lower()
    bounds = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
    limits = [f"{sign} {value[bound]}" for bound, sign in bounds if bound in value]
    return f"{name} {', '.join(limits)}".strip()


def _code(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`".replace("|", "\\|")
