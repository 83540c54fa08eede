"""The `score` and `monitor` sections of a model file: what is scored, watched, and when to retrain."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from evergreen.amounts import MarginField, Share, ShareField
from evergreen.durations import Duration, DurationField
from evergreen.metric_spec import ClassName
from evergreen.rates import KOfN, KOfNField, Rate, RateField
from evergreen.section import Column, Section
from evergreen.source_spec import Source

Level = Literal["health", "loss", "estimated_loss", "prediction", "features"]
"""What can raise an alarm, the foremost first: a broken feed explains whatever else is seen."""
DistanceName = Literal[
    "anderson_darling",
    "chi_square",
    "hellinger",
    "jensen_shannon",
    "kolmogorov_smirnov",
    "l_infinity",
    "lepage",
    "psi",
    "wasserstein",
]


class Score(Section):
    """Scoring of fresh rows: predictions are appended to the model's prediction log."""

    schedule: str | None = Field(
        description="Cron expression in UTC (or @hourly … @yearly); null: only when asked.",
        examples=["@daily"],
    )
    window: DurationField = Field(
        description="Time range of the rows of one run; it ends at the run's as-of.",
        examples=["1 day"],
    )
    source: Source | None = Field(
        None,
        description="Where the rows come from; null: data.source. The label may be missing.",
        examples=[{"type": "sql", "connection": "warehouse", "query_file": "sql/to_score.sql"}],
    )


class LoggedPredictions(Section):
    """A table or files in which the team logs features and predictions itself.

    Key and time column are named as in `data`.
    """

    source: Source = Field(
        description="Where the logged rows are read from; a query binds :start and :end.",
        examples=[{"type": "sql", "connection": "warehouse", "query_file": "sql/served.sql"}],
    )
    prediction: Column | None = Field(
        None,
        description="Column of the predicted value or, with two classes, of the probability of the "
        "second of the sorted classes.",
        examples=["probability_late"],
    )
    probabilities: dict[ClassName, Column] | None = Field(
        None,
        description="Instead, with more classes: the column of each class's probability.",
        examples=[{"a": "p_a", "b": "p_b", "c": "p_c"}],
    )
    version: Column | None = Field(
        None,
        description="Column of the version that answered; null: rows of all versions count for the "
        "champion.",
        examples=["model_version"],
    )

    @model_validator(mode="after")
    def _one(self) -> LoggedPredictions:
        if (self.prediction is None) == (self.probabilities is None):
            raise ValueError("give exactly one of 'prediction' and 'probabilities'")
        return self


class Distances(Section):
    """How the distance between a window and the baseline is measured."""

    numbers: DistanceName = Field(
        "lepage", description="Of numbers and lengths of text.", examples=["wasserstein"]
    )
    categories: DistanceName = Field(
        "jensen_shannon", description="Of categories and calendar cells.", examples=["psi"]
    )
    columns: dict[Column, DistanceName] = Field(
        default={}, description="Of single columns.", examples=[{"fare": "wasserstein"}]
    )


class Health(Section):
    """When the data itself is broken; such an alarm starts no retrain unless retrain.on says so."""

    stale_after: DurationField | None = Field(
        None,
        description="Alarm where no row is younger than this at the as-of; null: monitor.window.",
        examples=["2 days"],
    )
    volume_drop: ShareField = Field(
        Share(0.5),
        description="Alarm where rows fall by more than this share below what the baseline's days had.",
        examples=["50%"],
    )
    nulls: ShareField = Field(
        Share(0.05),
        description="Alarm where a column's share of missing values rises by more than this, and by "
        "more than chance allows.",
        examples=["5%"],
    )
    unseen: ShareField = Field(
        Share(0.01),
        description="Alarm where more than this share of a column's values are categories that were "
        "never seen in training, and more than chance allows.",
        examples=["1%"],
    )


