"""Direct convolution, on planes, with filters side by side and with packed panels, against the reference.

Every pass, instruction set and dtype.
"""

from typing import Any

import numpy as np
import pytest
from case import to_format
from vectors import isa, thread_count

from pycnn import functional as F
from pycnn import reference
from pycnn.kernels import _runtime

ISAS = _runtime.available_isas()
ALGORITHMS = ("planes", "few", "filters", "packed")

#: x (N, C, H, W), weight, options: strides and dilations with several phases, taps that miss, lanes that are cut, more
#: channels than a block, more rows than a stripe, a kernel of one cell, which reads x itself
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "1x1": ((2, 20, 9, 11), (19, 20, 1, 1), {}),
    "1x1, whole tiles": ((1, 9, 16, 12), (8, 9, 1, 1), {}),
    "1x1, many channels": ((1, 600, 5, 10), (4, 600, 1, 1), {}),
    "1x1, many filters": ((2, 9, 12, 13), (70, 9, 1, 1), {}),
    "1x1, many filters, stride": ((2, 5, 9, 11), (40, 5, 1, 1), {"stride": (2, 3)}),
    "1x1, many filters, groups": ((2, 6, 7, 9), (60, 2, 1, 1), {"groups": 3}),
    "1x1, many filters, padding after": ((2, 5, 8, 8), (40, 5, 1, 1), {"stride": 2, "padding": ((0, 1), (0, 2))}),
    "1x1, long lines": ((1, 4, 2, 300), (20, 4, 1, 1), {}),
    "1x1, batch of small images": ((19, 6, 3, 3), (33, 6, 1, 1), {}),
    "1x1, several blocks": ((1, 400, 4, 5), (410, 400, 1, 1), {}),
    "3x3, several blocks": ((2, 30, 7, 9), (210, 30, 3, 3), {"padding": 1}),
    "3x3, long lines": ((1, 3, 5, 300), (9, 3, 3, 3), {"padding": 1}),
    "1x1, stride": ((2, 7, 9, 11), (9, 7, 1, 1), {"stride": 2}),
    "1x1, padding": ((2, 7, 9, 11), (9, 7, 1, 1), {"padding": 1}),
    "3x3": ((2, 5, 12, 13), (10, 5, 3, 3), {"padding": 1}),
    "3x3, stride 2": ((2, 6, 12, 13), (10, 6, 3, 3), {"padding": 1, "stride": 2}),
    "3x3, stride 3": ((1, 6, 12, 14), (4, 6, 3, 3), {"stride": 3}),
    "3x3, stride (1, 2)": ((1, 6, 12, 14), (4, 6, 3, 3), {"stride": (1, 2), "padding": ((0, 1), (2, 0))}),
    "2x2, stride 3, cells that no tap reads": ((1, 6, 12, 14), (4, 6, 2, 2), {"stride": 3}),
    "3x3, dilation": ((2, 4, 14, 15), (9, 4, 3, 3), {"padding": 2, "dilation": 2}),
    "3x3, stride and dilation": ((2, 4, 15, 15), (9, 4, 3, 3), {"padding": 2, "dilation": (2, 3), "stride": 2}),
    "5x5": ((3, 6, 14, 14), (16, 6, 5, 5), {}),
    "7x7, stride 2": ((1, 3, 40, 37), (17, 3, 7, 7), {"padding": 3, "stride": 2}),
    "1x7": ((2, 5, 3, 50), (5, 5, 1, 7), {"padding": (0, 3)}),
    "many channels": ((1, 300, 9, 9), (5, 300, 3, 3), {"padding": 1, "stride": 2}),
    "many pixels": ((1, 40, 70, 66), (3, 40, 3, 3), {"padding": 1}),
    "many pixels, two panels of filters": ((3, 4, 30, 31), (70, 4, 3, 3), {"padding": 1}),
    "groups": ((2, 12, 9, 20), (18, 4, 3, 3), {"padding": 1, "groups": 3}),
    "depthwise": ((2, 6, 9, 20), (12, 1, 3, 3), {"padding": 1, "groups": 6}),
    "much padding": ((1, 4, 5, 6), (4, 4, 3, 3), {"padding": 6, "stride": 2}),
    "one column": ((2, 9, 30, 1), (9, 9, 3, 1), {"padding": (1, 0)}),
    "batch of small images": ((20, 9, 4, 4), (9, 9, 3, 3), {"padding": 1}),
    # enough channels and pixels for the channels to lie in cells, up to four vectors of filters
    "cells, two blocks": ((1, 130, 18, 19), (70, 130, 3, 3), {"padding": 1}),
    "cells, stride 2": ((3, 20, 25, 23), (64, 20, 3, 3), {"padding": 1, "stride": 2}),
    "cells, dilation": ((2, 17, 16, 17), (19, 17, 3, 3), {"padding": 2, "dilation": 2}),
    "cells, many taps": ((1, 16, 21, 22), (33, 16, 9, 8), {"padding": (4, 4)}),
    "cells, long lines": ((1, 18, 5, 90), (40, 18, 3, 3), {"padding": 1}),
    "1x1, stride 2, cells": ((2, 19, 18, 41), (50, 19, 1, 1), {"stride": 2}),
    "cells, two blocks of a gradient's phases": ((1, 8, 20, 20), (530, 8, 3, 3), {"padding": 1, "stride": 2}),
    "cells, groups": ((2, 48, 14, 15), (34, 24, 3, 3), {"padding": 1, "groups": 2}),
}


