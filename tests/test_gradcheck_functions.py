"""Every backward against central differences of its forward, in float64.

The slope of L(v) = <f(v), g> along each entry of each argument is (L(v + h) - L(v - h)) / 2h up to h**2 / 6 times the
third derivative, plus rounding of about u * |L| / h. With h = 1e-5 both are near 1e-10 for the values here; a wrong
gradient is off by its own size. Inputs stay away from kinks: cells of a pooling window differ by more than 2h, and
activations stay more than 2h from where they bend.
"""

import zlib
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from gradchecks import CHECKS, Check

from pycnn import functional, reference

STEP, ALLOWED = 1e-5, 2e-8


def spread(rng: np.random.Generator, shape: tuple[int, ...], spacing: float, positive: bool) -> np.ndarray:
    """Distinct values, `spacing` apart and at least half of that from 0, in random order."""
    order = rng.permutation(int(np.prod(shape)))
    steps = order + 0.4 / spacing if positive else order - order.size // 2 + 0.5
    return (spacing * steps).reshape(shape)


def slopes(loss: Callable[[], float], values: np.ndarray) -> np.ndarray:
    """Central differences of `loss` along every entry of `values`, which is changed in place and restored."""
    result = np.zeros(values.shape)
    for place in np.ndindex(values.shape):
        kept = values[place]
        values[place] = kept + STEP
        above = loss()
        values[place] = kept - STEP
        below = loss()
        values[place] = kept
        result[place] = (above - below) / (2 * STEP)
    return result


@pytest.mark.parametrize("library", [functional, reference], ids=["functional", "reference"])
@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_backward_is_the_slope_of_forward(library: ModuleType, check: Check) -> None:
    if not hasattr(library, check.backward_name):
        pytest.skip(f"{library.__name__} has no {check.backward_name}")
    rng = np.random.default_rng(zlib.crc32(str(check).encode()))
    arrays = {n: spread(rng, shape, check.spacing, n in check.positive) for n, shape in check.shapes.items()}
    g = rng.standard_normal(np.shape(check.forward(library, arrays)))
    gradients = check.backward(library, np.float64(g) if g.ndim == 0 else g, arrays)
    for name, gradient in gradients.items():
        numeric = slopes(lambda: float(np.sum(check.forward(library, arrays) * g)), arrays[name])
        assert gradient.shape == numeric.shape
        allowed = ALLOWED * max(1.0, float(np.abs(numeric).max(initial=0.0)))
        np.testing.assert_allclose(gradient, numeric, rtol=0, atol=allowed, err_msg=f"gradient of {name}")


def test_every_backward_is_checked() -> None:
    named = {check.backward_name for check in CHECKS}
    for library in (functional, reference):
        assert {name for name in library.__all__ if name.endswith("_backward")} <= named
