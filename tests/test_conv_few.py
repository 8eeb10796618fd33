"""Convolution with few products for each output: what the tiles along rows cut, overlap, spill, copy and batch."""

from typing import Any

import numpy as np
import pytest
from test_conv_direct import force, numbers
from vectors import isa, thread_count

from pycnn import functional as F
from pycnn import reference
from pycnn.kernels import _runtime

__all__ = ["force"]  # a fixture

ISAS = _runtime.available_isas()

#: x (N, C, H, W), weight, options
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "one filter": ((3, 2, 11, 19), (1, 2, 3, 3), {"padding": 1}),
    "filters of a half tile": ((2, 1, 9, 33), (4, 1, 5, 5), {"padding": 2}),
    "filters of a tile and one": ((2, 2, 9, 17), (9, 2, 3, 3), {"padding": 1}),
    "filters of a tile and a half": ((2, 2, 9, 16), (12, 2, 3, 3), {"padding": 1}),
    "one vector of pixels": ((1, 2, 3, 18), (5, 2, 3, 3), {}),
    "two vectors of pixels": ((1, 2, 4, 18), (5, 2, 3, 3), {}),
    "rows shorter than a vector": ((2, 3, 13, 7), (8, 3, 3, 3), {"padding": 1}),
    "rows of one pixel": ((2, 3, 13, 3), (8, 3, 3, 3), {}),
    "batches of small images, the last one smaller": ((23, 2, 9, 7), (5, 2, 3, 3), {}),
    "stripes": ((2, 1, 90, 40), (8, 1, 3, 3), {"padding": 1}),
    "rows of filters 4 KiB apart": ((3, 1, 32, 32), (8, 1, 3, 3), {"padding": 1}),
    "1x1, images smaller than a vector": ((2, 3, 3, 3), (5, 3, 1, 1), {}),
    "1x1": ((2, 3, 9, 11), (5, 3, 1, 1), {}),
    "1x1, panels over several images": ((5, 21, 7, 7), (37, 21, 1, 1), {}),
    "1x1, panels of whole images and parts": ((3, 18, 9, 32), (16, 18, 1, 1), {}),
    "1x1, groups": ((3, 34, 10, 15), (36, 17, 1, 1), {"groups": 2}),
    "1x1, sums in blocks": ((2, 1030, 5, 11), (17, 1030, 1, 1), {}),
    "groups": ((2, 24, 10, 20), (36, 4, 3, 3), {"padding": 1, "groups": 6}),
    "stride 2": ((2, 3, 21, 40), (7, 3, 3, 3), {"padding": 1, "stride": 2}),
    "dilation": ((2, 2, 14, 25), (9, 2, 3, 3), {"padding": 2, "dilation": 2}),
}


@pytest.mark.parametrize("isa_name", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", ["", "few"])
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


@pytest.mark.parametrize("isa_name", ISAS)
@pytest.mark.parametrize("width", [5, 16, 21])
def test_nothing_beside_the_output_is_touched(width: int, isa_name: str, force: Any) -> None:
    x, weight = numbers((2, 2, 8, width), np.float32, 0), numbers((6, 2, 3, 3), np.float32, 1)
    force("few")
    room = np.full((2, 8, 10, width + 3), np.float32(7))
    out = room[:, 1:7, 1:9, 2:-1]
    with isa(isa_name):
        F.conv2d(x, weight, padding=1, out=out)
    np.testing.assert_array_equal(out, reference.conv2d(x, weight, padding=1))
    out[:] = 7
    np.testing.assert_array_equal(room, np.full_like(room, 7))


@pytest.mark.parametrize("isa_name", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", ["few", "packed"])
@pytest.mark.parametrize("width, filters", [(64, 37), (72, 40)])
def test_results_stored_past_the_caches(
    filters: int, width: int, algorithm: str, dtype: Any, isa_name: str, force: Any
) -> None:
    x, weight = numbers((16, 3, 56, width), dtype, 0), numbers((filters, 3, 1, 1), dtype, 1)
    want = np.einsum("nchw,fc->nfhw", x, weight[:, :, 0, 0])
    force(algorithm)
    _runtime.set_poison(True)
    assert want.nbytes > 8 << 20
    with isa(isa_name), thread_count(2):
        np.testing.assert_array_equal(F.conv2d(x, weight), want)
        beside = np.empty(want.size + 1, dtype)[1:].reshape(want.shape)  # no vector of it is a whole line
        np.testing.assert_array_equal(F.conv2d(x, weight, out=beside), want)


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_deltas_of_any_layout(data_format: str, force: Any) -> None:
    x, weight = numbers((2, 3, 12, 20), np.float32, 0), numbers((7, 3, 3, 3), np.float32, 1)
    delta = numbers((2, 7, 10, 18), np.float32, 2)
    want = reference.conv2d_backward(delta, x, weight)[1]
    if data_format == "NHWC":  # filters side by side, seen as NCHW
        delta = np.ascontiguousarray(delta.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    force("few")
    np.testing.assert_array_equal(F.conv2d_backward(delta, x, weight, needs=("weight",))[1], want)


@pytest.mark.parametrize(
    "name", ["batches of small images, the last one smaller", "stripes", "groups", "1x1, panels over several images"]
)
def test_same_bits_for_any_number_of_threads(name: str, force: Any) -> None:
    x_shape, w_shape, options = CASES[name]
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=x_shape).astype(np.float32), rng.normal(size=w_shape).astype(np.float32)
    force("" if name.startswith("1x1") else "few")
    results = []
    for n in (1, 2, 3, 8):
        with thread_count(n):
            y = F.conv2d(x, weight, **options)
            results.append((y, *F.conv2d_backward(y, x, weight, **options)))
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)
