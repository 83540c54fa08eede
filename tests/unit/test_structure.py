"""Nothing goes round the one helper that there is for a danger.

Each test reads the source of both packages and names the lines that break its rule. What may stand
apart from a rule stands in `ALLOWED`, with the reason, and a reason without a line fails too.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

FOLDERS = (Path("include"), Path("plugins"), Path("dags"))
HEAVY = {"great_expectations", "matplotlib", "mlflow", "pandas", "skops", "sklearn"}
MLFLOW_AND_GX = ("adapters/", "serving/", "training/")
PATH_KEYS = {"query_file", "expectations"}
OPENERS = {"open", "read_text", "read_bytes", "read_csv", "read_parquet", "glob", "rglob"}

# rule -> file -> why it may
ALLOWED: dict[str, dict[str, str]] = {
    "reads YAML": {"include/evergreen/document.py": "it checks the events before any tree is built"},
    "escapes": {"include/evergreen/text.py": "it is the one that escapes"},
    "puts SQL together": {
        "include/evergreen/ledger/engine.py": "BEGIN takes no bind; its mode is one of our own words"
    },
    "loads a model": {"include/evergreen/serving/model_files.py": "it knows which types may be loaded"},
    "writes to object storage": {
        "include/evergreen/objects.py": "it is the one that writes conditionally"
    },
    "sleeps": {"include/evergreen/demo/progress.py": "the demo waits for Airflow; no step does"},
    "prints": {
        "include/evergreen/cli/output.py": "it redacts what it prints",
        "include/evergreen/ledger/verifier.py": "it stands alone; what it prints is what it read",
    },
}

Finder = Callable[[Path, "Source"], Iterator[int]]


@dataclass(frozen=True)
class Source:
    """A parsed file with all its nodes."""

    tree: ast.Module
    nodes: tuple[ast.AST, ...]


def parsed(code: str | bytes) -> Source:
    tree = ast.parse(code)
    return Source(tree, tuple(ast.walk(tree)))


@cache
def sources() -> dict[Path, Source]:
    files = [path for folder in FOLDERS for path in sorted(folder.rglob("*.py"))]
    return {path: parsed(path.read_bytes()) for path in files}


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def imports(*packages: str) -> Finder:
    """Find imports of packages or of what is in them."""

    def find(_path: Path, source: Source) -> Iterator[int]:
        for node in source.nodes:
            for name in imported(node):
                if any(name == package or name.startswith(f"{package}.") for package in packages):
                    yield node.lineno

    return find


def called(node: ast.AST) -> str:
    """Return the dotted name a call goes to, `….name` for a method of what is no name, else nothing."""
    return name_of(node.func) if isinstance(node, ast.Call) else ""


def name_of(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "…"


def calls(*names: str) -> Finder:
    """Find calls of these dotted names, or of methods where a name begins with a dot."""

    def find(_path: Path, source: Source) -> Iterator[int]:
        for node in source.nodes:
            name = called(node)
            if name and any(name == each or (each[0] == "." and name.endswith(each)) for each in names):
                yield node.lineno

    return find


def either(*finders: Finder) -> Finder:
    def find(path: Path, source: Source) -> Iterator[int]:
        for finder in finders:
            yield from finder(path, source)

    return find


def below(folder: str, finder: Finder) -> Finder:
    return lambda path, source: finder(path, source) if path.as_posix().startswith(folder) else iter(())


def outside(folders: tuple[str, ...], finder: Finder) -> Finder:
    return lambda path, source: iter(()) if path.as_posix().startswith(folders) else finder(path, source)


def shells(_path: Path, source: Source) -> Iterator[int]:
    for node in source.nodes:
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "shell" and ast.unparse(keyword.value) != "False":
                    yield node.lineno


def unpickling_arrays(_path: Path, source: Source) -> Iterator[int]:
    """Find loads of arrays that do not refuse pickles in so many words."""
    for node in source.nodes:
        if called(node) in {"np.load", "numpy.load"}:
            said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if said.get("allow_pickle") != "False":
                yield node.lineno


def formatted_sql(_path: Path, source: Source) -> Iterator[int]:
    """Find SQL text that is put together instead of bound."""
    for node in source.nodes:
        if called(node).rpartition(".")[2] in {"text", "exec_driver_sql", "read_sql"}:
            for argument in node.args[:1]:
                if any(is_formatting(part) for part in ast.walk(argument)):
                    yield node.lineno


def is_formatting(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr):
        return True
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod)
    return called(node).endswith((".format", ".join", ".replace", ".substitute"))


def uncontained_paths(_path: Path, source: Source) -> Iterator[int]:
    """Find `folder / spec.query_file`, `folder / artefact.name`, and `Path(…)` or `open(…)` of them."""
    for node in source.nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            named = [node.right]
        elif called(node).rpartition(".")[2] in OPENERS | {"Path", "joinpath"}:
            named = [*node.args, *(keyword.value for keyword in node.keywords)]
        else:
            continue
        for part in named:
            if isinstance(part, ast.Attribute) and (
                part.attr in PATH_KEYS or name_of(part) in {"artefact.name", "artifact.name"}
            ):
                yield node.lineno


def at_module_level(*packages: str) -> Finder:
    def find(_path: Path, source: Source) -> Iterator[int]:
        stack: list[ast.AST] = list(source.tree.body)
        while stack:
            node = stack.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                stack.extend(node.orelse)
                continue
            if {name.partition(".")[0] for name in imported(node)} & {*packages}:
                yield node.lineno
            stack.extend(ast.iter_child_nodes(node))

    return find


RULES: dict[str, Finder] = {
    "reads YAML": either(imports("yaml", "ruamel"), calls("yaml.load", "yaml.safe_load")),
    "escapes": either(
        imports("html", "markupsafe", "xml.sax.saxutils", "cgi"), calls("html.escape", ".Markup")
    ),
    "opens a named path without containing it": uncontained_paths,
    "puts SQL together": formatted_sql,
    "loads what can run code": either(
        imports("pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib.load"),
        calls("joblib.load", ".load_model", ".read_pickle", "torch.load"),
        unpickling_arrays,
    ),
    "loads a model": calls("skops.io.load", "skops.io.loads", "io.load", "io.loads", "sio.load"),
    "runs text as code": calls("eval", "exec", "compile", "builtins.eval", "builtins.exec"),
    "runs a shell": either(shells, calls("os.system", "os.popen", "subprocess.getoutput")),
    "prints": calls("print", "sys.stdout.write", "sys.stderr.write"),
    "sleeps": below("include/", either(calls("time.sleep", "sleep"), imports("time.sleep"))),
    "writes to object storage": calls(".pipe_file", ".put_file", ".pipe", ".rm_file", ".upload_file"),
    "imports a heavy library at module level": at_module_level(*HEAVY),
    "imports MLflow or Great Expectations outside the adapters and their parts": outside(
        tuple(f"include/evergreen/{folder}" for folder in MLFLOW_AND_GX),
        imports("mlflow", "great_expectations"),
    ),
    "imports Airflow in the library": below("include/", imports("airflow", "evergreen_airflow")),
    "imports relatively": lambda _path, source: (
        node.lineno for node in source.nodes if isinstance(node, ast.ImportFrom) and node.level
    ),
}


def breaches(rule: str) -> dict[str, list[int]]:
    found = {path.as_posix(): sorted({*RULES[rule](path, source)}) for path, source in sources().items()}
    return {path: lines for path, lines in found.items() if lines}


@pytest.mark.parametrize("rule", RULES)
def test_no_line_of_the_source_breaks_the_rule(rule):
    allowed = ALLOWED.get(rule, {})
    broken = {path: lines for path, lines in breaches(rule).items() if path not in allowed}
    assert not broken, f"{rule}: " + ", ".join(
        f"{path}:{line}" for path, at in broken.items() for line in at
    )


@pytest.mark.parametrize(
    ("rule", "path"), [(rule, path) for rule, paths in ALLOWED.items() for path in paths]
)
def test_what_is_allowed_is_needed(rule, path):
    assert path in breaches(rule)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("reads YAML", "import yaml"),
        ("reads YAML", "from yaml import CSafeLoader"),
        ("escapes", "from markupsafe import Markup"),
        ("escapes", "import html as h"),
        (
            "opens a named path without containing it",
            "(folder / spec.data.source.query_file).read_text()",
        ),
        ("opens a named path without containing it", "open(model.spec.expectations)"),
        ("opens a named path without containing it", "path = folder / artefact.name"),
        ("puts SQL together", "sa.text(f'SELECT {x}')"),
        ("puts SQL together", "text('SELECT %s' % x)"),
        ("puts SQL together", "text('SELECT {}'.format(x))"),
        ("loads what can run code", "def f():\n    import pickle"),
        ("loads what can run code", "mlflow.pyfunc.load_model(uri)"),
        ("loads what can run code", "joblib.load(path)"),
        ("loads what can run code", "np.load(path, allow_pickle=True)"),
        ("loads a model", "skops.io.load(path)"),
        ("runs text as code", "eval(text)"),
        ("runs a shell", "subprocess.run(x, shell=True)"),
        ("runs a shell", "os.system(x)"),
        ("prints", "print(secret)"),
        ("sleeps", "time.sleep(1)"),
        ("writes to object storage", "system.pipe_file(path, content)"),
        ("imports a heavy library at module level", "class A:\n    import pandas as pd"),
        (
            "imports a heavy library at module level",
            "try:\n    from sklearn.base import clone\nexcept ImportError: ...",
        ),
        (
            "imports MLflow or Great Expectations outside the adapters and their parts",
            "def f():\n    import mlflow.sklearn",
        ),
        ("imports Airflow in the library", "def f():\n    from airflow.sdk import DAG"),
        ("imports relatively", "from . import spec"),
    ],
)
def test_each_rule_finds_what_it_is_for(rule, code):
    assert list(RULES[rule](Path("include/evergreen/new.py"), parsed(code)))


def test_a_rule_lets_pass_what_is_right():
    code = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import pandas as pd
def fit():
    import sklearn.base
    contained(folder, spec.query_file).read_text()
    text("SELECT :start")
    subprocess.run(x, shell=False)
"""
    for rule, finder in RULES.items():
        assert not list(finder(Path("include/evergreen/new.py"), parsed(code))), rule
