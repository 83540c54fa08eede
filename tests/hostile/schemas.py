"""Skops files whose schema calls something as it is loaded, or once the model predicts."""

from __future__ import annotations

import builtins
import io
import json
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.hostile.pickles import statement
from tests.stored_models import fitted

Schema = dict[str, Any]


def node(loader: str, name: str, content: Any = None, **more: Any) -> Schema:
    """Return one node of a schema; `name` is the dotted name of its type."""
    module, _, kind = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": kind, "content": content, **more}


def text(value: str) -> Schema:
    return node("JsonNode", "builtins.str", json.dumps(value), is_json=True)


def listed(*nodes: Schema, kind: str = "builtins.list") -> Schema:
    return node("ListNode", kind, list(nodes))


def several(*nodes: Schema) -> Schema:
    return node("TupleNode", "builtins.tuple", list(nodes))


def keyed(key: str, value: Schema, key_type: Schema) -> Schema:
    return node("DictNode", "builtins.dict", {key: value}, key_types=listed(key_type))


def made(name: str, *arguments: Schema) -> Schema:
    return node("ConstructorFromReduceNode", name, several(*arguments))


def operator_of(name: str, *arguments: Schema) -> Schema:
    return node("OperatorFuncNode", f"operator.{name}", attrs=several(*arguments))


def packed(schema: Schema, files: Mapping[str, bytes] | None = None, protocol: int = 2) -> bytes:
    """Return a skops file with this schema."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in (files or {}).items():
            file.writestr(name, content)
        written = {**schema, "protocol": protocol, "_skops_version": skops.__version__}
        file.writestr("schema.json", json.dumps(written))
    return buffer.getvalue()


def unpacked(content: bytes) -> tuple[Schema, dict[str, bytes]]:
    """Return the schema of a skops file and its other files."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        files = {name: file.read(name) for name in file.namelist()}
    return json.loads(files.pop("schema.json")), files


def grafted(evil: Schema) -> bytes:
    """Return an honest model's file with one more attribute."""
    schema, files = unpacked(skops.io.dumps(fitted()))
    attributes = schema["content"]
    attributes["content"]["evil"] = evil
    attributes["key_types"]["content"].append(node("TypeNode", "builtins.str"))
    return packed(schema, files, schema["protocol"])


def calling(marker: Path) -> Mapping[str, bytes]:
    """Return files that make the marker as they are loaded by one who trusts what they name."""
    path = text(str(marker))
    words = (text("mkdir"), path)
    mkdir = node("FunctionNode", "posix.mkdir")
    place = made("pathlib.PosixPath", path)
    method = node("MethodNode", "pathlib.PosixPath", {"func": "mkdir", "obj": place})
    drawn = made("collections.deque", made("builtins.map", mkdir, listed(path)))
    nothing = keyed("", text(""), node("TypeNode", "builtins.str")) | {"content": {}}
    bent = node(
        "PartialNode",
        "functools.partial",
        {"func": mkdir, "args": several(path), "kwds": nothing, "namespace": nothing},
    )
    array = io.BytesIO()
    np.save(array, np.array(["mkdir", str(marker)]))
    array_call = node("NdArrayNode", "subprocess.list2cmdline", type="numpy", file="a.npy")
    return {
        "a list that is a call": packed(listed(*words, kind="subprocess.check_call")),
        "a set that is a call": packed(node("SetNode", "subprocess.call", list(words))),
        "an array and a shell": packed(made("os.system", array_call), {"a.npy": array.getvalue()}),
        "a constructor": packed(made("posix.mkdir", path)),
        "a constructor of eval": packed(made("builtins.eval", text(statement(marker)))),
        "a constructor of an old protocol": packed(made("posix.mkdir", path), protocol=0),
        "a type of keys": packed(keyed(str(marker), text("x"), mkdir)),
        "a call among keys": packed(
            keyed("x", text("x"), mkdir) | {"key_types": listed(operator_of("call", mkdir, path))}
        ),
        "an operator": packed(operator_of("call", mkdir, path)),
        "an operator of a method": packed(operator_of("call", method)),
        "an operator of a partial": packed(operator_of("call", bent)),
        "a drawn map": packed(drawn),
        "a call in an honest model": grafted(operator_of("call", mkdir, path)),
        "a map in an honest model": grafted(drawn),
    }


def predicting(marker: Path) -> Mapping[str, bytes]:
    """Return models that make the marker as they predict a frame, where their types are trusted."""
    said = statement(marker)
    functions = {
        "a step that evaluates": partial(builtins.eval, said, {}),
        "a step that executes": partial(builtins.exec, said, {}),
        "a partial in a partial": partial(partial(builtins.eval, said), {}),
    }
    return {
        name: skops.io.dumps(make_pipeline(FunctionTransformer(function), fitted()))
        for name, function in functions.items()
    }
