"""What lint finds, word for word, and what it never imports.

Each folder of `tests/golden/bad_models` holds bad files and the messages they must get.
"""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from evergreen import static_code
from evergreen.lint import lint
from tests.unit.model_files import write_model

GOLDEN = Path("tests/golden/bad_models")
HEAVY = (
    "airflow",
    "sklearn",
    "great_expectations",
    "pandas",
    "numpy",
    "mlflow",
    "pyarrow",
    "fsspec",
    "scipy",
)


def messages(*paths):
    return [str(problem) for problem in lint(paths)]


@pytest.mark.parametrize("folder", sorted(GOLDEN.iterdir()), ids=lambda folder: folder.name)
def test_a_bad_file_gets_its_messages(folder):
    found = "\n".join(messages(folder)).replace(f"{folder}/", "")
    assert found == (folder / "expected.txt").read_text().rstrip("\n")


def test_a_valid_file_gets_none(tmp_path):
    assert messages(write_model(tmp_path)) == []


def test_the_example_models_are_clean():
    assert messages(Path("dags/models")) == []


def test_nothing_heavy_is_imported():
    program = f"""
import sys
from pathlib import Path
from evergreen.lint import lint
folders = sorted(Path({str(GOLDEN)!r}).iterdir())
assert len(lint(folders)) > len(folders)
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_two_files_of_one_name_in_different_folders_are_both_told(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    write_model(first)
    write_model(second)
    assert messages(first) == []
    found = lint([first, second])
    assert [Path(problem.path).parent.name for problem in found] == ["a", "b"]
    assert {problem.what for problem in found} == {"two model files with one name"}


def test_a_file_named_twice_is_one_file(tmp_path):
    path = write_model(tmp_path)
    assert messages(path, path.parent, path) == []


def test_a_path_that_is_not_there_is_told(tmp_path):
    (problem,) = lint([tmp_path / "none.yaml"])
    assert "cannot be read" in problem.what


def test_a_bad_file_does_not_hide_another_ones_problems(tmp_path):
    (tmp_path / "broken.yaml").write_text("[")
    write_model(tmp_path, ("log_loss", "logloss"))
    assert {Path(problem.path).name for problem in lint([tmp_path])} == {"broken.yaml", "flights.yaml"}


@pytest.fixture
def registered(monkeypatch):
    def entry_points(group):
        return [EntryPoint("boosted", "vendor:Boosted", group)]

    monkeypatch.setattr(static_code.importlib.metadata, "entry_points", entry_points)


def test_a_registered_estimator_is_accepted_without_import(tmp_path, registered):
    estimator = "sklearn.ensemble.HistGradientBoostingClassifier"
    assert messages(write_model(tmp_path, (estimator, "boosted"))) == []
    assert "vendor" not in sys.modules


def test_a_misspelt_registered_estimator_is_suggested(tmp_path, registered):
    estimator = "sklearn.ensemble.HistGradientBoostingClassifier"
    (message,) = messages(write_model(tmp_path, (estimator, "bosted")))
    assert "did you mean 'boosted'?" in message


def test_a_registered_pipeline_is_accepted(tmp_path, registered):
    estimator = "estimator: sklearn.ensemble.HistGradientBoostingClassifier"
    assert messages(write_model(tmp_path, (estimator, "pipeline: boosted"))) == []


@pytest.mark.parametrize(
    ("estimator", "what"),
    [
        ("sklearn.ensemble._forest.RandomForestClassifier", "no such public class"),
        ("sklearn..ensemble.RandomForestClassifier", "no such public class"),
        ("sklearn.ensemble.../x", "no such public class"),
        ("sklearn", "neither scikit-learn's nor registered"),
        ("os.system", "neither scikit-learn's nor registered"),
        ("sklearn.preprocessing.StandardScaler", "neither a classifier nor a regressor"),
        ("sklearn.linear_model.RidgeClassifier", "gives no probabilities"),
        ("sklearn.linear_model.lasso_path", "no such public class"),
    ],
)
def test_what_is_no_usable_estimator_is_refused(tmp_path, estimator, what):
    old = "sklearn.ensemble.HistGradientBoostingClassifier\n  params: {max_iter: 200}"
    (message,) = messages(write_model(tmp_path, (old, estimator)))
    assert what in message


def test_a_parameter_that_must_be_given_is_missed(tmp_path):
    old = "sklearn.ensemble.HistGradientBoostingClassifier\n  params: {max_iter: 200}"
    (message,) = messages(write_model(tmp_path, (old, "sklearn.ensemble.VotingClassifier")))
    assert "train.params.estimators: missing parameter" in message


def test_problems_of_all_kinds_come_together_in_file_order(tmp_path):
    path = write_model(
        tmp_path,
        ("owner:", "ownerr: x\nowner:"),
        ("@monthly", "@montly"),
        (":start", ":strt"),
        ("max_iter", "max_itr"),
    )
    found = lint([path])
    assert [problem.key for problem in found] == [
        "ownerr",
        "schedule",
        "data.source.query",
        "data.source.query",
        "train.params.max_itr",
    ]
    assert [problem.line for problem in found] == sorted(problem.line for problem in found)
