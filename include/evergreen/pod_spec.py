"""The section `pods` of a model file: what its tasks ask of Kubernetes, by Kubernetes' own names.

It counts where an executor of Airflow runs tasks in pods; elsewhere it is ignored, with a note.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from evergreen.names import did_you_mean
from evergreen.quantities import BytesField, CpuField, Quantity
from evergreen.section import Section
from evergreen.step_names import STEP_NAMES

CONTAINER = "base"
"""The container that Airflow's executor runs a task in."""

AIRFLOWS_LABELS = frozenset(
    {
        "airflow-worker",
        "airflow_executor_done",
        "airflow_version",
        "dag_id",
        "execution_date",
        "kubernetes_executor",
        "logical_date",
        "map_index",
        "run_id",
        "task_id",
        "ti_id",
        "try_number",
    }
)
"""By these the executor finds its pods again: another value would lose it the task."""

_NAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")
_DOMAIN = re.compile(
    r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$"
)
_IMAGE = re.compile(
    r"^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[a-f0-9]{64})?$"
)
_LONGEST_DOMAIN = 253
_NAME_RULE = "up to 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit"


def _key(key: str) -> str:
    domain, slash, name = key.rpartition("/")
    if slash and (len(domain) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(domain)):
        raise ValueError("not a label's key: before the '/' stands a domain, such as example.com")
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a label's key: its name has {_NAME_RULE}")
    return key


def _own_key(key: str) -> str:
    if key in AIRFLOWS_LABELS:
        raise ValueError("Airflow finds its pods again by this label; choose another key")
    return _key(key)


def _value(value: str) -> str:
    if value and not _NAME.fullmatch(value):
        raise ValueError(f"not a label's value: it is empty or has {_NAME_RULE}")
    return value


def _image(image: str) -> str:
    if not _IMAGE.fullmatch(image):
        raise ValueError("not an image; write [registry/]name[:tag][@sha256:digest]")
    return image


def _resource(name: str) -> str:
    if "/" not in name or name.startswith(("kubernetes.io/", "requests.")):
        raise ValueError("not a device's resource; write domain/name, such as nvidia.com/gpu")
    return _key(name)


def _step(name: str) -> str:
    if name not in STEP_NAMES:
        hint = did_you_mean(name, STEP_NAMES)
        raise ValueError(
            f"no step has this name; steps: {', '.join(STEP_NAMES)}" + f"; {hint}" * bool(hint)
        )
    return name


LabelKey = Annotated[str, Field(max_length=317), AfterValidator(_key)]
OwnLabelKey = Annotated[str, Field(max_length=317), AfterValidator(_own_key)]
LabelValue = Annotated[str, Field(max_length=63), AfterValidator(_value)]
StepName = Annotated[
    str, AfterValidator(_step), WithJsonSchema({"type": "string", "enum": list(STEP_NAMES)})
]


class Resources(Section):
    """Amounts of what a node has."""

    cpu: CpuField | None = Field(None, description="Cores.", examples=["500m"])
    memory: BytesField | None = Field(None, description="Memory.", examples=["2Gi"])
    ephemeral_storage: BytesField | None = Field(
        None, description="Disk that goes away with the pod.", examples=["10Gi"]
    )

    def amounts(self) -> dict[str, Quantity]:
        """Return what is given, by Kubernetes' names."""
        given = {"cpu": self.cpu, "memory": self.memory, "ephemeral-storage": self.ephemeral_storage}
        return {name: amount for name, amount in given.items() if amount is not None}