@pytest.fixture
def force():
    """Set the algorithm for a test."""
    yield _runtime.set_algorithm
    _runtime.set_algorithm("")
    _runtime.set_poison(False)


def numbers(shape: tuple[int, ...], dtype: Any, seed: int) -> np.ndarray:
    """Small integers, of which every sum here is exact."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


@pytest.mark.parametrize("isa_name", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", CASES)
def test_every_pass_is_exact(name: str, algorithm: str, dtype: Any, isa_name: str, force: Any) -> None:
    x_shape, w_shape, options = CASES[name]
    x, weight = numbers(x_shape, dtype, 0), numbers(w_shape, dtype, 1)
    bias = numbers(w_shape[:1], dtype, 2)
    want = reference.conv2d(x, weight, bias, **options)
    delta = numbers(want.shape, dtype, 3)
    wants = reference.conv2d_backward(delta, x, weight, **options)
    force(algorithm)
    _runtime.set_poison(True)
    with isa(isa_name):
        np.testing.assert_array_equal(F.conv2d(x, weight, bias, **options), want)
        for got, expected in zip(F.conv2d_backward(delta, x, weight, **options), wants):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("data_format", ["NHWC", "HWCN"])
def test_other_layouts(data_format: str, algorithm: str, force: Any) -> None:
    x, weight = numbers((3, 6, 9, 8), np.float32, 0), numbers((7, 6, 3, 3), np.float32, 1)
    delta = numbers((3, 7, 5, 4), np.float32, 2)
    options: dict[str, Any] = {"stride": 2, "padding": 1}
    wants = reference.conv2d_backward(delta, x, weight, **options)
    force(algorithm)
    x, delta = to_format(x, data_format), to_format(delta, data_format)
    dx, dweight, dbias = F.conv2d_backward(delta, x, weight, data_format=data_format, **options)
    np.testing.assert_array_equal(dx, to_format(wants[0], data_format))
    np.testing.assert_array_equal(dweight, wants[1])
    np.testing.assert_array_equal(dbias, wants[2])


@pytest.mark.parametrize("isa_name", ISAS)
@pytest.mark.parametrize("name", CASES)
def test_channels_last(name: str, isa_name: str, force: Any) -> None:
    x_shape, w_shape, options = CASES[name]
    x, weight = numbers(x_shape, np.float32, 0), numbers(w_shape, np.float32, 1)
    want = reference.conv2d(x, weight, **options)
    delta = numbers(want.shape, np.float32, 3)
    dx, dweight, _ = reference.conv2d_backward(delta, x, weight, **options)
    force("filters")
    _runtime.set_poison(True)
    x, delta, options = to_format(x, "NHWC"), to_format(delta, "NHWC"), {"data_format": "NHWC", **options}
    with isa(isa_name):
        np.testing.assert_array_equal(F.conv2d(x, weight, **options), to_format(want, "NHWC"))
        got = F.conv2d_backward(delta, x, weight, **options)
    np.testing.assert_array_equal(got[0], to_format(dx, "NHWC"))
    np.testing.assert_array_equal(got[1], dweight)


@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_special_values_touch_only_their_windows(special: float, force: Any) -> None:
    x, weight = numbers((2, 4, 9, 10), np.float32, 0), numbers((9, 4, 3, 3), np.float32, 1)
    x[1, 2, 0, 9] = x[0, 1, 8, 0] = special
    delta = numbers((2, 9, 7, 8), np.float32, 2)
    delta[0, 3, 6, 7] = special
    results = []
    for algorithm in ALGORITHMS:
        force(algorithm)
        with np.errstate(all="ignore"):
            results.append((F.conv2d(x, weight), *F.conv2d_backward(delta, x, weight)))
    for found in results[:-1]:
        for one, packed in zip(found, results[-1]):
            np.testing.assert_array_equal(one, packed)


@pytest.mark.parametrize("algorithm", ["planes", "few", "filters"])
@pytest.mark.parametrize(
    "name",
    [
        "5x5",
        "3x3, stride 2",
        "many pixels",
        "many channels",
        "1x1",
        "batch of small images",
        "cells, two blocks",
        "cells, stride 2",
        "cells, two blocks of a gradient's phases",
    ],
)
def test_same_bits_for_any_number_of_threads(name: str, algorithm: str, force: Any) -> None:
    x_shape, w_shape, options = CASES[name]
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=x_shape).astype(np.float32), rng.normal(size=w_shape).astype(np.float32)
    force(algorithm)
    results = []
    for n in (1, 2, 3, 8):
        with thread_count(n):
            y = F.conv2d(x, weight, **options)
            results.append((y, *F.conv2d_backward(y, x, weight, **options)))
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("algorithm", ["planes", "filters"])
@pytest.mark.parametrize("needs", ["input", "weight"])
def test_no_memory(needs: str, algorithm: str, force: Any) -> None:
    x, weight = numbers((2, 4, 9, 10), np.float32, 0), numbers((9, 4, 3, 3), np.float32, 1)
    delta = numbers((2, 9, 7, 8), np.float32, 2)
    out = (np.empty_like(x), np.empty_like(weight), None)
    force(algorithm)
    for n in (1, 2, 3):
        _runtime.fail_after(n)
        try:
            if needs == "weight" or algorithm == "filters" or n < 2:  # planes take all they need at once
                with pytest.raises(MemoryError, match="no memory"):
                    F.conv2d_backward(delta, x, weight, needs=(needs,), out=out)
        finally:
            _runtime.fail_after(0)
