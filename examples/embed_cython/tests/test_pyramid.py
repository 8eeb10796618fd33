"""The pyramid is that of scipy.ndimage, on any number of threads."""

import itertools
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from featurepyramid import Pyramid

import pycnn

sys.path.insert(0, str(Path(__file__).parents[1]))
import with_scipy


def image(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.mark.parametrize("shape", [(480, 640), (401, 333), (63, 65), (41, 20_001), (17, 9), (8, 8)])
@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 2.3])
def test_the_edges_are_those_of_scipy(shape: tuple[int, int], sigma: float) -> None:
    x = image(shape)
    got, want = Pyramid(shape, 4, sigma)(x), with_scipy.pyramid(x, 4, sigma)
    assert len(got) == len(want)
    for mine, theirs in zip(got, want):
        assert mine.dtype == theirs.dtype == np.float32
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_stream_gives_what_calls_give(threads: int) -> None:
    pyramid = Pyramid((90, 120))
    images = [image((90, 120), seed) for seed in range(20)]
    count = 0
    for x, levels in zip(images, pyramid.stream(images, threads), strict=True):
        for mine, alone in zip(levels, pyramid(x)):
            np.testing.assert_array_equal(mine, alone)
        count += 1
    assert count == 20


def test_an_endless_stream() -> None:
    seen = []

    def endless():
        for number in itertools.count():
            seen.append(number)
            yield image((16, 16), number)

    stream = Pyramid((16, 16), 2).stream(endless(), 2)
    for _ in range(5):
        next(stream)
    stream.close()
    assert len(seen) <= 5 + 4 * 2 + 1


def test_the_gil_is_free_meanwhile() -> None:
    """While one thread computes a large image, this one goes on."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("this Python has no GIL")
    pyramid, x = Pyramid((2500, 2500), 1), image((2500, 2500))
    pyramid(x)
    done, count = threading.Event(), 0
    worker = threading.Thread(target=lambda: (pyramid(x), done.set()))
    old = sys.getswitchinterval()
    sys.setswitchinterval(10)  # nobody is asked to give the lock up
    try:
        worker.start()
        while not done.is_set() and count < 100:
            done.wait(1e-4)
            count += 1
    finally:
        sys.setswitchinterval(old)
        worker.join()
    assert count > 10


def test_a_call_leaves_the_limit_of_threads_as_it_was() -> None:
    before = pycnn.get_num_threads()
    Pyramid((16, 16), 1)(image((16, 16)))
    assert pycnn.get_num_threads() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(((8, 8), 5), "levels"), (((8, 8), 0), "levels"), (((8, 8), 1, 0.0), "sigma"), (((8, 8), 1, 99.0), "sigma")],
)
def test_a_pyramid_that_cannot_be(arguments: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Pyramid(*arguments)


@pytest.mark.parametrize("x", [np.zeros((8, 9), np.float32), np.zeros((8, 8)), np.zeros((8, 16), np.float32)[:, ::2]])
def test_an_image_that_does_not_fit(x: np.ndarray) -> None:
    with pytest.raises(ValueError):
        Pyramid((8, 8), 1)(x)
