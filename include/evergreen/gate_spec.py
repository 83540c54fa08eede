"""The `gate` section of a model file: what the challenger must prove, and what happens if it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from evergreen.amounts import Margin, MarginField, SizeField
from evergreen.metric_spec import METRICS, ClassName, Metric, OwnMetric, QuantileLoss, Task
from evergreen.section import Column, Section

Tier = Literal["low", "medium", "high"]
Policy = Literal["superiority", "non_inferiority"]
Breach = Literal["block", "report"]
WhenInconclusive = Literal["keep", "promote"]
FairnessMetric = Literal["demographic_parity", "equalized_odds", "equal_opportunity", "group_loss"]

BREACH_BY_TIER: Mapping[Tier, Breach] = {"low": "report", "medium": "block", "high": "block"}
"""What a breach does where the model file does not say: of fairness, calibration or the leak checks."""


def _word_or_section(value: object) -> str | None:
    if isinstance(value, str):
        return "word"
    return "section" if isinstance(value, Mapping | Section) else None


class ByColumn(Section):
    """Rows with one value of a column may be alike."""

    column: Column = Field(description="Such as a customer's id.", examples=["customer_id"])


class BinnedColumn(Section):
    """A numeric column cut into bins of equally many rows."""

    column: Column = Field(description="The column.", examples=["distance"])
    bins: int = Field(4, ge=2, le=20, description="How many bins.", examples=[4])


Cluster = Annotated[
    Annotated[Literal["day", "row"], Tag("word")] | Annotated[ByColumn, Tag("section")],
    Discriminator(_word_or_section),
]
SliceColumn = Annotated[
    Annotated[Column, Tag("word")] | Annotated[BinnedColumn, Tag("section")],
    Discriminator(_word_or_section),
]


class InconclusiveByTier(Section):
    """What an inconclusive comparison does at each tier; files that share their gate may differ so."""

    low: WhenInconclusive = Field("keep", description="At tier low.", examples=["promote"])
    medium: WhenInconclusive = Field("keep", description="At tier medium.", examples=["keep"])
    high: WhenInconclusive = Field("keep", description="At tier high.", examples=["keep"])


Inconclusive = Annotated[
    Annotated[WhenInconclusive, Tag("word")] | Annotated[InconclusiveByTier, Tag("section")],
    Discriminator(_word_or_section),
]


class SliceRule(Section):
    """How slices are judged."""

    margin: MarginField | None = Field(
        None,
        description="How much worse a slice may become; null: gate.margin.",
        examples=[0.01],
    )
    min_rows: int = Field(
        200,
        ge=30,
        description="Fewest test rows of a slice that is judged; smaller ones are listed.",
        examples=[200],
    )
    unproven: Literal["report", "keep"] = Field(
        "report",
        description="Where a slice is neither proven harmed nor proven unharmed. report: say so. "
        "keep: keep the champion.",
        examples=["report"],
    )


class Fairness(Section):
    """How differently the challenger may treat groups of people."""

    columns: list[Column] = Field(
        min_length=1,
        max_length=20,
        description="Sensitive columns. They need not be features: name them under data.exclude, too.",
        examples=[["sex"]],
    )
    metric: FairnessMetric = Field(
        description="What is compared between groups: the share decided for (demographic_parity), true "
        "and false positive rates (equalized_odds), true positive rates (equal_opportunity), or the "
        "gate's loss (group_loss).",
        examples=["equalized_odds"],
    )
    bound: float = Field(
        gt=0,
        description="The largest difference between two groups that is allowed.",
        examples=[0.1],
        allow_inf_nan=False,
    )
    favourable: ClassName | None = Field(
        None,
        description="The class that is good to get; null: the second of two classes.",
        examples=["True"],
    )
    min_group: int = Field(
        100, ge=10, description="Fewest rows of a group that is compared.", examples=[100]
    )
    breach: Breach | None = Field(
        None,
        description="block: the champion is kept. report: it is said. null: by tier, report for low and "
        "block for medium and high.",
        examples=["block"],
    )


class CalibrationBounds(Section):
    """How well predicted probabilities must match what happens."""

    max_error: float | None = Field(
        None,
        gt=0,
        le=1,
        description="The largest expected calibration error allowed.",
        examples=[0.05],
    )
    min_slope: float | None = Field(
        None,
        gt=0,
        description="The smallest calibration slope allowed (below 1: predictions are too extreme).",
        examples=[0.8],
        allow_inf_nan=False,
    )
    max_slope: float | None = Field(
        None,
        gt=0,
        description="The largest calibration slope allowed (above 1: predictions are too timid).",
        examples=[1.25],
        allow_inf_nan=False,
    )
    breach: Breach | None = Field(
        None,
        description="block: the champion is kept. report: it is said. null: by tier, report for low and "
        "block for medium and high.",
        examples=["block"],
    )

    @model_validator(mode="after")
    def _slopes_in_order(self) -> CalibrationBounds:
        low, high = self.min_slope, self.max_slope
        if low is not None and high is not None and low >= high:
            raise ValueError("min_slope must be smaller than max_slope")
        return self


class ServingBudgets(Section):
    """What the challenger may need to serve; measured in a clean process on one thread."""

    size: SizeField | None = Field(
        None, description="Largest size of the model's files.", examples=["50 MB"]
    )
    p99_latency_ms: float | None = Field(
        None,
        gt=0,
        description="Longest time of 99 in 100 single-row predictions, in milliseconds.",
        examples=[50.0],
        allow_inf_nan=False,
    )
    rows_per_second: float | None = Field(
        None,
        gt=0,
        description="Fewest rows per second of a batch.",
        examples=[10_000.0],
        allow_inf_nan=False,
    )
    memory: SizeField | None = Field(
        None, description="Largest peak memory of the process that serves.", examples=["1 GB"]
    )


class LeakRule(Section):
    """How features that know too much are looked for."""

    allow: list[Column] = Field(
        default=[],
        description="Columns that may be as good as they are: looked at by a person.",
        examples=[["account_closed"]],
    )
    computed_at: list[Column] = Field(
        default=[],
        description="Columns that hold when a row's features were computed; none may lie after the time "
        "at which the row's label became known.",
        examples=[["features_computed_at"]],
    )
    breach: Breach | None = Field(
        None,
        description="block: the champion is kept. report: it is said. null: by tier, report for low and "
        "block for medium and high.",
        examples=["block"],
    )


class Gate(Section):
    """What the challenger must prove, on rows that none of the models was trained on."""

    metric: Metric = Field(
        description="What challenger, champion and the best constant answers are judged by. "
        "Those answers are the train labels' class shares, mean, median or quantile: of the whole train "
        "window and of its last period.",
        examples=["log_loss"],
    )
    policy: Policy = Field(
        "non_inferiority",
        description="superiority: the whole interval must be better by the margin. "
        "non_inferiority: it must not be worse by the margin; the fresher model wins ties.",
        examples=["non_inferiority"],
    )
    margin: MarginField = Field(
        Margin(0.0),
        description="The difference that matters: in the metric's unit or in percent of the champion's.",
        examples=[0.002],
    )
    confidence: float = Field(
        0.95,
        gt=0.5,
        lt=1,
        description="Confidence of the two-sided interval of the difference.",
        examples=[0.95],
    )
    cluster: Cluster = Field(
        "day",
        description="Rows that may be alike, which the interval allows for: those of one day (24 hours "
        "from the test window's start), of one value of a column, or none (row).",
        examples=["day"],
    )
    min_clusters: int = Field(
        10,
        ge=6,
        description="Fewest days (or other clusters) that anything is proven on; uneven ones count as "
        "the fewer of equal size that tell as much.",
        examples=[10],
    )
    inconclusive: Inconclusive = Field(
        "keep",
        description="What is done where the test rows cannot tell challenger and champion apart, at any "
        "tier or by tier. promote still needs every other check, and a challenger proven better than "
        "nothing.",
        examples=["keep", {"low": "promote"}],
    )
    slices: list[SliceColumn] = Field(
        default=[],
        max_length=50,
        description="Columns none of whose values may be harmed. Numbers of many values are cut into "
        "four bins unless told otherwise.",
        examples=[["origin", {"column": "distance", "bins": 4}]],
    )
    slice_rule: SliceRule = Field(
        default=SliceRule(), description="How slices are judged.", examples=[{"min_rows": 200}]
    )
    fairness: Fairness | None = Field(
        None,
        description="How differently the challenger may treat groups of people.",
        examples=[{"columns": ["sex"], "metric": "equalized_odds", "bound": 0.1}],
    )
    calibration: CalibrationBounds = Field(
        default=CalibrationBounds(),
        description="How well predicted probabilities must match what happens.",
        examples=[{"max_error": 0.05}],
    )
    serving: ServingBudgets = Field(
        default=ServingBudgets(),
        description="What the challenger may need to serve.",
        examples=[{"size": "50 MB", "p99_latency_ms": 50.0}],
    )
    leaks: LeakRule = Field(
        default=LeakRule(),
        description="How features that know too much are looked for.",
        examples=[{"allow": ["account_closed"]}],
    )

    @property
    def task(self) -> Task:
        """What kind of estimator the metric judges."""
        return self.metric.task if isinstance(self.metric, OwnMetric) else METRICS[self.metric.type].task

    def when_inconclusive(self, tier: Tier) -> WhenInconclusive:
        """Return what an inconclusive comparison does at a tier."""
        if isinstance(self.inconclusive, InconclusiveByTier):
            by_tier: dict[Tier, WhenInconclusive] = {
                "low": self.inconclusive.low,
                "medium": self.inconclusive.medium,
                "high": self.inconclusive.high,
            }
            return by_tier[tier]
        return self.inconclusive

    @property
    def metric_name(self) -> str:
        """The metric's name, as messages have it."""
        match self.metric:
            case OwnMetric():
                return self.metric.name
            case QuantileLoss():
                return f"quantile_loss({self.metric.quantile:g})"
            case _:
                return self.metric.type

    @property
    def higher_is_better(self) -> bool:
        """Which way is up."""
        if isinstance(self.metric, OwnMetric):
            return self.metric.higher_is_better
        return METRICS[self.metric.type].higher_is_better
