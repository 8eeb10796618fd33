"""The examples in the docstrings of every module run as printed."""

import doctest
import importlib
import pkgutil

import pytest

import pycnn

FOUND = [info.name for info in pkgutil.walk_packages(pycnn.__path__, "pycnn.")]
MODULES = ["pycnn", *(name for name in FOUND if "__main__" not in name)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    if name.startswith("pycnn._plot"):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
