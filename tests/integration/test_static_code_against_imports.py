"""What is read from the libraries' source is what importing them shows."""

import inspect
import logging
import warnings

import pytest

from evergreen.static_code import expectation_signature, expectations, sklearn_estimator, sklearn_names

NOT_ARGUMENTS = {"library_metadata", "row_condition", "condition_parser"}
NOT_ON_ROWS = {
    "unexpected_rows_expectation",
    "expect_query_results_to_match_comparison",
    "expect_table_row_count_to_equal_other_table",
}


def test_every_classifier_and_regressor_of_scikit_learn_is_read_as_it_is():
    from sklearn.base import ClassifierMixin, RegressorMixin
    from sklearn.utils import all_estimators

    public = {name.rpartition(".")[2]: name for name in sklearn_names()}
    compared = 0
    for name, kind in all_estimators(type_filter=["classifier", "regressor"]):
        found = sklearn_estimator(public[name])
        assert found is not None, name
        parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
        required = {p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
        assert set(found.signature.parameters) == {p.name for p in parameters}, name
        assert set(found.signature.required) == required, name
        mixin = {"classification": ClassifierMixin, "regression": RegressorMixin}[found.task]
        assert issubclass(kind, mixin), name
        assert found.probabilities or not hasattr(kind, "predict_proba"), name
        compared += 1
    assert compared > 80


def test_every_core_expectation_of_great_expectations_is_read_as_it_is():
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        registry = pytest.importorskip("great_expectations.expectations.registry")
    from great_expectations.expectations.expectation import BatchExpectation

    names = set(registry.list_registered_expectation_implementations())
    core = {name for name in names if ".core." in registry.get_expectation_impl(name).__module__}
    read = {name for name in expectations() if expectation_signature(name)}
    assert read == core - NOT_ON_ROWS
    shared = NOT_ARGUMENTS | set(BatchExpectation.__fields__)
    for name in read:
        fields = registry.get_expectation_impl(name).__fields__
        found = expectation_signature(name)
        assert found is not None
        assert set(found.parameters) == set(fields) - shared, name
        assert set(found.required) == {k for k, f in fields.items() if f.required}, name
