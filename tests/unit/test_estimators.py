"""Estimators by name: what a model file may name, and what it never may."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from evergreen.errors import TrainingFailed
from evergreen.spec import Train
from evergreen.training import estimators
from evergreen.training.estimators import make_estimator, sklearn_estimators

CLASSES = ("False", "True")


def make(estimator: str | None = None, task: str = "classification", **train: Any) -> Any:
    spec = Train.model_validate({"estimator": estimator, **train})
    return make_estimator(spec, task, CLASSES)


def register(monkeypatch: pytest.MonkeyPatch, group: str, **points: str) -> None:
    found = [EntryPoint(name, value, group) for name, value in points.items()]
    monkeypatch.setattr(
        estimators, "entry_points", lambda *, group: [p for p in found if p.group == group]
    )


def pipeline_factory(params: dict[str, Any], seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(random_state=seed, **params))


def not_seeded(max_iter: int = 5) -> Any:
    from sklearn.linear_model import SGDRegressor

    return SGDRegressor(max_iter=max_iter)


def test_a_dotted_name_gives_the_estimator_with_its_parameters_and_seed() -> None:
    made = make("sklearn.ensemble.HistGradientBoostingClassifier", params={"max_iter": 7}, seed=3)
    assert (made.estimator.max_iter, made.estimator.random_state) == (7, 3)
    assert (made.whole, made.requirement) == (False, None)


def test_a_seed_among_the_parameters_is_kept() -> None:
    made = make("sklearn.ensemble.RandomForestClassifier", params={"random_state": 9}, seed=3)
    assert made.estimator.random_state == 9


def test_every_public_name_of_scikit_learn_resolves() -> None:
    for task in ("classification", "regression"):
        for name, found in sklearn_estimators(task).items():
            assert estimators._from_sklearn(name, task) is found


@pytest.mark.parametrize(
    "name",
    [
        "builtins.eval",
        "os.system",
        "subprocess.Popen",
        "sklearn.os.system",
        "sklearn.utils.os.system",
        "sklearn.utils._testing.SkipTest",
        "sklearn.conftest.environ",
        "sklearn.base.clone",
        "sklearn.BaseEstimator",
        "sklearn.utils.fixes.parse_version",
        "sklearn.externals._packaging.version.Version",
        "sklearn..LogisticRegression",
        "sklearn.linear_model.",
        "tests.unit.test_estimators.not_seeded",
    ],
)
def test_any_other_dotted_name_is_refused(name: str) -> None:
    with pytest.raises(TrainingFailed, match="no such estimator"):
        make(name)


def test_a_misspelt_estimator_gets_a_suggestion() -> None:
    with pytest.raises(TrainingFailed) as caught:
        make("sklearn.ensemble.HistGradientBoostingClasifier")
    assert "did you mean 'sklearn.ensemble.HistGradientBoostingClassifier'?" in str(caught.value)
    assert "train.estimator" in str(caught.value)


def test_an_unknown_parameter_is_named_with_what_is_allowed_and_a_suggestion() -> None:
    with pytest.raises(TrainingFailed) as caught:
        make("sklearn.ensemble.HistGradientBoostingClassifier", params={"max_itr": 7})
    message = str(caught.value)
    assert "train.params.max_itr" in message
    assert "learning_rate" in message
    assert "did you mean 'max_iter'?" in message


def test_a_parameter_that_follows_from_the_columns_is_refused() -> None:
    with pytest.raises(TrainingFailed, match="types of the columns"):
        make("sklearn.ensemble.HistGradientBoostingClassifier", params={"categorical_features": [0]})


def test_an_estimator_that_needs_objects_says_how_to_give_them() -> None:
    with pytest.raises(TrainingFailed, match=r"evergreen\.pipelines"):
        make("sklearn.ensemble.StackingClassifier")


@pytest.mark.parametrize(
    ("name", "task", "why"),
    [
        ("sklearn.linear_model.Ridge", "classification", "no estimator for classification"),
        ("sklearn.linear_model.LogisticRegression", "regression", "no estimator for regression"),
        ("sklearn.preprocessing.StandardScaler", "classification", "no estimator for"),
        ("sklearn.cluster.KMeans", "regression", "no estimator for"),
        ("sklearn.svm.LinearSVC", "classification", "no probabilities"),
    ],
)
def test_an_estimator_for_another_task_is_refused(name: str, task: str, why: str) -> None:
    with pytest.raises(TrainingFailed, match=why):
        make(name, task)


def test_class_weights_name_classes() -> None:
    params = {"class_weight": {"true": 5, "false": 1}}
    made = make("sklearn.linear_model.LogisticRegression", params=params)
    assert made.estimator.class_weight == {0: 1, 1: 5}
    with pytest.raises(TrainingFailed, match=r"class_weight.*got late.*allowed: False, True"):
        make("sklearn.linear_model.LogisticRegression", params={"class_weight": {"late": 5}})


def test_a_registered_pipeline_is_called_with_parameters_and_seed_and_used_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(monkeypatch, "evergreen.pipelines", mine=f"{__name__}:pipeline_factory")
    made = make(pipeline="mine", params={"C": 0.5}, seed=4)
    assert (made.whole, made.estimator[-1].C, made.estimator[-1].random_state) == (True, 0.5, 4)


def test_a_registered_estimator_is_checked_and_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "evergreen.estimators", mine=f"{__name__}:not_seeded")
    assert make("mine", "regression", seed=4).estimator.random_state == 4
    with pytest.raises(TrainingFailed, match=r"max_itr.*did you mean 'max_iter'"):
        make("mine", "regression", params={"max_itr": 1})


def test_an_unregistered_name_lists_the_registered_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "evergreen.pipelines", mine=f"{__name__}:pipeline_factory")
    with pytest.raises(TrainingFailed, match=r"got mime; allowed: mine; did you mean 'mine'\?"):
        make(pipeline="mime")


def test_a_registered_name_that_cannot_be_imported_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "evergreen.pipelines", mine="no_such_module_here:factory")
    with pytest.raises(TrainingFailed, match="cannot be imported: ModuleNotFoundError"):
        make(pipeline="mine")
