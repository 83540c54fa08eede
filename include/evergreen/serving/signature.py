"""What a model's description says it takes and gives, held against its candidate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.document import read_document
from evergreen.errors import InvalidModelFile, bounded
from evergreen.serving.model_files import DESCRIPTION_FILE

if TYPE_CHECKING:
    import pandas as pd


def input_types(frame: pd.DataFrame) -> dict[str, str]:
    """Return MLflow's type of each column of a feature frame by name, in order."""
    return {str(name): "string" if frame[name].dtype == object else "double" for name in frame.columns}


def output_shape(classes: Sequence[str]) -> tuple[int, ...]:
    """Return the shape of predictions; -1 stands for the number of rows."""
    return (-1, len(classes)) if classes else (-1,)


def signature_faults(folder: Path, frame: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Return what the signature in a model's folder says otherwise than the candidate, each in words.

    Args:
        folder: The model's files.
        frame: The candidate's features as a model sees them; any number of rows.
        classes: The candidate's.
    """
    said = _said(folder)
    if said is None:
        return ["the model's description holds no signature that can be read"]
    inputs, outputs = said
    # MLflow writes an input that may be missing as not required.
    wanted = [{"name": n, "required": False, "type": t} for n, t in input_types(frame).items()]
    shape = [{"dtype": "float64", "shape": list(output_shape(classes))}]
    faults = []
    if inputs != wanted:
        faults.append(_difference(inputs, wanted))
    if outputs != shape:
        faults.append(
            f"the model's signature declares another output: {bounded(json.dumps(outputs), 200)}, where "
            f"the candidate gives {json.dumps(shape)}"
        )
    return faults


def _said(folder: Path) -> tuple[list[Any], list[Any]] | None:
    try:
        tree: Any = read_document(folder / DESCRIPTION_FILE).tree
        inputs = json.loads(tree["signature"]["inputs"])
        outputs = json.loads(tree["signature"]["outputs"])
        return list(inputs), [output["tensor-spec"] for output in outputs]
    except (InvalidModelFile, KeyError, RecursionError, TypeError, ValueError):
        return None


def _difference(inputs: list[Any], wanted: list[Any]) -> str:
    head = "the model's signature declares other inputs than the candidate's features"
    if len(inputs) != len(wanted):
        return f"{head}: {len(inputs)} instead of {len(wanted)}"
    said, needed = next(pair for pair in zip(inputs, wanted, strict=True) if pair[0] != pair[1])
    return f"{head}: {bounded(json.dumps(said), 200)} in the place of {bounded(json.dumps(needed), 200)}"
