"""The C network gives what pycnn's own gives, from any thread."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import digitnet
import numpy as np
import pytest

from pycnn import data, train


@pytest.fixture(scope="module")
def net(folder: Path) -> digitnet.Network:
    return digitnet.Network(folder)


def logits(net: digitnet.Network, images: np.ndarray) -> np.ndarray:
    out = np.full((len(images), net.classes), np.nan, np.float32)
    net.logits(images, out)
    return out


def test_the_logits_are_those_of_pycnn(net: digitnet.Network, folder: Path) -> None:
    run, images = train.Run.open(folder), data.digits().x_test
    assert (net.input_shape, net.classes) == (run.input_shape, len(run.classes))
    want = train.predict_logits(run.load_model(), images, run.mean, run.std)
    np.testing.assert_allclose(logits(net, images), want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


def test_the_accuracy_is_that_of_pycnn_evaluate(net: digitnet.Network, folder: Path) -> None:
    command = [sys.executable, "-m", "pycnn_command", "evaluate", str(folder)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    correct, count = map(int, re.search(r"\((\d+) of (\d+)\)", said).groups())
    right = np.count_nonzero(logits(net, data.digits().x_test).argmax(axis=1) == data.digits().y_test)
    assert (right, len(data.digits().y_test)) == (correct, count)
    assert correct > 0.8 * count


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 100])
def test_an_image_does_not_depend_on_its_neighbours(net: digitnet.Network, n: int) -> None:
    images = data.digits().x_test[:n]
    each = [logits(net, image[None]) for image in images]
    np.testing.assert_allclose(logits(net, images), np.concatenate([*each, np.empty((0, 10))]), rtol=1e-4, atol=1e-4)


def test_threads_share_a_network(net: digitnet.Network) -> None:
    images = data.digits().x_test
    want = logits(net, images)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: logits(net, images), range(16)):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("images", "out", "error"),
    [
        (np.zeros((2, 1, 8, 8), np.float32), np.zeros((2, 10), np.float32), ValueError),
        (np.zeros((2, 1, 8, 7), np.uint8), np.zeros((2, 10), np.float32), ValueError),
        (np.zeros((2, 1, 8, 8), np.uint8), np.zeros((1, 10), np.float32), ValueError),
        (np.zeros((2, 1, 8, 8), np.uint8), np.zeros((2, 10)), ValueError),
        (np.zeros((2, 1, 8, 16), np.uint8)[..., ::2], np.zeros((2, 10), np.float32), (ValueError, BufferError)),
        (np.zeros((2, 1, 8, 8), np.uint8), bytes(80), (ValueError, BufferError)),
        ([1], np.zeros((2, 10), np.float32), TypeError),
    ],
)
def test_arrays_that_do_not_fit(net: digitnet.Network, images: object, out: object, error: type) -> None:
    with pytest.raises(error):
        net.logits(images, out)
