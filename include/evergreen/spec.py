"""The model file: what one YAML file may say. Text comes in here and nowhere else.

Every class is frozen and refuses unknown keys. `loading.py` turns a file into a `ModelSpec` with the
place of every error; the JSON Schema in `docs/reference/model.schema.json` is generated from here.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from evergreen.alert_spec import Channel
from evergreen.cron import spread, whose
from evergreen.durations import Duration, DurationField
from evergreen.gate_spec import Gate, Tier
from evergreen.monitor_spec import Monitor, Score
from evergreen.names import LONGEST_NAME, NAME_PATTERN, name_problem
from evergreen.pod_spec import Pods
from evergreen.section import Column, Section
from evergreen.source_spec import RelativePath, Source, one_of


def _model_name(name: str) -> str:
    problem = name_problem(name)
    if problem:
        raise ValueError(problem)
    return name


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or len(value) != len("2013-01-01"):
        raise ValueError("not a date; write it as 2013-01-01")
    try:
        return date.fromisoformat(value)
    except ValueError as exc:
        raise ValueError(f"not a date; write it as 2013-01-01 ({exc})") from None


MOST_TAGS = 50
"""`checks` holds a file to it; what a ledger pinned before there was a bound is read all the same."""

Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]


def _spread(schedule: object, who: str) -> object:
    if not isinstance(schedule, str):
        return schedule
    try:
        return spread(schedule, who)
    except ValueError:
        return schedule  # `checks` says what is wrong with it


class Label(Section):
    """What is predicted, and when it becomes known."""

    column: Column = Field(description="The label's column.", examples=["late"])
    delay: DurationField = Field(
        Duration(0, "days"),
        description="How long after a row's time its label is known.",
        examples=["1 day"],
    )


class Data(Section):
    """Where rows come from and which of them a run uses."""

    source: Source = Field(
        description="The table or files that rows are read from.",
        examples=[{"type": "sql", "connection": "warehouse", "query_file": "sql/flight_delay.sql"}],
    )
    time_column: Column = Field(
        description="Column of the time at which a row happened; its window is found by it.",
        examples=["scheduled_departure"],
    )
    key: Column = Field(description="Identifies a row; unique within a window.", examples=["flight_id"])
    label: Label = Field(
        description="What is predicted.", examples=[{"column": "late", "delay": "1 day"}]
    )
    train_window: DurationField = Field(
        description="Time range of the rows to train on; it ends where the test window begins.",
        examples=["3 months"],
    )
    test_window: DurationField = Field(
        description="Time range of the rows to judge on, the last before the as-of.",
        examples=["1 month"],
    )
    time_zone: str = Field(
        "UTC",
        description="Zone of times that carry none (IANA name).",
        examples=["America/New_York"],
    )
    min_rows: int = Field(
        1000,
        ge=1,
        description="Fewest rows that each of train and test window must hold.",
        examples=[1000],
    )
    exclude: list[Column] = Field(
        default=[],
        description="Columns that are read but are no features.",
        examples=[["tail_number"]],
    )
    weight: Column | None = Field(
        None,
        description="Column of how much a row counts when models are compared, and in the trivial "
        "predictors that they must beat: a number, 0 or more. It is no feature, and the fit does not "
        "use it.",
        examples=["sampling_weight"],
    )


class Train(Section):
    """How the challenger is made."""

    estimator: str | None = Field(
        None,
        description="Dotted name of a scikit-learn estimator, or one registered under the entry-point "
        "group evergreen.estimators.",
        examples=["sklearn.ensemble.HistGradientBoostingClassifier"],
    )
    pipeline: str | None = Field(
        None,
        description="Instead: the name of a factory registered under the entry-point group "
        "evergreen.pipelines. It is called with the parameters and the seed.",
        examples=["my_pipeline"],
    )
    params: dict[str, Any] = Field(
        default={}, description="Parameters of the estimator.", examples=[{"max_iter": 200}]
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Seed of everything random.", examples=[0])
    refit: bool = Field(
        False,
        description="After a win, train once more on train and test window together and release that.",
        examples=[False],
    )

    @model_validator(mode="after")
    def _one(self) -> Train:
        if (self.estimator is None) == (self.pipeline is None):
            raise ValueError(one_of("estimator", "pipeline"))
        return self


class LocalTarget(Section):
    """A pointer file that a scorer on this machine reads."""

    type: Literal["local"] = Field(description="This kind of target.", examples=["local"])


class Approval(Section):
    """A person's word before a release."""

    approvers: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default=[],
        description="Users of Airflow who may answer; none named: whoever may answer there. Never the "
        "one who started the run.",
        examples=[["alice", "bob"]],
    )
    timeout: DurationField = Field(
        Duration(3, "days"), description="How long the question waits.", examples=["3 days"]
    )
    on_timeout: Literal["keep", "release"] = Field(
        "keep",
        description="What follows where nobody answers in time: keep the champion, or release.",
        examples=["keep"],
    )


