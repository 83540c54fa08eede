"""The `gate.metric` key of a model file: what models are judged by, and which way is up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from evergreen.section import Section

Task = Literal["classification", "regression"]
MetricName = Literal[
    "log_loss",
    "brier",
    "error_rate",
    "accuracy",
    "roc_auc",
    "average_precision",
    "squared_error",
    "absolute_error",
    "poisson_loss",
]


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """What a metric judges and which way is up: declared here and nowhere else."""

    task: Task
    higher_is_better: bool


METRICS: Mapping[str, MetricFacts] = {
    "absolute_error": MetricFacts("regression", higher_is_better=False),
    "accuracy": MetricFacts("classification", higher_is_better=True),
    "average_precision": MetricFacts("classification", higher_is_better=True),
    "brier": MetricFacts("classification", higher_is_better=False),
    "cost": MetricFacts("classification", higher_is_better=False),
    "error_rate": MetricFacts("classification", higher_is_better=False),
    "log_loss": MetricFacts("classification", higher_is_better=False),
    "poisson_loss": MetricFacts("regression", higher_is_better=False),
    "quantile_loss": MetricFacts("regression", higher_is_better=False),
    "roc_auc": MetricFacts("classification", higher_is_better=True),
    "squared_error": MetricFacts("regression", higher_is_better=False),
}

RANKING = frozenset({"average_precision", "roc_auc"})
"""Metrics that are no mean over rows."""


def _class_name(value: object) -> object:
    """Return a label as classes are named: by its text in Python."""
    return str(value) if isinstance(value, bool | int) else value


ClassName = Annotated[
    str,
    BeforeValidator(_class_name),
    Field(min_length=1, max_length=500),
    WithJsonSchema(
        {
            "title": "Class",
            "anyOf": [{"type": "string", "minLength": 1}, {"type": "integer"}, {"type": "boolean"}],
        }
    ),
]


class PlainMetric(Section):
    """A metric without parameters; in a model file its name alone will do."""

    type: MetricName = Field(description="The metric's name.", examples=["log_loss"])


class QuantileLoss(Section):
    """Pinball loss of a predicted quantile."""

    type: Literal["quantile_loss"] = Field(description="This metric.", examples=["quantile_loss"])
    quantile: float = Field(gt=0, lt=1, description="Which quantile the model predicts.", examples=[0.9])


class Cost(Section):
    """What one decision costs where the truth is known."""

    truth: ClassName = Field(description="The label.", examples=["True"])
    decided: ClassName = Field(description="The class decided for.", examples=["False"])
    cost: float = Field(
        description="What that costs; negative is a gain.", examples=[5.0], allow_inf_nan=False
    )


class CostMatrix(Section):
    """Mean cost per row of deciding for the class of least expected cost, in the owner's money."""

    type: Literal["cost"] = Field(description="This metric.", examples=["cost"])
    costs: list[Cost] = Field(
        min_length=1,
        max_length=10_000,
        description="The cost of each wrong decision; a right one costs 0 unless it is listed.",
        examples=[
            [
                {"truth": "True", "decided": "False", "cost": 5.0},
                {"truth": "False", "decided": "True", "cost": 1.0},
            ]
        ],
    )


class OwnMetric(Section):
    """A metric of the owner's, registered under the entry-point group evergreen.metrics.

    The function is called with labels, predictions, classes and weights and returns one value, or a
    value per row.
    """

    type: Literal["own"] = Field(description="This kind of metric.", examples=["own"])
    name: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$",
        description="The name it is registered by.",
        examples=["net_revenue"],
    )
    task: Task = Field(description="What kind of estimator it judges.", examples=["classification"])
    higher_is_better: bool = Field(description="Which way is up.", examples=[True])


def _by_name(value: object) -> object:
    if isinstance(value, str):
        for section in (QuantileLoss, CostMatrix, OwnMetric):
            if value == get_args(section.model_fields["type"].annotation)[0]:
                raise ValueError(_more_than_a_name(section))
        return {"type": value}
    if not isinstance(value, Mapping | Section):
        raise ValueError("wants a metric's name or a section of keys")
    return value


def _more_than_a_name(section: type[Section]) -> str:
    example = {key: (field.examples or [None])[0] for key, field in section.model_fields.items()}
    lacking = ", ".join(key for key in example if key != "type")
    return f"the name alone is not enough, it needs {lacking}; write {json.dumps(example)}"


class _NameOrSection:
    """Lets editors know that a metric's name alone will do."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        sections = handler(core_schema)
        plain = PlainMetric.model_json_schema()["properties"]["type"]["enum"]
        return {"anyOf": [{"type": "string", "enum": plain}, sections]}


Metric = Annotated[
    PlainMetric | QuantileLoss | CostMatrix | OwnMetric,
    Field(discriminator="type"),
    BeforeValidator(_by_name),
    _NameOrSection,
]
