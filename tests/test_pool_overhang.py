"""Windows that are larger than the image, or than the padded input, which ceil_mode lets hang over its end."""

import numpy as np
import pytest
from vectors import thread_count

from pycnn import functional as F
from pycnn import nn

X = np.arange(4.0).reshape(1, 1, 2, 2)
HUGE = {"stride": 2**41, "ceil_mode": True}


def test_one_window_over_the_whole_image():
    assert F.max_pool2d(X, 3, 2, ceil_mode=True).tolist() == [[[[3.0]]]]
    assert F.avg_pool2d(X, 3, 2, ceil_mode=True).tolist() == [[[[1.5]]]]  # of the four cells that are there
    assert F.avg_pool2d(X, 4, 2, ((1, 0), (1, 0)), ceil_mode=True).tolist() == [[[[6 / 9]]]]
    assert F.lp_pool2d(X, 2, 3, 2, ceil_mode=True).item() == pytest.approx(14**0.5)
    assert nn.MaxPool2d(3, 2, ceil_mode=True)(X).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("kernel", [3, 100, 2**40])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC", "HWCN"])
def test_windows_of_any_size(kernel, data_format):
    order = {"NCHW": (0, 1, 2, 3), "NHWC": (0, 2, 3, 1), "HWCN": (2, 3, 1, 0)}[data_format]
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 2))
    z = np.ascontiguousarray(x.transpose(order))
    options = {**HUGE, "data_format": data_format}
    y, places = F.max_pool2d(z, kernel, return_indices=True, **options)
    np.testing.assert_array_equal(y.squeeze(), x.max((2, 3)).transpose([a for a in order if a < 2]))
    dy = np.ones_like(y)
    dx = F.max_pool2d_backward(dy, places, z.shape, kernel, **options)
    np.testing.assert_array_equal(dx, z == y)
    np.testing.assert_array_equal(F.max_pool2d_backward(dy, None, z.shape, kernel, x=z, ties="all", **options), z == y)
    mean = F.avg_pool2d(z, kernel, **options)
    np.testing.assert_allclose(mean.squeeze(), x.mean((2, 3)).transpose([a for a in order if a < 2]))
    dx = F.avg_pool2d_backward(dy, z.shape, kernel, **options)
    np.testing.assert_array_equal(dx, np.full(z.shape, 0.25))
    norm = F.lp_pool2d(z, 1, kernel, **options)
    np.testing.assert_allclose(norm.squeeze(), abs(x).sum((2, 3)).transpose([a for a in order if a < 2]))
    np.testing.assert_array_equal(F.lp_pool2d_backward(dy, z, 1, kernel, **options), np.sign(z))


def test_a_wide_dilation_sees_the_first_cell_only():
    options = {"dilation": 2**40, **HUGE}
    for indices in (True, "compact"):
        y, places = F.max_pool2d(X + 5, 2, return_indices=indices, **options)
        assert (y.item(), places.item()) == (5.0, 0)
        dx = F.max_pool2d_backward(np.ones_like(y), places, X.shape, 2, **options)
        assert dx.ravel().tolist() == [1, 0, 0, 0]
    assert F.avg_pool2d(X + 5, 2, **options).item() == 5.0


def test_compact_indices_count_the_taps_of_the_whole_window():
    x = X[..., ::-1, ::-1].copy()
    x[0, 0, 1, 0] = 9.0
    y, codes = F.max_pool2d(x, (3, 5), 4, return_indices="compact", ceil_mode=True)
    assert (y.item(), codes.item()) == (9.0, 5)
    dx = F.max_pool2d_backward(y, codes, x.shape, (3, 5), 4, ceil_mode=True)
    assert dx.ravel().tolist() == [0, 0, 9, 0]
    with pytest.raises(ValueError, match="must not point into the padding, got 2 at"):
        F.max_pool2d_backward(y, np.full_like(codes, 2), x.shape, (3, 5), 4, ceil_mode=True)


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d, lambda x, *a, **k: F.lp_pool2d(x, 2, *a, **k)])
def test_a_window_too_large_by_a_stride(pool):
    with pytest.raises(ValueError, match=r"kernel_size 4 with dilation 1 spans 4 cells, more than the padded input of 2"
                       r" and 1, less than the stride, which ceil_mode lets it hang over"):  # fmt: skip
        pool(X, 4, 2, ceil_mode=True)
    with pytest.raises(ValueError, match=r"spans 3 cells, more than the padded input of 2$"):
        pool(X, 3, 2)


def test_a_maximum_of_padding_alone_is_refused():
    with pytest.raises(ValueError, match="dilation 3 leaves window 0 without a cell of the input, whose size is 1"):
        F.max_pool2d(X[:, :, :1, :1], 2, 1, padding=2, dilation=3)


def test_windows_much_larger_than_the_image() -> None:
    """Their taps are never listed: on eight threads that would take 50 gigabytes."""
    x = np.arange(800, dtype=np.float32).reshape(1, 8, 10, 10)
    dy = np.ones((1, 8, 1, 1), np.float32)
    kernel, padding = 20001, 10000
    with thread_count(8):
        y = F.avg_pool2d(x, kernel, padding=padding, count_include_pad=False)
        dx = F.avg_pool2d_backward(dy, x.shape, kernel, padding=padding, count_include_pad=False)
    np.testing.assert_allclose(y[0, :, 0, 0], x[0].mean((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(dx, np.full_like(x, 0.01), rtol=1e-6)
