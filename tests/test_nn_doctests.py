"""The examples in the docstrings of layers, optimisers, models and the gradient check run as printed."""

import doctest
import importlib
import pkgutil

import pytest

from pycnn import nn

MODULES = ["pycnn.optim", "pycnn._schedules", "pycnn.models", "pycnn.gradcheck", "pycnn.nn"]
MODULES += [f"pycnn.nn.{info.name}" for info in pkgutil.iter_modules(nn.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