class Toleration(Section):
    """A taint of nodes that the pod puts up with."""

    key: LabelKey | None = Field(
        None, description="The taint's key; null with Exists: every taint.", examples=["dedicated"]
    )
    operator: Literal["Equal", "Exists"] = Field(
        "Equal", description="Equal: the taint has this value. Exists: whichever.", examples=["Equal"]
    )
    value: LabelValue | None = Field(None, description="The taint's value.", examples=["ml"])
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Which effect of it; null: every one.", examples=["NoSchedule"]
    )

    @model_validator(mode="after")
    def _means_something(self) -> Toleration:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("Exists asks for no value: leave value out, or write operator: Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("Equal asks for a key: give one, or write operator: Exists")
        return self


class Pod(Section):
    """What a task asks of its pod; what is left out is as Airflow's pod template has it."""

    requests: Resources | None = Field(
        None,
        description="What a node must have free.",
        examples=[{"cpu": "500m", "memory": "2Gi"}],
    )
    limits: Resources | None = Field(
        None, description="What the task may use at most.", examples=[{"memory": "2Gi"}]
    )
    gpu: int | None = Field(
        None, ge=0, le=64, description="GPUs, requested and limited alike.", examples=[1]
    )
    gpu_resource: Annotated[str, Field(max_length=317), AfterValidator(_resource)] | None = Field(
        None,
        description="What the GPUs are called; null: nvidia.com/gpu.",
        examples=["amd.com/gpu"],
    )
    image: Annotated[str, Field(max_length=1000), AfterValidator(_image)] | None = Field(
        None,
        description="The image; it holds the same Airflow and Evergreen as the schedulers.",
        examples=["registry.example.com/evergreen-gpu:1.4"],
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        default={}, max_length=50, description="Labels its node has.", examples=[{"pool": "ml"}]
    )
    tolerations: list[Toleration] | None = Field(
        None,
        max_length=20,
        description="Taints of nodes that it puts up with.",
        examples=[[{"key": "dedicated", "value": "ml", "effect": "NoSchedule"}]],
    )
    labels: dict[OwnLabelKey, LabelValue] = Field(
        default={}, max_length=50, description="Labels of the pod.", examples=[{"team": "ops"}]
    )


class Pods(Pod):
    """What a model's tasks ask of Kubernetes; ignored, with a note, where tasks have no pods."""

    steps: dict[StepName, Pod] = Field(
        default={},
        description="What single steps ask beyond that: any of the keys above, by step. Amounts, "
        "selectors and labels are taken key by key, the rest instead.",
        examples=[{"train": {"requests": {"cpu": 4, "memory": "16Gi"}, "gpu": 1}}],
    )

    def of(self, step: str | None) -> Pod | None:
        """Return what a step asks, or one that is not named where `step` is None; None: nothing."""
        own = Pod() if step is None else self.steps.get(step, Pod())
        asked = Pod(
            requests=_both(self.requests, own.requests),
            limits=_both(self.limits, own.limits),
            gpu=self.gpu if own.gpu is None else own.gpu,
            gpu_resource=own.gpu_resource or self.gpu_resource,
            image=own.image or self.image,
            node_selector={**self.node_selector, **own.node_selector},
            tolerations=self.tolerations if own.tolerations is None else own.tolerations,
            labels={**self.labels, **own.labels},
        )
        return None if asked == Pod() else asked


def resources_of(pod: Pod) -> dict[str, dict[str, str]]:
    """Return `requests` and `limits` as a container has them, GPUs among the limits; empty: none.

    >>> resources_of(Pod(requests=Resources(cpu=Quantity.cpu(2)), gpu=1))
    {'requests': {'cpu': '2'}, 'limits': {'nvidia.com/gpu': '1'}}
    """
    requests, limits = (
        {name: str(amount) for name, amount in (part or Resources()).amounts().items()}
        for part in (pod.requests, pod.limits)
    )
    if pod.gpu:
        limits[pod.gpu_resource or "nvidia.com/gpu"] = str(pod.gpu)
    return {name: part for name, part in (("requests", requests), ("limits", limits)) if part}


def _both(ours: Resources | None, own: Resources | None) -> Resources | None:
    if ours is None or own is None:
        return own or ours
    given: dict[str, Any] = {name: getattr(own, name) for name in own.model_fields_set}
    return ours.model_copy(update=given)
