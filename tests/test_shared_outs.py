"""`out` with several arrays: none may share memory with another."""

import numpy as np
import pytest

from pycnn import functional as F

X = np.random.default_rng(0).normal(size=(2, 3, 3, 3))
W = np.ones((3, 3, 3, 3))
CALLS = {
    "conv1d_backward": lambda **o: F.conv1d_backward(np.ones((2, 3, 1)), X[..., 0].copy(), W[0], **o),
    "conv2d_backward": lambda **o: F.conv2d_backward(np.ones((2, 3, 1, 1)), X, W, **o),
    "conv_transpose2d_backward": lambda **o: F.conv_transpose2d_backward(np.ones((2, 3, 5, 5)), X, W, **o),
    "linear_backward": lambda **o: F.linear_backward(np.ones((2, 3)), X[:, :, 0, 0].copy(), W[0, 0], **o),
    "batch_norm_backward": lambda **o: F.batch_norm_backward(X, X, None, None, training=True, **o),
}


@pytest.mark.parametrize("name", CALLS)
def test_outs_that_share_memory(name):
    call = CALLS[name]
    want = call()
    memory = np.full(want[0].size + want[1].size, 7.0)
    dx, dw = memory[: want[0].size].reshape(want[0].shape), memory[-want[1].size - 1 : -1].reshape(want[1].shape)
    with pytest.raises(ValueError, match=rf"^{name}: out\[0\] and out\[1\] must not share memory$"):
        call(out=(dx, dw, None))
    assert (memory == 7).all()
    got = call(out=(dx, dw, None), needs=("weight", "bias"))  # dx is not written
    np.testing.assert_array_equal(got[1], want[1])
    dw = memory[-want[1].size :].reshape(want[1].shape)
    got = call(out=(dx, dw, None))
    for one, other in zip(got, want):
        np.testing.assert_array_equal(one, other)


def test_the_same_array_twice():
    db = np.full(3, 7.0)
    with pytest.raises(ValueError, match=r"batch_norm_backward: out\[1\] and out\[2\] must not share memory"):
        CALLS["batch_norm_backward"](out=(None, db, db))
    assert (db == 7).all()


def test_outs_that_lie_between_each_other():
    both = np.empty(6)
    got = CALLS["batch_norm_backward"](out=(None, both[::2], both[1::2]))
    for one, other in zip(got[1:], CALLS["batch_norm_backward"]()[1:]):
        np.testing.assert_array_equal(one, other)
