"""The reference against SciPy, and against sums written out loop by loop."""

import itertools
from typing import Any

import numpy as np
import pytest

from pycnn import reference

signal = pytest.importorskip("scipy.signal", reason="the comparison with SciPy needs SciPy")
special = pytest.importorskip("scipy.special", reason="the comparison with SciPy needs SciPy")


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_is_a_sum_of_correlations(dims: int, groups: int) -> None:
    rng = np.random.default_rng(dims)
    x = rng.standard_normal((2, 4, *(6, 7, 5)[:dims]))
    weight = rng.standard_normal((6, 4 // groups, *(3, 2, 4)[:dims]))
    y = getattr(reference, f"conv{dims}d")(x, weight, groups=groups)
    for n, f in itertools.product(range(2), range(6)):
        first = f // (6 // groups) * (4 // groups)
        want = sum(signal.correlate(x[n, first + c], weight[f, c], "valid", "direct") for c in range(4 // groups))
        np.testing.assert_allclose(y[n, f], want, atol=1e-13)


def test_transposed_convolution_is_a_full_convolution() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((1, 3, 5, 4)), rng.standard_normal((3, 2, 3, 2))
    y = reference.conv_transpose2d(x, weight)
    for f in range(2):
        want = sum(signal.convolve2d(x[0, c], weight[c, f], "full") for c in range(3))
        np.testing.assert_allclose(y[0, f], want, atol=1e-13)


def test_weight_gradient_is_a_correlation_of_input_and_delta() -> None:
    rng = np.random.default_rng(1)
    x, weight, delta = rng.standard_normal((1, 1, 6, 7)), np.ones((1, 1, 3, 2)), rng.standard_normal((1, 1, 4, 6))
    dx, dweight, dbias = reference.conv2d_backward(delta, x, weight)
    np.testing.assert_allclose(dweight[0, 0], signal.correlate2d(x[0, 0], delta[0, 0], "valid"), atol=1e-13)
    np.testing.assert_allclose(dx[0, 0], signal.convolve2d(delta[0, 0], weight[0, 0], "full"), atol=1e-13)
    np.testing.assert_allclose(dbias, [delta.sum()])


def pads_by_text(name: str, size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """ONNX: SAME_UPPER and SAME_LOWER give ceil(size / stride) outputs; the odd pad goes to the end or the start."""
    for total in range(10 * kernel * dilation):
        if (size + total - dilation * (kernel - 1) - 1) // stride + 1 == -(-size // stride):
            return (total // 2, total - total // 2) if name == "same" else (total - total // 2, total // 2)
    raise AssertionError("no padding fits")


@pytest.mark.parametrize("name", ["same", "same_lower"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_named_padding(name: str, kernel: int, stride: int, dilation: int) -> None:
    """The smallest padding that gives ceil(size / stride) outputs."""
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((1, 1, kernel))
    for size in (1, 2, 5, 6, 9):
        x = rng.standard_normal((1, 1, size))
        pads = pads_by_text(name, size, kernel, stride, dilation)
        want = reference.conv1d(np.pad(x, ((0, 0), (0, 0), pads)), weight, stride=stride, dilation=dilation)
        got = reference.conv1d(x, weight, stride=stride, padding=name, dilation=dilation)
        assert got.shape == (1, 1, -(-size // stride))
        np.testing.assert_allclose(got, want, atol=1e-13)


def window(size: int, number: int, k: int, s: int, p: int, d: int) -> list[int]:
    """Coordinates that window `number` of one axis looks at, real or not."""
    return [number * s - p + tap * d for tap in range(k)]


POOLS: list[dict[str, Any]] = [
    {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 1},
    {"kernel_size": 2, "stride": 3, "padding": 0, "dilation": 2},
    {"kernel_size": 3, "stride": 1, "padding": 3, "dilation": 2},
]


@pytest.mark.parametrize("options", POOLS, ids=str)
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("include", [False, True])
def test_pooling_window_by_window(options: dict[str, Any], ceil_mode: bool, include: bool) -> None:
    """Maximum, its place, mean and norm of every window, written out."""
    rng = np.random.default_rng(3)
    h, w = 6, 7
    x = rng.integers(-4, 5, (1, 1, h, w)).astype(float)
    k, s, p, d = (options[key] for key in ("kernel_size", "stride", "padding", "dilation"))
    best, places = reference.max_pool2d(x, **options, ceil_mode=ceil_mode, return_indices=True)
    mean = reference.avg_pool2d(x, **options, ceil_mode=ceil_mode, count_include_pad=include)
    norm = reference.lp_pool2d(x, 3, **options, ceil_mode=ceil_mode)
    for i, j in np.ndindex(best.shape[2:]):
        cells = list(itertools.product(window(h, i, k, s, p, d), window(w, j, k, s, p, d)))
        real = [(r, c) for r, c in cells if 0 <= r < h and 0 <= c < w]
        values = [x[0, 0, r, c] for r, c in real]
        top = max(range(len(values)), key=lambda n: (values[n], -n))
        assert best[0, 0, i, j] == values[top]
        assert places[0, 0, i, j] == real[top][0] * w + real[top][1]
        padded = [(r, c) for r, c in cells if -p <= r < h + p and -p <= c < w + p]
        np.testing.assert_allclose(mean[0, 0, i, j], sum(values) / len(padded if include else real))
        np.testing.assert_allclose(norm[0, 0, i, j], sum(abs(v) ** 3 for v in values) ** (1 / 3))


@pytest.mark.parametrize(
    ("size", "k", "s", "p", "floor", "ceil"),
    [
        (6, 3, 2, 0, 2, 3),
        (5, 2, 2, 0, 2, 3),
        (4, 2, 3, 1, 2, 2),
        (6, 4, 3, 1, 2, 3),
        (7, 3, 2, 1, 4, 4),
        (3, 2, 9, 1, 1, 1),
    ],
)
def test_ceil_mode_rule(size: int, k: int, s: int, p: int, floor: int, ceil: int) -> None:
    """A window that would start in the padding at the end is dropped: (4, 2, 3, 1) has no third."""
    x = np.arange(1.0, size + 1).reshape(1, 1, size)
    for pool in (reference.max_pool1d, reference.avg_pool1d):
        assert pool(x, k, s, p).shape[2] == floor
        assert pool(x, k, s, p, ceil_mode=True).shape[2] == ceil


def test_activations() -> None:
    x = np.linspace(-6, 6, 101)
    np.testing.assert_allclose(reference.sigmoid(x), special.expit(x), rtol=1e-13)
    np.testing.assert_allclose(reference.gelu(x), x * special.ndtr(x), atol=1e-14)
    np.testing.assert_allclose(reference.softmax(x.reshape(-1, 101)), special.softmax(x)[None], rtol=1e-13)
    np.testing.assert_allclose(reference.log_softmax(x), special.log_softmax(x), rtol=1e-13)


def test_losses() -> None:
    rng = np.random.default_rng(4)
    logits, labels = rng.standard_normal((7, 5)), rng.integers(0, 5, 7)
    want = -special.log_softmax(logits, axis=1)[np.arange(7), labels]
    np.testing.assert_allclose(reference.cross_entropy(logits, labels, reduction="none"), want, rtol=1e-13)
    np.testing.assert_allclose(reference.cross_entropy(logits, labels), want.mean(), rtol=1e-13)
    target = rng.random((7, 5))
    p = special.expit(logits)
    bce = -(special.xlogy(target, p) + special.xlog1py(1 - target, -p)).sum()
    got = reference.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    np.testing.assert_allclose(got, bce, rtol=1e-13)
