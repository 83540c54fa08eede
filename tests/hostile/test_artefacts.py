"""Hostile model artefacts: each runs where it is believed, and none runs here.

`make hostile` gives every payload to the real child that scores and probes; `make test` gives it some.
"""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from evergreen.adapters.child_scorer import ChildScorer
from evergreen.errors import ArtefactDamaged, ModelRefused
from evergreen.results import Candidate, ColumnType
from evergreen.serving.model_files import MODEL_FILE, fetch, load, private_folder
from tests.hostile.bounded import run
from tests.hostile.folders import LOADED, Payload, payloads
from tests.hostile.pickles import gadgets
from tests.hostile.trial import NO_TRACKING
from tests.hostile.zips import HONEST, zips
from tests.stored_models import StoredModel, fitted, honest

ALL = os.environ.get("EVERGREEN_HOSTILE") == "all"
SOME = ("numpy: reference.npy", "skops: an operator")
IN_CHILD = [one for one in payloads() if ALL or one.name in SOME]
PLAIN = "sklearn.linear_model._logistic.LogisticRegression"


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("trial", tmp_path_factory.mktemp("trial"))
    return found


def test_there_are_many_payloads_of_many_kinds(tried: list[dict[str, Any]]) -> None:
    names = [one["name"] for one in tried]
    assert len(names) == len(set(names)) >= 80
    kinds = {name.partition(":")[0] for name in names}
    assert kinds >= {"pickle", "opcodes", "cloudpickle", "joblib", "numpy", "skops", "mlflow"}


def test_every_payload_runs_where_it_is_believed(tried: list[dict[str, Any]]) -> None:
    assert [one["name"] for one in tried if not one["live"]] == []


def test_no_payload_runs_here_though_the_ledger_had_recorded_it(tried: list[dict[str, Any]]) -> None:
    assert [one["name"] for one in tried if one["ran"]] == []


def test_every_payload_is_refused_or_not_so_much_as_read(tried: list[dict[str, Any]]) -> None:
    loaded = tuple(one["name"] for one in tried if one["ours"] == "loaded")
    assert sorted(loaded) == sorted(LOADED)
    others = [one["ours"] for one in tried if one["name"] not in LOADED]
    assert all(said.startswith("refused: ") for said in others), others


def test_every_payload_in_the_place_of_a_recorded_model_is_damage(tried: list[dict[str, Any]]) -> None:
    assert [one for one in tried if not one["swapped"].startswith("damaged: ")] == []


@pytest.mark.parametrize("payload", IN_CHILD, ids=lambda payload: payload.name)
@pytest.mark.parametrize("probing", [False, True], ids=["score", "probe"])
def test_the_child_runs_no_payload(payload: Payload, probing: bool, tmp_path: Path) -> None:
    stored = honest(tmp_path)
    payload.make(stored)
    scorer = ChildScorer(NO_TRACKING, ())
    rows = pa.table({"x": np.linspace(0, 1, 20)})
    act = scorer.probe if probing else scorer.predict
    if payload.name in LOADED:
        answer: Any = act(candidate_of(stored), rows)
        assert probing == hasattr(answer, "faults")
    else:
        with pytest.raises(ModelRefused):
            act(candidate_of(stored), rows)
    assert not stored.marker.exists()


def candidate_of(stored: StoredModel) -> Candidate:
    return Candidate(
        key="k",
        run_id="r",
        task="classification",
        model=stored.recorded(),
        features=(ColumnType("x", "double"),),
        classes=("0", "1"),
        baseline=(0.5, 0.5),
        rows_trained=2,
        rows_tested=20,
        metrics={},
        reference_rows=20,
    )


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found: dict[str, Any] = run("zip_trial", tmp_path_factory.mktemp("zips"))
    return found


def test_no_zip_takes_more_memory_than_its_size_calls_for(opened: dict[str, Any]) -> None:
    mib, name = opened["largest"]
    assert mib < 700, name  # most of it is what MLflow and scikit-learn take


def test_every_bad_zip_is_refused_with_its_reason(opened: dict[str, Any]) -> None:
    for name, (_, reason) in zips().items():
        said = opened["found"][name]
        if reason == HONEST:
            assert said == "loaded", name
        else:
            assert re.match(f"refused: .*({reason})", said), (name, said)


def test_a_name_within_a_zip_writes_nothing_elsewhere(opened: dict[str, Any]) -> None:
    assert not Path("/tmp/out.npy").exists()
    assert len(opened["found"]) == len(zips())


def test_a_store_that_changes_while_it_is_read_gives_the_recorded_model_or_none(tmp_path: Path) -> None:
    """The files are swapped without end; what is loaded is what was recorded, never what came after."""
    stored = honest(tmp_path)
    recorded, right = stored.recorded(), (stored.folder / MODEL_FILE).read_bytes()
    wrong = stored.pickle().ljust(len(right), b"\0")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for content in (wrong, right):
                (tmp_path / "next").write_bytes(content)
                (tmp_path / "next").replace(stored.folder / MODEL_FILE)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        answers = [loaded_or_damaged(recorded) for _ in range(60)]
    finally:
        over.set()
        swapper.join()
    assert not stored.marker.exists()
    assert set(answers) <= {PLAIN, "damaged"}
    assert len(set(answers)) == 2


def loaded_or_damaged(recorded: Any) -> str:
    with private_folder() as folder:
        try:
            kind = type(load(fetch(recorded, NO_TRACKING, folder / "model")))
        except ArtefactDamaged:
            return "damaged"
        return f"{kind.__module__}.{kind.__name__}"


def test_what_is_swapped_after_it_was_verified_is_not_what_is_loaded(tmp_path: Path) -> None:
    stored = honest(tmp_path)
    copy = fetch(stored.recorded(), NO_TRACKING, tmp_path / "copy")
    stored.write(MODEL_FILE, stored.pickle())
    assert load(copy).predict([[1.0]]).tolist() == fitted().predict([[1.0]]).tolist()
    assert copy.stat().st_mode & 0o777 == 0o700


def test_files_that_only_mlflow_reads_are_bytes_to_us(tmp_path: Path) -> None:
    stored = honest(tmp_path)
    command = (
        f"numpy; $(mkdir {stored.marker}) `mkdir {stored.marker}`\n-e ./evil\n--index-url http://x\n"
    )
    for name in ("requirements.txt", "conda.yaml", "python_env.yaml", "input_example.json"):
        stored.write(name, command.encode())
    stored.write("evil/setup.py", stored.code())
    assert ChildScorer(NO_TRACKING, ()).predict(candidate_of(stored), pa.table({"x": [0.0]})).shape == (
        1,
        2,
    )
    assert not stored.marker.exists()


def test_fifty_honest_models_load_and_answer_as_before(tmp_path: Path) -> None:
    found = run("honest_trial", tmp_path)
    assert {name: said for name, said in found.items() if said != "as before"} == {}
    assert len(found) >= 50


def test_the_gadgets_are_pickled_as_calls_and_nothing_runs_by_writing_them(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    assert len(json.dumps(sorted(gadgets(marker)))) > 300
    assert not marker.exists()
