"""Turns a folder of model files into DAGs. One bad file never costs another model its DAG.

A task's process asks for one DAG: then only that model's file is read, whatever else lies there.
"""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, get_parsing_context

from evergreen.errors import BadConfiguration, EvergreenError, InvalidModelFile
from evergreen.loading import find_model_files, load_spec
from evergreen.names import invalid_dag_id, model_of_dag_id
from evergreen.redaction import redact
from evergreen_airflow.dag_kinds import KINDS, DagKind
from evergreen_airflow.docs import invalid_doc
from evergreen_airflow.operators.invalid_spec import InvalidSpecOperator

log = logging.getLogger(__name__)

SUFFIXES = (".yaml", ".yml")


def load_models(folder: Path, namespace: MutableMapping[str, Any]) -> None:
    """Put the DAGs of every model file in `folder` into `namespace`, a DAG file's `globals()`.

    Raises:
        BadConfiguration: there is no such folder; Airflow shows it as an import error.
    """
    folder = Path(folder)
    wanted = get_parsing_context().dag_id
    if wanted is not None:
        dag = _one_dag(folder, wanted)
        if dag is not None:
            namespace[dag.dag_id] = dag
        return
    if not folder.is_dir():
        raise BadConfiguration(
            "there is no folder of model files",
            where=str(folder),
            allowed="a folder that holds NAME.yaml files",
            fix="create it, or give load_models another folder",
        )
    with _nothing_to_collect():
        for stem, files in groupby(sorted(find_model_files(folder), key=_stem_first), lambda p: p.stem):
            namespace.update((dag.dag_id, dag) for dag in _dags_of(stem, list(files), KINDS))


@contextmanager
def _nothing_to_collect() -> Iterator[None]:
    """Keep the garbage collector off: all that is built stays, and looking takes a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _stem_first(path: Path) -> tuple[str, str]:
    return path.stem, str(path)


def _dags_of(stem: str, files: list[Path], kinds: Iterable[DagKind]) -> list[DAG]:
    """Return the model's DAGs of these kinds, or the one that shows why there are none."""
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        return [_invalid_dag(stem, files[0].name, [f"{len(files)} files with one name: {names}"])]
    path = files[0]
    try:
        spec = load_spec(path)
        return [kind.build(spec, path) for kind in kinds if kind.asked_for(spec)]
    except InvalidModelFile as exc:
        return [_invalid_dag(stem, path.name, [str(problem) for problem in exc.problems])]
    except Exception as exc:  # noqa: BLE001 - a defect met in one file must not cost other models their DAGs
        known = isinstance(exc, EvergreenError)
        log.error("%s: %s", path, redact(traceback.format_exc()))
        message = str(exc) if known else f"unexpected {type(exc).__name__}: {exc}"
        return [_invalid_dag(stem, path.name, [f"{path.name}: {message}"])]


def _one_dag(folder: Path, dag_id: str) -> DAG | None:
    """Return the DAG of a task's process, or None where the DAG is not one of Evergreen's.

    Where the file of a run under way broke, vanished or no longer asks for this DAG, its tasks still
    find it: the ledger knows the file the run began with, and a run's first step reports the problems
    of one that did not.
    """
    name = model_of_dag_id(dag_id)
    if name is None:
        return None
    files = [path for path in (folder / f"{name}{suffix}" for suffix in SUFFIXES) if path.is_file()]
    kind = next((kind for kind in KINDS if kind.dag_id(name) == dag_id), None)
    if kind is None:
        return _broken_file(files or find_model_files(folder), dag_id)
    dags = _dags_of(name, files, [kind]) if files else []
    built = next((dag for dag in dags if dag.dag_id == dag_id), None)
    if built is not None:
        return built
    return kind.bare(name, files[0] if files else folder / f"{name}{SUFFIXES[0]}")


def _broken_file(files: Iterable[Path], dag_id: str) -> DAG:
    of_this_dag = [path for path in files if invalid_dag_id(path.stem) == dag_id]
    if of_this_dag:
        (dag, *_) = _dags_of(of_this_dag[0].stem, of_this_dag, KINDS)
        if dag.dag_id == dag_id:
            return dag
    gone = "the file has no problem any more; this DAG goes away with the next parse"
    return _invalid_dag(dag_id, dag_id, [gone], dag_id=dag_id)


def _invalid_dag(stem: str, file_name: str, problems: list[str], dag_id: str | None = None) -> DAG:
    dag = DAG(
        dag_id or invalid_dag_id(stem),
        description="This model file cannot be used; the page of this DAG says why.",
        doc_md=invalid_doc(file_name, problems),
        schedule=None,
        catchup=False,
        tags=["evergreen", "invalid"],
    )
    InvalidSpecOperator(task_id="invalid_spec", dag=dag, problems="\n".join(problems), retries=0)
    return dag