class RetrainCost(Section):
    """Retrain only where staying stale is expected to cost more than a retrain."""

    retrain: float = Field(
        ge=0,
        description="What one retrain costs, in the owner's money.",
        examples=[40.0],
        allow_inf_nan=False,
    )
    loss: float = Field(
        gt=0,
        description="What it costs where gate.metric is worse by 1 on one row, in the same money.",
        examples=[0.02],
        allow_inf_nan=False,
    )
    horizon: DurationField = Field(
        Duration(1, "months"),
        description="How long a stale champion would go on serving.",
        examples=["1 month"],
    )


class RetrainPolicy(Section):
    """When alarms start a retrain."""

    after: KOfNField = Field(
        KOfN(2, 5),
        description="How many of the last checks must have alarmed, the newest among them.",
        examples=["2 of 5"],
    )
    cooldown: DurationField = Field(
        Duration(14, "days"),
        description="No retrain is asked for within this time after the last one asked for by alarm.",
        examples=["14 days"],
    )
    at_most: RateField = Field(
        Rate(2, "month"), description="The most retrains asked for by alarm.", examples=["2 per month"]
    )
    on: list[Level] = Field(
        default=["loss", "estimated_loss", "prediction", "features"],
        min_length=1,
        description="Which alarms count.",
        examples=[["loss", "features"]],
    )
    cost: RetrainCost | None = Field(
        None,
        description="Weigh the loss of staying stale against the cost of a retrain; null: do not.",
        examples=[{"retrain": 40.0, "loss": 0.02}],
    )


class Monitor(Section):
    """The watch over a champion."""

    schedule: str | None = Field(
        description="Cron expression in UTC (or @hourly … @yearly) of checks; null: only when asked.",
        examples=["@daily"],
    )
    window: DurationField = Field(
        description="Time range of the rows that a check looks at; it ends at the check's as-of.",
        examples=["7 days"],
    )
    false_alarms: RateField = Field(
        Rate(1, "quarter"),
        description="How many false alarms are acceptable. Thresholds follow from it.",
        examples=["1 per quarter"],
    )
    source: LoggedPredictions | None = Field(
        None,
        description="Where the team logs predictions itself; null: the log that NAME__score writes.",
        examples=[
            {
                "source": {"type": "sql", "connection": "warehouse", "query_file": "sql/served.sql"},
                "prediction": "probability_late",
            }
        ],
    )
    min_rows: int = Field(
        100, ge=2, description="Fewest rows that are judged; fewer: not enough data.", examples=[200]
    )
    min_effect: ShareField = Field(
        Share(0.02),
        description="Smallest share of rows that must lie elsewhere than in the baseline for drift to "
        "be an alarm, however many rows prove it.",
        examples=["2%"],
    )
    season: Literal["none", "weekdays", "months"] = Field(
        "none",
        description="What a window is compared with. none: all of the baseline. weekdays: its days of "
        "the same weekdays. months: rows of the same time one and two years before, where there are.",
        examples=["weekdays"],
    )
    distances: Distances = Field(
        default=Distances(),
        description="How distances are measured.",
        examples=[{"numbers": "wasserstein"}],
    )
    ignore: list[Column] = Field(
        default=[], description="Features that raise no alarm of drift.", examples=[["campaign"]]
    )
    loss_margin: MarginField | None = Field(
        None,
        description="How much worse than proven at the gate the loss may become; null: gate.margin.",
        examples=[0.01],
    )
    health: Health = Field(
        default=Health(), description="When the data itself is broken.", examples=[{"nulls": "5%"}]
    )
    retrain: RetrainPolicy | None = Field(
        default=RetrainPolicy(),
        description="When alarms start a retrain; null: never.",
        examples=[{"after": "2 of 5", "cooldown": "14 days", "at_most": "2 per month"}],
    )
    report: bool = Field(
        True,
        description="Make a report of an alarm: pictures and, where Evidently is installed, its page.",
        examples=[True],
    )
