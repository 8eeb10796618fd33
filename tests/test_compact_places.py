"""Compact indices: every code in every window is taken or refused as brute force says, and leads to the same cell."""

import itertools
from typing import Any

import numpy as np
import pytest
from case import FORMATS, from_format, shape_to_format, to_format

from pycnn import functional as F
from pycnn import reference

GEOMETRIES: dict[str, dict[str, Any]] = {
    "plain": {"kernel_size": 2},
    "padded": {"kernel_size": 3, "stride": 2, "padding": 1},
    "dilated": {"kernel_size": 2, "stride": 1, "padding": 2, "dilation": 3},
    "ceil": {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    "wide": {"kernel_size": 3, "stride": 3, "padding": 2},
}
SIZES = {1: (9,), 2: (5, 8), 3: (4, 3, 6)}


def cell_of(window: tuple[int, ...], code: int, options: dict[str, Any], size: tuple[int, ...]) -> tuple | None:
    """The cell that a code of a window names; None where that is no tap or lies in the padding."""
    k, p, d = options["kernel_size"], options.get("padding", 0), options.get("dilation", 1)
    if code >= k ** len(size):
        return None
    tap = np.unravel_index(code, (k,) * len(size))
    cell = tuple(int(o * options.get("stride", k) - p + t * d) for o, t in zip(window, tap, strict=True))
    return cell if all(0 <= c < n for c, n in zip(cell, size, strict=True)) else None


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_every_code_of_every_window(dims: int, geometry: str, last: bool) -> None:
    options, size = {**GEOMETRIES[geometry], "data_format": FORMATS[dims][last]}, SIZES[dims]
    x = to_format(np.random.default_rng(0).standard_normal((1, 2, *size)), options["data_format"])
    pool, back = getattr(F, f"max_pool{dims}d"), getattr(F, f"max_pool{dims}d_backward")
    y, codes = pool(x, return_indices="compact", **options)
    windows = from_format(y, options["data_format"]).shape[2:]
    taken = refused = 0
    for window in itertools.product(*map(range, windows)):
        for code in (*range(options["kernel_size"] ** dims + 1), 255):
            spoiled, dy = codes.copy(), np.zeros_like(y)
            from_format(spoiled, options["data_format"])[(0, 1, *window)] = code
            from_format(dy, options["data_format"])[(0, 1, *window)] = 1
            cell = cell_of(window, code, options, size)
            out = np.full(x.shape, 7.0)
            if cell is None:
                with pytest.raises(ValueError, match=f"compact index must .*got {code} at "):
                    back(dy, spoiled, x.shape, out=out, **options)
                assert (out == 7).all()
                refused += 1
            else:
                back(dy, spoiled, x.shape, out=out, **options)
                want = np.zeros((1, 2, *size))
                want[(0, 1, *cell)] = 1
                np.testing.assert_array_equal(from_format(out, options["data_format"]), want)
                taken += 1
    assert taken >= np.prod(windows)
    assert refused >= 2 * np.prod(windows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("data_format", FORMATS[2])
@pytest.mark.parametrize("padding", [0, 1, ((1, 0), (0, 1))], ids=str)
def test_unpooling_by_compact_indices(padding: Any, data_format: str, dtype: Any) -> None:
    options = {"kernel_size": 3, "stride": 2, "padding": padding, "data_format": data_format}
    rng = np.random.default_rng(1)
    x = to_format(rng.standard_normal((2, 3, 9, 13)).astype(dtype), data_format)
    y, codes = F.max_pool2d(x, return_indices="compact", **options)
    places = reference.max_pool2d(x, return_indices=True, **options)[1]
    want = reference.max_unpool2d(y, places, output_size=(9, 13), **options)
    np.testing.assert_array_equal(F.max_unpool2d(y, codes, output_size=(9, 13), **options), want)
    dy = rng.standard_normal(shape_to_format((2, 3, 9, 13), data_format)).astype(dtype)
    want = reference.max_unpool2d_backward(dy, places, output_size=(9, 13), **options)
    np.testing.assert_array_equal(F.max_unpool2d_backward(dy, codes, output_size=(9, 13), **options), want)


def test_unpooling_to_another_size_than_the_codes_were_made_for() -> None:
    y, codes = F.max_pool2d(np.ones((1, 1, 8, 8), np.float32), 2, return_indices="compact")
    with pytest.raises(ValueError, match=r"an output of \(7, 8\) has \(3, 4\) windows, but the input has"):
        F.max_unpool2d(y, codes, 2, output_size=(7, 8))


def test_unpooling_by_codes_of_another_library() -> None:
    y, codes = F.max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2, return_indices="compact")
    np.testing.assert_array_equal(F.max_unpool2d(y, memoryview(codes), 2), F.max_unpool2d(y, codes, 2))
