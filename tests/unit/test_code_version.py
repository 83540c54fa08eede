"""What a candidate's key takes from the code: the packages that decide what training gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from evergreen import __version__
from evergreen.code_version import code_version
from tests.training_runs import retrain_of, spec_of

OF_A_PLAIN_MODEL = f"evergreen=={__version__} scikit-learn=="


def install(folder: Path, name: str, version: str, more: str = "", points: str = "") -> None:
    """Leave what an installer leaves, without the package itself: nothing of it may be imported."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(head + more, encoding="utf-8")
    (info / "entry_points.txt").write_text(points, encoding="utf-8")


def of(**train: str) -> str:
    return code_version(retrain_of(spec_of(**train)).model)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_model_of_scikit_learn_rests_on_evergreen_and_scikit_learn() -> None:
    assert of().startswith(OF_A_PLAIN_MODEL)
    assert of().count("==") == 2


@pytest.mark.parametrize(
    ("group", "named"), [("evergreen.estimators", "estimator"), ("evergreen.pipelines", "pipeline")]
)
def test_a_registered_name_rests_on_its_package_and_what_that_requires(
    site: Path, group: str, named: str
) -> None:
    install(site, "own_models", "1.0", "Requires-Dist: gbm>=2\n", f"[{group}]\nmine = own:make\n")
    install(site, "gbm", "2.1")
    assert of(**{named: "mine"}).split()[1:3] == ["gbm==2.1", "own-models==1.0"]
    assert of() == of(**{named: "other"})


@pytest.mark.parametrize(("name", "version"), [("own_models", "1.1"), ("gbm", "2.2")])
def test_an_upgrade_of_either_is_other_code(
    site: Path,
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    version: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for versions in ({}, {name: version}):
        folder = tmp_path_factory.mktemp("site")
        installed = {"own_models": "1.0", "gbm": "2.1"} | versions
        more, points = "Requires-Dist: gbm\n", "[evergreen.pipelines]\nmine = own:make\n"
        install(folder, "own_models", installed["own_models"], more, points)
        install(folder, "gbm", installed["gbm"])
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            found.append(of(pipeline="mine"))
    assert found[0] != found[1]


def test_what_a_package_requires_and_is_not_installed_is_left_out(site: Path) -> None:
    more = "Requires-Dist: not-there-at-all; extra == 'gpu'\nRequires-Dist: scikit_learn\n"
    install(site, "own_models", "1.0", more, "[evergreen.pipelines]\nmine = own:make\n")
    assert of(pipeline="mine") == of().replace(" scikit-learn", " own-models==1.0 scikit-learn")
