"""A step's operator, executed as Airflow would over a ledger in memory."""

from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from evergreen import results, steps
from evergreen.spec import ModelSpec
from evergreen.window import Window, windows_at
from tests.airflow.conftest import model_text
from tests.airflow.test_run_context import FakeDagRun, RunType
from tests.comparisons import check, comparison, difference
from tests.fakes.ledger import FakeLedger

RUN_KEY = "flight_delay/run 1"


AS_OF = datetime(2013, 5, 1, tzinfo=UTC)


def retrain(release: results.ReleaseWish = "auto") -> results.Retrain:
    spec = ModelSpec.model_validate(yaml.safe_load(model_text("flight_delay")))
    model = results.PinnedModel(spec, "SELECT 1", None, "models", "d" * 64)
    data = spec.data
    windows = windows_at(AS_OF, data.train_window, data.test_window, data.label.delay)
    return results.Retrain(RUN_KEY, model, windows, "schedule", release, "code 1")


COMPARISON = comparison(
    decision="keep",
    promote=False,
    checks=(check("baseline"), check("champion", "failed", "kept: +0.01, superiority needs less")),
    over_champion=difference(0.01, 0.002),
)


VERSION = results.Version("flight_delay", 4, "c" * 64, results.ModelArtefact("runs:/1", "m" * 64, ()))


FAILED_EXPECTATION = results.ExpectationOutcome(
    "expect_column_values_to_not_be_null", {"column": "origin"}, "error", False, "12 nulls", 12, (), None
)


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def execute(monkeypatch, ledger):
    """Run one operator as Airflow would, in a workspace that has only a ledger."""
    from evergreen import wiring
    from evergreen_airflow.factory import OPERATORS

    @contextmanager
    def opened(settings, connections):
        yield SimpleNamespace(ledger=ledger, code_version=lambda model: "code 1", checkpoints=())

    monkeypatch.setattr(wiring, "open_workspace", opened)

    def of(
        task_id: str,
        *,
        try_number: int = 1,
        cleared_after: int = 0,
        begun: datetime | None = None,
        states: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
        model_file: Path = Path("flight_delay.yaml"),
        lease_waits: int = 0,
        dag_run: FakeDagRun | None = None,
    ) -> Any:
        operator = OPERATORS[task_id](
            task_id=task_id,
            model="flight_delay",
            model_file=model_file,
            retries=3,
            lease_waits=lease_waits,
        )
        ti = SimpleNamespace(
            try_number=try_number,
            max_tries=cleared_after + operator.retries,
            get_task_states=lambda dag_id, run_ids: {run_ids[0]: states or {}},
        )
        dag_run = dag_run or FakeDagRun(RunType.MANUAL)
        dag_run.dag_id = "flight_delay__retrain"
        dag_run.start_date = begun
        return operator.execute({"dag_run": dag_run, "ti": ti, "params": params or {}})

    return of


@pytest.fixture
def step(monkeypatch):
    """Let a step answer, or raise, what a test says."""

    def of(name: str, answer: Any) -> None:
        def stands_in(*args: Any, **kwargs: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(steps, name, stands_in)

    return of


def remember(ledger: FakeLedger, kind: str, result: Any) -> None:
    lease = ledger.acquire("flight_delay", RUN_KEY)
    ledger.append(kind, f"{kind}/{RUN_KEY}", results.to_json(result), lease)


SNAPSHOT = results.Snapshot(
    "/store/snapshots/1",
    "a" * 64,
    Window(AS_OF, AS_OF),
    1000,
    tuple(results.ColumnType(f"column_{i}", "int64") for i in range(50)),
    (),
)
