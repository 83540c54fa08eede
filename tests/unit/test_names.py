"""Which names a model may have, and that distinct names give distinct ids."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.names import (
    LONGEST_NAME,
    NAME_PATTERN,
    RESERVED_NAMES,
    did_you_mean,
    invalid_dag_id,
    model_of_dag_id,
    monitor_dag_id,
    name_problem,
    retrain_dag_id,
    score_dag_id,
)

IDS = (retrain_dag_id, score_dag_id, monitor_dag_id, invalid_dag_id)
NAMES = st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda name: name_problem(name) is None)


@pytest.mark.parametrize("name", ["a", "7", "flight_delay", "a1_b2", "x" * LONGEST_NAME])
def test_a_plain_name_is_accepted(name):
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "_a",
        "a_",
        "a__b",
        "A",
        "a-b",
        "a.b",
        "a b",
        "ä",
        "a\n",
        "x" * (LONGEST_NAME + 1),
        "../a",
        "a/b",
    ],
)
def test_any_other_name_is_refused_with_the_rule(name):
    assert "a name has" in name_problem(name)


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_a_reserved_name_is_refused(name):
    assert "reserved" in name_problem(name)


@given(NAMES, NAMES)
def test_ids_are_equal_only_where_names_are(one, other):
    ids_of_one, ids_of_other = {id_(one) for id_ in IDS}, {id_(other) for id_ in IDS}
    assert len(ids_of_one) == len(IDS)
    assert (one == other) == bool(ids_of_one & ids_of_other)


@given(st.text(max_size=100), NAMES)
def test_the_id_of_a_broken_file_is_an_airflow_id_and_never_a_models(stem, name):
    dag_id = invalid_dag_id(stem)
    assert re.fullmatch(r"[\w.-]{1,250}", dag_id, re.ASCII)
    if stem != name:
        assert dag_id not in {id_(name) for id_ in IDS}


@given(st.text(max_size=60), st.text(max_size=60))
def test_two_broken_files_never_share_an_id(one, other):
    assert (invalid_dag_id(one) == invalid_dag_id(other)) == (one == other)


def test_a_file_name_that_is_not_utf8_has_an_id_too():
    assert invalid_dag_id(b"caf\xe9".decode("utf-8", "surrogateescape")).startswith("caf__")


@given(NAMES)
def test_an_id_leads_back_to_its_model(name):
    assert {model_of_dag_id(id_(name)) for id_ in IDS} == {name}


@pytest.mark.parametrize("dag_id", ["flights", "flights__other", "__retrain", ""])
def test_an_id_that_is_not_ours_belongs_to_no_model(dag_id):
    assert model_of_dag_id(dag_id) is None


def test_nothing_is_suggested_where_nothing_is_near_or_the_word_is_huge():
    assert did_you_mean("xyz", ["log_loss", "brier"]) is None
    assert did_you_mean("log_loss" * 1000, ["log_loss"]) is None
