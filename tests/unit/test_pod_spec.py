"""What a model file may ask of Kubernetes, and what a step gets of it; tests/golden has the messages."""

import doctest
import importlib
from contextlib import suppress
from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evergreen.loading import load_model, load_spec
from evergreen.pod_spec import AIRFLOWS_LABELS, Pod, Pods, resources_of
from evergreen.quantities import Quantity
from evergreen.spec import ModelSpec
from tests.unit.model_files import write_model


def pods(text: str) -> Pods:
    return Pods.model_validate(yaml.safe_load(text))


@pytest.mark.parametrize("module", ["evergreen.pod_spec", "evergreen.quantities"])
def test_the_examples_in_the_docstrings_hold(module):
    done = doctest.testmod(importlib.import_module(module))
    assert done.attempted
    assert not done.failed


@pytest.mark.parametrize(
    ("written", "cores"),
    [(2, "2"), (0.5, "0.5"), ("500m", "0.5"), ("1m", "0.001"), ("1.250", "1.25"), (10_000, "10000")],
)
def test_cpu_is_cores_or_thousandths(written, cores):
    assert Quantity.cpu(written).value == Decimal(cores)


@pytest.mark.parametrize(
    "written", [0, "0", -1, "-1", "0.5m", 0.0001, 10_001, "2Gi", "1e3", "", " 1", "1 ", True, None, [1]]
)
def test_what_is_no_amount_of_cpu_is_refused(written):
    with pytest.raises(ValueError, match="amount of cpu"):
        Quantity.cpu(written)


@pytest.mark.parametrize(
    ("written", "size"),
    [("1Mi", 2**20), ("1.5Gi", 3 * 2**29), ("16G", 16 * 10**9), (2**20, 2**20), ("7Ei", 7 * 2**60)],
)
def test_memory_is_bytes_with_a_suffix(written, size):
    assert Quantity.memory(written).value == size


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("400m", 'did you mean "400Mi"'),
        ("1Ki", "less than 1Mi"),
        (0, "less than 1Mi"),
        ("8Ei", "more bytes than there can be"),
        ("0.3333333Gi", "a part of one"),
        ("16GB", "not an amount of bytes"),
        ("16 Gi", "not an amount of bytes"),
        ("-1Gi", "not an amount of bytes"),
        (float("inf"), "not an amount of bytes"),
        (False, "not an amount of bytes"),
    ],
)
def test_what_is_no_amount_of_memory_is_refused(written, says):
    with pytest.raises(ValueError, match=says):
        Quantity.memory(written)


@given(st.one_of(st.text(max_size=12), st.floats(), st.integers(), st.none(), st.binary(max_size=4)))
def test_whatever_stands_there_is_refused_or_an_amount_that_reads_as_it_is_written(value):
    for read in (Quantity.cpu, Quantity.memory):
        with suppress(ValueError):
            amount = read(value)
            assert read(str(amount)) == amount


PODS = """
requests: {cpu: 500m, memory: 2Gi}
limits: {memory: 2Gi}
node_selector: {pool: general}
labels: {team: ops}
tolerations: [{key: dedicated, operator: Exists}]
image: registry.example.com:5000/team/ml:1.4
steps:
  train:
    requests: {cpu: 4}
    limits: {memory: 16Gi, cpu: 8}
    gpu: 2
    gpu_resource: amd.com/gpu
    node_selector: {pool: gpu}
    labels: {cost: high}
    tolerations: []
  report: {image: ml}
"""


def test_a_step_lays_its_own_over_what_all_steps_ask():
    train = pods(PODS).of("train")
    assert train is not None
    assert resources_of(train) == {
        "requests": {"cpu": "4", "memory": "2Gi"},
        "limits": {"memory": "16Gi", "cpu": "8", "amd.com/gpu": "2"},
    }
    assert train.node_selector == {"pool": "gpu"}
    assert train.labels == {"team": "ops", "cost": "high"}
    assert train.tolerations == []
    assert train.image == "registry.example.com:5000/team/ml:1.4"


def test_a_step_without_its_own_asks_what_all_ask():
    asked = pods(PODS)
    assert (
        asked.of("ingest")
        == asked.of(None)
        == Pod.model_validate(asked.model_dump(exclude={"steps"}, exclude_none=True))
    )
    report = asked.of("report")
    assert report is not None
    assert report.image == "ml"
    assert report.requests == asked.requests


def test_a_step_that_asks_nothing_has_no_pod_of_its_own():
    asked = pods("steps: {train: {gpu: 1}}")
    assert asked.of("ingest") is None
    assert pods("{}").of("train") is None


def test_a_step_may_ask_for_none_of_what_all_ask():
    train = pods("requests: {cpu: 2}\ngpu: 1\nsteps: {train: {requests: {cpu: null}, gpu: 0}}").of(
        "train"
    )
    assert train is not None
    assert resources_of(train) == {}


@pytest.mark.parametrize("label", sorted(AIRFLOWS_LABELS))
def test_a_label_by_which_airflow_finds_its_pods_cannot_be_set(label):
    with pytest.raises(ValueError, match="Airflow finds its pods"):
        pods(yaml.safe_dump({"labels": {label: "other"}}))


def test_a_file_with_pods_is_read_and_written_alike(tmp_path):
    section = "".join(f"  {line}\n" for line in PODS.strip().splitlines())
    path = write_model(tmp_path, ("gate:\n", f"pods:\n{section}gate:\n"))
    spec = load_spec(path)
    assert spec.pods == pods(PODS)
    assert ModelSpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize("more", ["pods: {steps: {train: {gpu: 1}}}", "pool: retraining"])
def test_where_tasks_run_does_not_make_another_candidate(tmp_path, more):
    without = load_model(write_model(tmp_path))
    placed = load_model(write_model(tmp_path, ("gate:\n", f"{more}\ngate:\n")))
    assert placed.spec != without.spec
    assert placed.digest == without.digest
