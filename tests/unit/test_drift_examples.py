"""The examples in the drift package's docstrings say what the code gives."""

import doctest
import importlib
import pkgutil

import pytest

from evergreen import drift

MODULES = sorted(module.name for module in pkgutil.walk_packages(drift.__path__, "evergreen.drift."))


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_distance_has_an_example():
    finder = doctest.DocTestFinder()
    lacking = [
        name
        for name in MODULES
        if name.startswith("evergreen.drift.distances.")
        and not any(each.examples for each in finder.find(importlib.import_module(name)))
    ]
    assert lacking == []
