"""Winograd's algorithm: every tile size, pass, instruction set, dtype and layout against a plain sum in float64."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
from case import to_format
from numpy.lib.stride_tricks import sliding_window_view
from vectors import isa, thread_count

import pycnn
from pycnn import functional as F
from pycnn.kernels import _runtime

ISAS = _runtime.available_isas()
# What is forced, and the strides that it then covers.
KINDS = [("winograd2", 1), ("winograd4", 1), ("winograd4", 2)]
PASSES = ["forward", "input", "weight"]
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


@contextmanager
def algorithm(name: str) -> Iterator[None]:
    _runtime.set_algorithm(name)
    try:
        yield
    finally:
        _runtime.set_algorithm("")


@contextmanager
def poison() -> Iterator[None]:
    _runtime.set_poison(True)
    try:
        yield
    finally:
        _runtime.set_poison(False)


@contextmanager
def last_cache(size: int) -> Iterator[None]:
    """Plan as on a processor whose cores share a cache of that many bytes."""
    _runtime.set_last_cache(size)
    try:
        yield
    finally:
        _runtime.set_last_cache()


def arrays(sizes: tuple[int, ...], pads: Any, dtype: Any, stride: int = 1, groups: int = 1, seed: int = 0) -> Arrays:
    """x, weight and a delta, NCHW; sizes: n, c, f, h, w; pads: ((before, after), (before, after))."""
    rng = np.random.default_rng(seed)
    n, c, f, h, w = sizes
    out = tuple((size + sum(pad) - 3) // stride + 1 for size, pad in zip((h, w), pads))
    shapes = ((n, c, h, w), (f, c // groups, 3, 3), (n, f, *out))
    x, weight, delta = (rng.normal(size=s).astype(dtype) for s in shapes)
    return x, weight, delta


def plain(
    x: np.ndarray, weight: np.ndarray, delta: np.ndarray, pads: Any, stride: int = 1, groups: int = 1
) -> dict[str, np.ndarray]:
    """The three passes in float64: sums over windows and their adjoints, sharing nothing with the kernels."""
    x, weight, delta = (a.astype(np.float64) for a in (x, weight, delta))
    padded = np.pad(x, ((0, 0), (0, 0), *pads))
    result = {"forward": [], "input": [], "weight": []}
    for xg, wg, dg in zip(*(np.split(a, groups, axis) for a, axis in ((padded, 1), (weight, 0), (delta, 1)))):
        windows = sliding_window_view(xg, (3, 3), axis=(2, 3))[:, :, ::stride, ::stride]
        result["forward"].append(np.einsum("nchwij,fcij->nfhw", windows, wg, optimize=True))
        result["weight"].append(np.einsum("nchwij,nfhw->fcij", windows, dg, optimize=True))
        dx = np.zeros_like(xg)
        for i in range(3):
            for j in range(3):
                part = np.einsum("nfhw,fc->nchw", dg, wg[:, :, i, j], optimize=True)
                rows, cols = (slice(k, k + stride * (n - 1) + 1, stride) for k, n in zip((i, j), dg.shape[2:]))
                dx[:, :, rows, cols] += part
        (top, _), (left, _) = pads
        result["input"].append(dx[:, :, top : top + x.shape[2], left : left + x.shape[3]])
    return {k: np.concatenate(v, axis=0 if k == "weight" else 1) for k, v in result.items()}


def run(name: str, x: np.ndarray, weight: np.ndarray, delta: np.ndarray, **kwargs: Any) -> np.ndarray:
    if name == "forward":
        return F.conv2d(x, weight, **kwargs)
    return F.conv2d_backward(delta, x, weight, needs=(name,), **kwargs)[("input", "weight").index(name)]


def relative_error(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.abs(got - want).max() / np.abs(want).max())


# (n, c, f, h, w), pads, groups: whole and cut tiles, channels around 4, 8 and 16 lanes, lines longer than a segment,
# many and few tiles (the two ways to share work), all kinds of padding
SHAPES: dict[str, tuple[tuple[int, ...], Any, int]] = {
    "one tile": ((1, 8, 8, 4, 4), ((1, 1), (1, 1)), 1),
    "one pixel": ((2, 16, 16, 1, 1), ((1, 1), (1, 1)), 1),
    "whole vectors": ((1, 16, 32, 8, 8), ((1, 1), (1, 1)), 1),
    "tails everywhere": ((2, 17, 33, 7, 7), ((1, 1), (1, 1)), 1),
    "no padding": ((3, 20, 9, 10, 13), ((0, 0), (0, 0)), 1),
    "much padding": ((2, 9, 20, 5, 6), ((4, 3), (5, 4)), 1),
    "one side": ((2, 12, 10, 6, 5), ((0, 2), (1, 3)), 1),
    "long lines": ((1, 5, 7, 3, 131), ((1, 1), (1, 1)), 1),
    "many tiles": ((9, 11, 13, 23, 18), ((1, 1), (1, 1)), 1),
    "many channels": ((1, 150, 100, 6, 6), ((1, 1), (1, 1)), 1),
    "even padding": ((2, 10, 18, 15, 16), ((2, 1), (0, 2)), 1),
    "groups": ((2, 16, 24, 9, 9), ((1, 1), (1, 1)), 2),
    "one channel": ((2, 1, 1, 12, 12), ((1, 1), (1, 1)), 1),
}


@pytest.mark.parametrize("isa_name", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC", "HWCN"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_tile_and_pass(shape: str, stride: int, data_format: str, dtype: Any, isa_name: str) -> None:
    sizes, pads, groups = SHAPES[shape]
    x, weight, delta = arrays(sizes, pads, dtype, stride, groups)
    want = plain(x, weight, delta, pads, stride, groups)
    x, delta = to_format(x, data_format), to_format(delta, data_format)
    # Float32 products of normal numbers: a few times the statements of test_error_by_channels for so few channels.
    limit = 6e-6 if dtype == np.float32 else 2e-14
    options: dict[str, Any] = {"padding": pads, "stride": stride, "groups": groups, "data_format": data_format}
    for tile in (tile for tile, covered in KINDS if covered == stride):
        for which in PASSES:
            with isa(isa_name), algorithm(tile), poison():
                got = run(which, x, weight, delta, **options)
            expected = want[which] if which == "weight" else to_format(want[which], data_format)
            assert relative_error(got, expected) < limit, (tile, which)


@pytest.mark.parametrize("stride", [1, 2])
def test_strided_memory(stride: int) -> None:
    x, weight, delta = arrays((2, 16, 16, 9, 9), ((1, 1), (1, 1)), np.float32, stride)
    wide = np.full((2, 16, 18, 27), np.nan, np.float32)[:, ::-1, ::2, ::3]
    wide[...] = x
    with algorithm("winograd4"):
        want = F.conv2d(x, weight, None, stride, 1)
        np.testing.assert_array_equal(F.conv2d(wide, weight, None, stride, 1), want)
        out = np.full((*delta.shape[:3], 2 * delta.shape[3]), np.nan, np.float32)[..., ::2]
        F.conv2d(x, weight, None, stride, 1, out=out)
        np.testing.assert_array_equal(out, want)


def test_bias_and_three_dimensions() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 16, 3, 8, 9)).astype(np.float32)
    weight = rng.normal(size=(20, 16, 1, 3, 3)).astype(np.float32)
    bias = rng.normal(size=20).astype(np.float32)
    with algorithm("winograd4"):
        got = F.conv3d(x, weight, bias, padding=(0, 1, 1))
    for d in range(3):
        want = plain(x[:, :, d], weight[:, :, 0], got[:, :, d], ((1, 1), (1, 1)))["forward"]
        assert relative_error(got[:, :, d], want + bias[:, None, None]) < 3e-6


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize(
    ("tile", "stride", "limit"),
    [("direct", 1, 2e-6), ("winograd2", 1, 1e-6), ("winograd4", 1, 3e-6), ("winograd4", 2, 3e-6)],
)
@pytest.mark.parametrize("channels", [16, 64, 512])
def test_error_by_channels(channels: int, tile: str, stride: int, limit: float, which: str) -> None:
    """What docs/design.md states, for numbers like activations and weights: largest error over largest value."""
    pads = ((1, 1), (1, 1))
    x, weight, delta = arrays((2, channels, channels, 16, 16), pads, np.float32, stride, seed=channels)
    x = np.maximum(x, 0)
    with algorithm(tile):
        got = run(which, x, weight, delta, padding=1, stride=stride)
    assert relative_error(got, plain(x, weight, delta, pads, stride)[which]) <= limit


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("which", PASSES)
def test_same_bits_for_any_number_of_threads(which: str, stride: int) -> None:
    for sizes in ((3, 40, 50, 30, 17), (1, 40, 200, 9, 9), (9, 16, 20, 47, 50)):
        x, weight, delta = arrays(sizes, ((1, 1), (1, 1)), np.float32, stride)
        results = []
        for n in (1, 2, 3, 8):
            with thread_count(n), algorithm("winograd4"):
                results.append(run(which, x, weight, delta, padding=1, stride=stride))
        for other in results[1:]:
            np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize(
    ("which", "pairs"),
    [
        ("forward", (110, 100)),
        ("input", (110, 100)),
        ("forward", (80, 1100)),
        ("input", (80, 1100)),
        ("forward", (24, 3700)),
    ],
)
def test_weights_beyond_the_caches(pairs: tuple[int, int], which: str) -> None:
    """More than 3 MB of transformed weights, which all threads share or, in a large cache, each makes for itself.

    From 8 MB on, in a smaller cache, the tiles are done in parts; of the fewest channels each thread makes a part's
    inputs for itself.
    """
    channels, filters = pairs if which == "forward" else pairs[::-1]
    size = 128 if which == "forward" else 127  # 256 tiles; odd: the last ones are cut
    pads = ((1, 1), (1, 1))
    x, weight, delta = arrays((1, channels, filters, size, size), pads, np.float64, stride=2)
    want = plain(x, weight, delta, pads, stride=2)[which]
    results = []
    # Where poison gets into a sum, the plain one takes its place, which has other bits.
    cases = [(n, size) for n in (1, 3) for size in (1 << 20, 32 << 20, 1 << 30)]
    for n, size in cases:
        memory = poison() if n == 1 else nullcontext()
        with thread_count(n), last_cache(size), algorithm("winograd4"), memory:
            results.append(run(which, x, weight, delta, padding=1, stride=2))
        assert relative_error(results[-1], want) < 2e-14
        np.testing.assert_array_equal(results[-1], results[0])


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize(("tile", "stride"), KINDS)
def test_special_values_touch_only_their_windows(tile: str, stride: int, which: str, special: float) -> None:
    """A tile mixes its cells; what is not finite must still end up where the plain sum puts it."""
    x, weight, delta = arrays((2, 16, 16, 12, 12), ((1, 1), (1, 1)), np.float32, stride)
    x[1, 3, 4, 5] = special
    delta[1, 3, 4, 5] = special
    with np.errstate(all="ignore"), algorithm("direct"):
        want = run(which, x, weight, delta, padding=1, stride=stride)
    with np.errstate(all="ignore"), algorithm(tile):
        got = run(which, x, weight, delta, padding=1, stride=stride)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))


@pytest.mark.parametrize("stride", [1, 2])
def test_weights_that_are_not_finite(stride: int) -> None:
    x, weight, _ = arrays((1, 16, 16, 8, 8), ((1, 1), (1, 1)), np.float32)
    x[0, 2] = 0
    weight[5, 2, 1, 1] = np.inf  # inf * 0
    with np.errstate(all="ignore"), algorithm("winograd4"):
        got = F.conv2d(x, weight, None, stride, 1)
    assert np.isnan(got[0, 5]).all()
    assert np.isfinite(np.delete(got[0], 5, axis=0)).all()


@pytest.mark.parametrize("which", PASSES)
def test_no_memory(which: str) -> None:
    for sizes in ((1, 16, 16, 8, 8), (9, 16, 16, 32, 32)):
        x, weight, delta = arrays(sizes, ((1, 1), (1, 1)), np.float32)
        out = np.empty_like({"forward": delta, "input": x, "weight": weight}[which])
        outs: Any = out if which == "forward" else (out, None, None) if which == "input" else (None, out, None)
        with algorithm("winograd4"):
            for n in range(1, 3):  # blocks of memory
                _runtime.fail_after(n)
                try:
                    with pytest.raises(MemoryError, match="no memory"):
                        run(which, x, weight, delta, padding=1, out=outs)
                finally:
                    _runtime.fail_after(0)
            run(which, x, weight, delta, padding=1, out=outs)


def test_what_it_does_not_cover_is_the_plain_sum() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, (2, 16, 11, 12)).astype(np.float32)
    cases: list[tuple[tuple[int, int], dict[str, Any]]] = [
        ((3, 3), {"stride": 3}),
        ((3, 3), {"stride": (2, 1)}),
        ((3, 3), {"dilation": 2}),
        ((3, 3), {"stride": 2, "dilation": 2}),
        ((5, 3), {}),
        ((1, 1), {}),
    ]
    for kernel, options in cases:
        weight = rng.integers(-3, 4, (16, 16, *kernel)).astype(np.float32)
        with algorithm("winograd4"):
            fast = F.conv2d(x, weight, **options)
        with algorithm("direct"):
            np.testing.assert_array_equal(fast, F.conv2d(x, weight, **options))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("which", PASSES)
def test_set_exact(which: str, stride: int) -> None:
    # The fast gradient of the weights with stride 2 pays where there are many channels.
    shape = (4, 320, 320, 16, 16) if (which, stride) == ("weight", 2) else (4, 32, 32, 48, 48)
    x, weight, delta = (np.rint(a) for a in arrays(shape, ((1, 1), (1, 1)), np.float32, stride))
    want = plain(x, weight, delta, ((1, 1), (1, 1)), stride)[which]
    assert pycnn.config()["exact"] is False
    fast = run(which, x, weight, delta, padding=1, stride=stride)
    assert (fast != want).any(), "the fast algorithm is not in use"
    pycnn.set_exact(True)
    try:
        assert pycnn.config()["exact"] is True
        np.testing.assert_array_equal(run(which, x, weight, delta, padding=1, stride=stride), want)
    finally:
        pycnn.set_exact(False)


@pytest.mark.parametrize("bad", [None, 1, "yes"])
def test_set_exact_takes_a_bool(bad: Any) -> None:
    with pytest.raises(TypeError, match=r"^set_exact: on must be a bool, got "):
        pycnn.set_exact(bad)
