"""Images of another number type than the network: the images are to blame, and the message says what helps."""

import re

import numpy as np
import pytest

from pycnn import functional as F
from pycnn import nn

X = np.ones((2, 3, 4, 4))
W = np.ones((3, 3, 1, 1), np.float32)
V = np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: F.conv2d(X, W), "conv2d: x must have the dtype of weight, float32"),
        (lambda: F.conv2d_backward(X, X, W), "conv2d_backward: x must have the dtype of weight, float32"),
        (lambda: F.conv_transpose2d(X, W), "conv_transpose2d: x must have the dtype of weight, float32"),
        (lambda: F.linear(X[..., 0, 0], W[..., 0, 0]), "linear: x must have the dtype of weight, float32"),
        (lambda: F.batch_norm(X, V, V), "batch_norm: x must have the dtype of running_mean, float32"),
        (lambda: F.batch_norm(X, None, None, V, training=True), "batch_norm: x must have the dtype of weight, float32"),
        (lambda: nn.Sequential(nn.Conv2d(3, 2, 1))(X), "layer 0 (Conv2d): conv2d: x must have the dtype of weight"),
    ],
)
def test_the_images_are_to_blame(call, words):
    with pytest.raises(TypeError, match=re.escape(words) + r".*, got float64; x\.astype\(np\.float32\) converts"):
        call()


def test_the_number_of_channels():
    with pytest.raises(ValueError, match="^" + re.escape(
        "conv2d: x must have 3 channels (weight (16, 3, 3, 3), groups 1), got 1 in (2, 1, 8, 8)")):  # fmt: skip
        F.conv2d(np.ones((2, 1, 8, 8)), np.ones((16, 3, 3, 3)))