class ReleaseSpec(Section):
    """Where the champion serves, and who must agree."""

    target: LocalTarget = Field(
        default=LocalTarget(type="local"),
        description="Where the champion's pointer is put.",
        examples=[{"type": "local"}],
    )
    approval: Approval | None = Field(
        None,
        description="The person's word that a release needs; null: none, but at tier high, where any "
        "other user than the one who started the run is asked.",
        examples=[{"approvers": ["alice", "bob"], "timeout": "3 days"}],
    )


class Retries(Section):
    """How often a task that failed for a passing reason is tried again."""

    attempts: int = Field(3, ge=0, le=20, description="Tries after the first.", examples=[3])
    delay: DurationField = Field(
        Duration(1, "minutes"),
        description="Wait before the first of them; it doubles each time.",
        examples=["1 minute"],
    )


class ModelSpec(Section):
    """One model file."""

    schema_version: Literal[1] = Field(description="Version of this format.", examples=[1])
    name: Annotated[str, AfterValidator(_model_name)] = Field(
        description="Equal to the file's stem.",
        examples=["flight_delay"],
        max_length=LONGEST_NAME,
        json_schema_extra={"pattern": NAME_PATTERN},
    )
    description: str = Field(
        description="What the model answers.", max_length=2000, examples=["Will it be late?"]
    )
    display_name: str | None = Field(
        None, max_length=200, description="Shown in Airflow.", examples=["Flight delay"]
    )
    owner: str = Field(
        min_length=1,
        max_length=200,
        description="Who answers for it.",
        examples=["ops-analytics@example.com"],
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=[],
        description="Extra tags of its DAGs.",
        examples=[["flights"]],
        json_schema_extra={"maxItems": MOST_TAGS},
    )
    tier: Tier = Field(
        "medium",
        description="How much is at stake: decides what a breach of fairness, calibration or the leak "
        "checks does where the gate does not say; at high, a person must agree to each release.",
        examples=["medium"],
    )
    schedule: str | None = Field(
        description="Cron expression in UTC (or @hourly … @yearly) of retrains; null: only when asked. "
        "H in a field is a number that follows from the model's name, so that not all begin at once.",
        examples=["0 6 1 * *", "H H(0-5) 1 * *"],
    )
    start: Day = Field(
        date(2020, 1, 1),
        description="First day that a scheduled or backfill run may cover.",
        examples=["2013-01-01"],
    )
    data: Data = Field(
        description="Where rows come from and which of them a run uses.",
        examples=[
            {
                "source": {"type": "files", "paths": ["data/*.parquet"], "format": "parquet"},
                "time_column": "time_hour",
                "key": "flight_id",
                "label": {"column": "late", "delay": "1 day"},
                "train_window": "3 months",
                "test_window": "1 month",
            }
        ],
    )
    expectations: RelativePath | None = Field(
        None,
        description="Great Expectations suite, relative to the model file's folder.",
        examples=["expectations/flight_delay.yaml"],
    )
    train: Train = Field(
        description="How the challenger is made.",
        examples=[
            {
                "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
                "params": {"max_iter": 200},
            }
        ],
    )
    gate: Gate = Field(
        description="What the challenger must prove.",
        examples=[{"metric": "log_loss", "policy": "non_inferiority", "margin": 0.002}],
    )
    release: ReleaseSpec = Field(
        default=ReleaseSpec(),
        description="Where the champion serves.",
        examples=[{"target": {"type": "local"}}],
    )
    score: Score | None = Field(
        None,
        description="Scoring of fresh rows with the champion; null: not by Evergreen.",
        examples=[{"schedule": "@daily", "window": "1 day"}],
    )
    monitor: Monitor | None = Field(
        None,
        description="The watch over the champion; null: none.",
        examples=[{"schedule": "@daily", "window": "7 days", "false_alarms": "1 per quarter"}],
    )
    alerts: list[Channel] | None = Field(
        None,
        max_length=20,
        description="Who is told what; null: the fleet's own file says (EVERGREEN_ALERTS); []: nobody.",
        examples=[[{"type": "slack", "connection": "slack_ml", "events": ["failed", "promoted"]}]],
    )
    stale_after: DurationField | None = Field(
        None,
        description="How long there may be no retrain that came to an answer before people are told; "
        "null: for ever.",
        examples=["45 days"],
    )
    timeout: DurationField = Field(
        Duration(6, "hours"),
        description="The longest a task may take; then it is ended and tried again.",
        examples=["6 hours"],
    )
    retries: Retries = Field(
        default=Retries(),
        description="How often a task that failed for a passing reason is tried again.",
        examples=[{"attempts": 3, "delay": "1 minute"}],
    )
    pool: str | None = Field(
        None,
        min_length=1,
        max_length=250,
        description="Airflow pool that each of its tasks takes a slot of, made in Airflow beforehand; "
        "null: Airflow's default pool.",
        examples=["retraining"],
    )
    pods: Pods | None = Field(
        None,
        description="What its tasks ask of Kubernetes; null: what Airflow's pod template says.",
        examples=[{"requests": {"cpu": "500m", "memory": "2Gi"}, "steps": {"train": {"gpu": 1}}}],
    )

    @model_validator(mode="before")
    @classmethod
    def _spread_schedules(cls, given: Any) -> Any:
        """Put numbers for each H of a schedule; what is no cron expression is told by `checks`."""
        if not isinstance(given, dict):
            return given
        name, found = given.get("name"), dict(given)
        for key in ("score", "monitor"):
            section = given.get(key)
            if isinstance(section, dict) and "schedule" in section:
                found[key] = section | {"schedule": _spread(section["schedule"], whose(name, key))}
        if "schedule" in given:
            found["schedule"] = _spread(given["schedule"], whose(name))
        return found

    @property
    def approval(self) -> Approval | None:
        """The person's word that a release needs, or None: none."""
        return self.release.approval or (Approval() if self.tier == "high" else None)

    @property
    def starts_at(self) -> datetime:
        """The first instant a scheduled run may cover, in UTC."""
        return datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC)


class Expectation(Section):
    """One line of a suite: a Great Expectations expectation with its arguments."""

    type: str = Field(
        pattern=r"^expect_[a-z0-9_]+$",
        description="The expectation's name.",
        examples=["expect_column_values_to_not_be_null"],
    )
    kwargs: dict[str, Any] = Field(
        default={}, description="Its arguments.", examples=[{"column": "origin"}]
    )
    severity: Literal["error", "warning"] = Field(
        "error",
        description="error: the data is rejected. warning: it is only reported.",
        examples=["error"],
    )
    why: str | None = Field(
        None, max_length=500, description="Shown with a failure.", examples=["join key"]
    )


class Suite(Section):
    """A suite file."""

    expectations: list[Expectation] = Field(
        min_length=1,
        description="What every snapshot must fulfil.",
        examples=[[{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "origin"}}]],
    )
