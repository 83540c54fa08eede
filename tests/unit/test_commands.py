"""The command line: its table, its exit codes and its messages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evergreen.cli.commands import COMMANDS
from evergreen.cli.exit_codes import ENVIRONMENT, FINDINGS, INTERRUPTED, OK, USAGE
from evergreen.cli.main import main
from evergreen.cli.reference import reference_pages
from evergreen.errors import (
    BadConfiguration,
    ChainBroken,
    DataUnusable,
    LeaseHeld,
    LedgerError,
    ScoringInterrupted,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVERGREEN_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return tmp_path


def test_reference_pages_are_up_to_date():
    for name, text in reference_pages().items():
        committed = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
        assert committed == text, f"run `make docs-reference` to write {name} again"


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_info:
        main([command, "--help"])
    assert exit_info.value.code == OK
    assert "usage" in capsys.readouterr().out.lower()


def test_unknown_command_is_a_usage_error():
    with pytest.raises(SystemExit) as exit_info:
        main(["lnit"])
    assert exit_info.value.code == USAGE


def test_a_new_model_file_lints_clean(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["new", "churn"]) == OK
    assert main(["lint", str(home / "models")]) == OK, capsys.readouterr().out
    assert main(["new", "churn"]) == OK, "writing the same again is no harm"
    path = home / "models" / "churn.yaml"
    path.write_text(path.read_text().replace("team@", "crew@"), encoding="utf-8")
    assert main(["new", "churn"]) == USAGE
    assert "crew@" in path.read_text()
    assert "nothing was overwritten" in capsys.readouterr().err


def test_lint_names_file_line_and_column_and_ends_with_findings(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    main(["new", "churn"])
    path = home / "models" / "churn.yaml"
    path.write_text(path.read_text().replace("policy:", "polcy:"), encoding="utf-8")
    capsys.readouterr()
    assert main(["lint", str(path)]) == FINDINGS
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"{path}:")
    assert "did you mean 'policy'?" in first
    assert main(["lint", "--json", str(path)]) == FINDINGS
    problem = json.loads(capsys.readouterr().out)[0]
    assert {"path", "line", "column", "key", "what", "got", "allowed", "fix"} == problem.keys()


def test_lint_of_a_missing_path_is_a_usage_error(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["lint", str(home / "nowhere")]) == USAGE
    assert "no such file or folder" in capsys.readouterr().err


def test_lint_of_a_folder_without_model_files_is_a_usage_error(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    (home / "teams" / "crew").mkdir(parents=True)
    assert main(["lint", str(home / "teams")]) == USAGE
    assert f"no model files in {home / 'teams'}" in capsys.readouterr().err


def test_run_of_an_unknown_model_suggests_a_known_one(home: Path, capsys: pytest.CaptureFixture[str]):
    main(["new", "churn"])
    assert main(["run", "chrun"]) == USAGE
    assert "did you mean 'churn'?" in capsys.readouterr().err


def test_run_with_a_date_that_is_none_is_a_usage_error(home: Path, capsys: pytest.CaptureFixture[str]):
    main(["new", "churn"])
    assert main(["run", "churn", "--as-of", "yesterday"]) == USAGE
    assert "--as-of" in capsys.readouterr().err


def test_history_of_a_model_never_run_says_so(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["history", "churn"]) == OK
    assert "no run" in capsys.readouterr().out
    assert main(["history", "churn", "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == []


def test_as_of_without_champion_ends_with_findings(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["as-of", "churn", "2013-04-01"]) == FINDINGS
    assert "no champion" in capsys.readouterr().out


def test_audit_of_an_empty_ledger_verifies(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["audit", "--json"]) == OK
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_a_ledger_that_is_no_database_is_an_environment_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("EVERGREEN_LEDGER", "postgresql+psycopg://nobody:hunter22@127.0.0.1:1/none")
    assert main(["audit"]) == ENVIRONMENT
    assert "hunter22" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (DataUnusable("x"), FINDINGS),
        (ChainBroken("x"), FINDINGS),
        (ScoringInterrupted("x"), ENVIRONMENT),
        (LeaseHeld("x"), ENVIRONMENT),
        (LedgerError("x"), ENVIRONMENT),
        (BadConfiguration("x"), ENVIRONMENT),
        (KeyboardInterrupt(), INTERRUPTED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_error_has_its_exit_code(
    raised: BaseException,
    code: int,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr("evergreen.cli.audit.open_ledger", fail)
    assert main(["audit"]) == code
    assert capsys.readouterr().err.startswith("evergreen: ")


def test_lint_loads_neither_airflow_nor_any_heavy_library():
    code = (
        "import sys; from evergreen.cli.main import main; main(['lint', 'dags/models']);"
        "heavy = {'airflow', 'pandas', 'numpy', 'sklearn', 'mlflow', 'great_expectations', 'pyarrow'};"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_as_of_ahead_of_now_is_a_usage_error(home: Path, capsys: pytest.CaptureFixture[str]):
    main(["new", "churn"])
    assert main(["run", "churn", "--as-of", "2999-01-01"]) == USAGE
    assert "lies ahead" in capsys.readouterr().err


def test_what_nobody_expected_ends_in_one_message_without_secrets(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(*_: object) -> None:
        raise RuntimeError("lost postgresql://bob:hunter22@db/x")

    monkeypatch.setattr("evergreen.cli.lint.find_problems", fail)
    assert main(["new", "churn"]) == OK
    assert main(["lint"]) == ENVIRONMENT
    said = capsys.readouterr().err
    assert "unexpected RuntimeError" in said
    assert "hunter22" not in said
