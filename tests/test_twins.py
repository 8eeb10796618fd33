"""Every public function has a slow twin with the same signature, and cases that compare the two."""

import inspect
from types import ModuleType
from typing import Any

import pytest
from cases import CASES

from pycnn import functional, reference


def public(module: ModuleType) -> set[str]:
    """Names of the functions that a module offers."""
    return {name for name, thing in vars(module).items() if not name.startswith("_") and inspect.isroutine(thing)}


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """What callers depend on: names, kinds and defaults, in order."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


NAMES = sorted(public(functional) | public(reference))


@pytest.mark.parametrize("name", NAMES)
def test_function_has_a_twin_with_its_signature(name: str) -> None:
    assert name in public(functional), f"pycnn.functional has no {name}"
    assert name in public(reference), f"pycnn.reference has no {name}"
    assert parameters(getattr(functional, name)) == parameters(getattr(reference, name))


@pytest.mark.parametrize("name", NAMES)
def test_function_has_cases_for_both_dtypes(name: str) -> None:
    used = {
        value.dtype.name
        for case in CASES.get(name, [])
        for value in (lambda call: (*call[0], *call[1].values()))(case.arguments())
        if hasattr(value, "dtype") and value.dtype.kind == "f"
    }
    assert used >= {"float32", "float64"}, f"no oracle case of {name} for every dtype"


def test_cases_name_real_functions() -> None:
    assert set(CASES) <= set(NAMES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_labels_are_unique(name: str) -> None:
    labels = [case.label for case in CASES[name]]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("module", [functional, reference])
def test_all_lists_every_public_function(module: ModuleType) -> None:
    assert set(module.__all__) == public(module)


@pytest.mark.parametrize("name", sorted(public(reference)))
def test_functions_that_write_an_array_take_out(name: str) -> None:
    """All but the losses, whose result is a number."""
    losses = ("cross_entropy", "mse_loss", "binary_cross_entropy_with_logits")
    assert ("out" in inspect.signature(getattr(reference, name)).parameters) == (name not in losses)


def test_backward_twins() -> None:
    """Every function has a backward."""
    forward = {name for name in public(reference) if not name.endswith("_backward")}
    assert {f"{name}_backward" for name in forward} == public(reference) - forward
