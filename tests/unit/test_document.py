"""YAML is read as YAML 1.2 core, with places, and hostile input is refused early."""

import json
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evergreen import document
from evergreen.document import DEEPEST, MOST_BYTES, MOST_VALUES, Place, dotted, read_document
from evergreen.errors import InvalidModelFile

SIZE = 250_000
HOSTILE = {
    "sequences within sequences": "[" * SIZE,
    "mappings within mappings": "{a: " * (SIZE // 4),
    "mappings as keys": "{" * SIZE,
    "dashes on a line": "- " * (SIZE // 2),
    "dashes on lines": "-\n" * (SIZE // 2),
    "explicit keys": "? " * (SIZE // 2),
    "ever deeper blocks": "".join(" " * i + "a:\n" for i in range(600)),
    "alias bomb": "a0: &a0 [x, x]\n"
    + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
    "an alias to itself": "&a [*a]",
    "merge keys": "a: {<<: {b: 1}}",
    "a huge integer": "a: " + "9" * SIZE,
    "a huge hexadecimal": "a: 0x" + "f" * SIZE,
    "a huge float": "a: " + "9" * SIZE + ".0",
    "an overflowing float": "a: 1e999",
    "not a number": "a: .nan",
    "infinity": "a: -.Inf",
    "a python object": "a: !!python/object/apply:os.system [ls]",
    "an unknown tag": "a: !secret b",
    "an endless tag": "!<" + "a" * SIZE,
    "a tag on a key": "!!str a: 1",
    "an anchor on a key": "&k a: 1",
    "many anchors": "&a " * (SIZE // 3),
    "many items": "[" + "a," * (SIZE // 2),
    "many keys": "".join(f"k{i}: 1\n" for i in range(SIZE // 12)),
    "one key many times": "".join(f"a: {i}\n" for i in range(SIZE // 12)),
    "a very long key": "x" * 300 + ": 1",
    "a list as key": "[a]: 1",
    "quotes": '"' * SIZE,
    "an open quote": '"' + "\n" * SIZE,
    "ampersands": "&" * SIZE,
    "stars": "*" * SIZE,
    "bangs": "!" * SIZE + "<",
    "directives": "%a\n" * (SIZE // 3),
    "tabs": "a:\n\t- b",
    "a NUL": "a\0b",
    "a control character": "a: \x01",
    "an escaped NUL": 'a: "\\0"',
    "half a surrogate": 'a: "\\ud800"',
    "UTF-16": "a: b".encode("utf-16"),
    "Latin-1": b"a: b\nc: \xe9",
    "empty": "",
    "only a comment": "#" * SIZE,
    "only blanks": " " * SIZE,
    "two documents": "a: 1\n---\nb: 2",
    "a megabyte": "a: " + "x" * 1_000_000,
}


def read(tmp_path, content):
    path = tmp_path / "model.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_document(path)


def problems_of(tmp_path, content):
    try:
        return read(tmp_path, content).problems
    except InvalidModelFile as exc:
        return exc.problems


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_input_is_refused_with_a_bounded_message_and_a_place(tmp_path, content):
    problems = problems_of(tmp_path, content)
    assert problems
    assert len(problems) <= document.MOST_PROBLEMS
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert str(problem).isprintable()
        assert len(str(problem).removeprefix(str(tmp_path))) < 600


def test_without_the_c_library_hostile_input_is_refused_just_so(tmp_path, monkeypatch):
    contents = [text[:2000] if isinstance(text, str) else text for text in HOSTILE.values()]
    with_c = [[(p.line, p.key) for p in problems_of(tmp_path, content)] for content in contents]
    monkeypatch.setattr(document, "_LOADER", yaml.SafeLoader)
    without = [[(p.line, p.key) for p in problems_of(tmp_path, content)] for content in contents]
    assert [bool(found) for found in without] == [bool(found) for found in with_c]


def test_memory_stays_small_over_the_whole_hostile_corpus(tmp_path):
    for number, content in enumerate(HOSTILE.values()):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / f"{number}.yaml").write_bytes(data)
    program = """
import sys
from pathlib import Path
from evergreen.document import read_document
from evergreen.errors import InvalidModelFile
refused = 0
for path in Path(sys.argv[1]).iterdir():
    try:
        refused += bool(read_document(path).problems)
    except InvalidModelFile:
        refused += 1
# Not ru_maxrss: that counts what the parent had in use when it started this process.
status = Path("/proc/self/status").read_text()
print(refused, int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    refused, peak_mib = map(int, done.stdout.split())
    assert refused == len(HOSTILE)
    assert peak_mib < 200


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-12", -12),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.10", 1.1),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("9007199254740991", 2**53 - 1),
    ],
)
def test_core_scalars_get_their_type(tmp_path, text, value):
    read_value = read(tmp_path, f"a: {text}\n").tree["a"]
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "Off", "y", "1_000", "12:30:00", "0b1", "2013-01-01", "tRUE", "1.2.3", "+", "."],
)
def test_everything_else_is_text(tmp_path, text):
    assert read(tmp_path, f"a: {text}\n").tree == {"a": text}


@pytest.mark.parametrize("text", ['"12"', "'true'", '"null"', '""', "|-\n  12"])
def test_quoted_scalars_are_text(tmp_path, text):
    assert isinstance(read(tmp_path, f"a: {text}\n").tree["a"], str)


def test_keys_are_text_whatever_they_look_like(tmp_path):
    assert read(tmp_path, "on: 1\n2013: 2\nnull: 3\n").tree == {"on": 1, "2013": 2, "null": 3}


@pytest.mark.parametrize("text", ["9007199254740992", "-9007199254740992", "0x" + "f" * 20])
def test_an_integer_that_json_cannot_hold_is_a_problem(tmp_path, text):
    (problem,) = read(tmp_path, f"a:\n  b: {text}\n").problems
    assert (problem.line, problem.column, problem.key) == (2, 6, "a.b")
    assert "too large" in problem.what


def test_all_duplicate_keys_are_told_at_once_and_the_first_value_stands(tmp_path):
    found = read(tmp_path, "a: 1\nb: {c: 1, c: 2}\na: 3\na: 4\n")
    assert [(p.line, p.column, p.key) for p in found.problems] == [
        (2, 11, "b.c"),
        (3, 1, "a"),
        (4, 1, "a"),
    ]
    assert found.tree == {"a": 1, "b": {"c": 1}}


def test_places_count_characters_not_bytes(tmp_path):
    found = read(tmp_path, "ä: ö\né: [ü, {ß: 1}]\n")
    assert found.values[("ä",)] == Place(1, 4)
    assert found.keys[("é", 1, "ß")] == Place(2, 9)
    assert found.values[("é", 1, "ß")] == Place(2, 12)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_line_end_counts_as_one_line(tmp_path, newline):
    found = read(tmp_path, newline.join(["a: 1", "b:", "  c: 2", ""]))
    assert found.values[("b", "c")] == Place(3, 6)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    found = read(tmp_path, b"\xef\xbb\xbfa: b\n")
    assert found.tree == {"a": "b"}
    assert found.keys[("a",)] == Place(1, 1)


def test_the_limits_themselves_are_allowed(tmp_path):
    assert not read(tmp_path, "[" * DEEPEST + "]" * DEEPEST).problems
    assert not read(tmp_path, "- a\n" * (MOST_VALUES - 1)).problems
    assert not read(tmp_path, ("a: " + "x" * MOST_BYTES)[:MOST_BYTES]).problems
    assert problems_of(tmp_path, "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))
    assert problems_of(tmp_path, "- a\n" * MOST_VALUES)
    assert problems_of(tmp_path, ("a: " + "x" * MOST_BYTES)[: MOST_BYTES + 1])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    import os

    path = tmp_path / "model.yaml"
    os.mkfifo(path)
    with pytest.raises(InvalidModelFile, match="not a file"):
        read_document(path)


@pytest.mark.parametrize("make", ["folder", "nothing", "unreadable"])
def test_what_cannot_be_read_is_an_invalid_model_file(tmp_path, make, monkeypatch):
    path = tmp_path / "model.yaml"
    if make == "folder":
        path.mkdir()
    elif make == "unreadable":
        path.write_text("a: 1")

        def refuse(*_args, **_kwargs):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(InvalidModelFile) as caught:
        read_document(path)
    assert caught.value.problems[0].path == str(path)


def test_a_path_of_lists_and_keys_reads_as_one_writes_it():
    assert dotted(("data", "source", "paths", 0)) == "data.source.paths[0]"
    assert dotted(()) == ""


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PRINTABLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PRINTABLE, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_is_read_as_json(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "json.yaml"
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    found = read_document(path)
    assert not found.problems
    assert found.tree == value
