"""No model is loaded that is not byte for byte what the ledger recorded, and none that is hostile."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evergreen.artefacts import folder_digest
from evergreen.errors import ArtefactDamaged, ModelRefused
from evergreen.results import Artefact, ModelArtefact
from evergreen.serving.model_files import TRUSTED_TYPES, fetch, fetch_file, load, private_folder
from tests.stored_models import HOSTILE, StoredModel, fitted, honest

NO_TRACKING = "sqlite:////no/such/place"


@pytest.fixture
def stored(tmp_path: Path) -> StoredModel:
    return honest(tmp_path)


def fetched(model: ModelArtefact, tmp_path: Path) -> Path:
    return fetch(model, NO_TRACKING, tmp_path / "private")


def test_an_honest_model_is_fetched_and_loaded(stored: StoredModel, tmp_path: Path) -> None:
    model = load(fetched(stored.recorded(), tmp_path))
    assert model.predict_proba([[0.3]]).tolist() == fitted().predict_proba([[0.3]]).tolist()


def test_the_private_folder_is_private_and_goes_away() -> None:
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_the_payload_of_these_tests_would_leave_its_marker(stored: StoredModel) -> None:
    pickle.loads(stored.pickle())
    assert stored.marker.exists()
    stored.marker.rmdir()
    exec(stored.code())
    assert stored.marker.exists()


@pytest.mark.parametrize("make_hostile", HOSTILE, ids=lambda f: f.__name__)
def test_a_hostile_model_is_refused_with_its_reason_and_runs_nothing(
    make_hostile: Callable[[StoredModel], None], stored: StoredModel, tmp_path: Path
) -> None:
    make_hostile(stored)
    folder = fetched(stored.recorded(), tmp_path)
    with pytest.raises(ModelRefused, match=HOSTILE[make_hostile]):
        load(folder)
    assert not stored.marker.exists()


def test_a_type_from_our_own_configuration_is_loaded(stored: StoredModel, tmp_path: Path) -> None:
    from tests.stored_models import with_unknown_type

    with_unknown_type(stored)
    folder = fetched(stored.recorded(), tmp_path)
    assert type(load(folder, ["tests.stored_models.Unknown"])).__name__ == "Unknown"


def test_what_the_model_itself_trusts_does_not_count(stored: StoredModel, tmp_path: Path) -> None:
    from tests.stored_models import with_system_call

    with_system_call(stored)
    stored.describe(sklearn={"skops_trusted_types": ["posix.mkdir"]})
    with pytest.raises(ModelRefused, match=r"posix\.mkdir"):
        load(fetched(stored.recorded(), tmp_path))


@pytest.mark.parametrize("name", ["model.skops", "MLmodel"])
def test_a_link_that_leads_out_is_refused(stored: StoredModel, tmp_path: Path, name: str) -> None:
    folder = fetched(stored.recorded(), tmp_path)
    outside = (folder / name).rename(tmp_path / "outside")
    (folder / name).symlink_to(outside)
    with pytest.raises(ModelRefused, match="outside its folder"):
        load(folder)


def swapped(stored: StoredModel) -> None:
    content = (stored.folder / "model.skops").read_bytes()
    stored.write("model.skops", content[:-1] + bytes([content[-1] ^ 1]))


def longer(stored: StoredModel) -> None:
    stored.write("model.skops", (stored.folder / "model.skops").read_bytes() + b"x")


def extra(stored: StoredModel) -> None:
    stored.write("sitecustomize.py", stored.code())


def extra_folder(stored: StoredModel) -> None:
    stored.write("code/x.py", stored.code())


def loop(stored: StoredModel) -> None:
    (stored.folder / "loop").symlink_to(stored.folder)


def missing(stored: StoredModel) -> None:
    (stored.folder / "model.skops").unlink()


def linked_elsewhere(stored: StoredModel) -> None:
    (stored.folder / "MLmodel").unlink()
    (stored.folder / "MLmodel").symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (swapped, "altered file 'model.skops'"),
        (longer, "altered file 'model.skops'"),
        (extra, "unknown file 'sitecustomize.py'"),
        (extra_folder, "unknown file 'code/'"),
        (loop, "unknown file 'loop/'"),
        (missing, "missing file 'model.skops'"),
        (linked_elsewhere, "altered file 'MLmodel'"),
    ],
)
def test_files_that_changed_since_they_were_recorded_are_refused(
    damage: Callable[[StoredModel], None], reason: str, stored: StoredModel, tmp_path: Path
) -> None:
    recorded = stored.recorded()
    damage(stored)
    with pytest.raises(ArtefactDamaged, match=reason):
        fetched(recorded, tmp_path)
    with pytest.raises(ArtefactDamaged, match=reason):
        fetch_file(recorded, "MLmodel" if damage is linked_elsewhere else "model.skops", NO_TRACKING)
    assert not stored.marker.exists()


def test_one_file_is_fetched_as_it_was_recorded_and_a_file_that_never_was_is_none(
    stored: StoredModel,
) -> None:
    recorded = stored.recorded()
    assert fetch_file(recorded, "MLmodel", NO_TRACKING) == (stored.folder / "MLmodel").read_bytes()
    assert fetch_file(recorded, "baseline.json", NO_TRACKING) is None


def test_a_list_of_files_that_is_not_the_digest_s_is_refused(
    stored: StoredModel, tmp_path: Path
) -> None:
    recorded = stored.recorded()
    with pytest.raises(ArtefactDamaged, match="does not have the model's digest"):
        fetched(replace(recorded, artefacts=recorded.artefacts[1:]), tmp_path)
    with pytest.raises(ArtefactDamaged, match="does not have the model's digest"):
        fetch_file(replace(recorded, artefacts=()), "baseline.json", NO_TRACKING)


@pytest.mark.parametrize("name", ["../out.skops", "/tmp/out.skops", "a/../../out.skops"])
def test_a_recorded_name_that_leads_out_writes_nothing(
    stored: StoredModel, tmp_path: Path, name: str
) -> None:
    artefacts = (*stored.recorded().artefacts, Artefact(name, "0" * 64, 1))
    model = ModelArtefact(stored.folder.as_uri(), folder_digest(artefacts), artefacts)
    with pytest.raises((ArtefactDamaged, ModelRefused)):
        fetched(model, tmp_path)
    with pytest.raises((ArtefactDamaged, ModelRefused)):
        fetch_file(model, name, NO_TRACKING)
    assert not (tmp_path / "out.skops").exists()


def test_every_trusted_type_has_a_reason() -> None:
    assert all(len(reason) > 10 for reason in TRUSTED_TYPES.values())
    assert not {t for t in TRUSTED_TYPES if t.startswith(("os.", "posix.", "builtins.", "subprocess."))}
