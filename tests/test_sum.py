"""Sums of arrays that meet in a network: NumPy's, bit for bit."""

from typing import Any

import numpy as np
import pytest

import pycnn
from pycnn.functional._sum import add
from pycnn.kernels import _runtime


@pytest.fixture(autouse=True)
def poison() -> Any:
    _runtime.set_poison(True)
    yield
    _runtime.set_poison(False)


def values(shape: tuple[int, ...], dtype: Any, seed: int) -> Any:
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    x.flat[:4] = [np.nan, np.inf, -0.0, 1e-40][: x.size]
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 7, 16, 33, 32768, 100_003])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_tail(n: int, dtype: Any, threads: int) -> None:
    a, b = values((n,), dtype, 0), values((n,), dtype, 1)[::-1]
    with pycnn.threads(threads):
        for y in (add(a, b), add(a, b.copy()), add(a, b, out=np.full(n, 7, dtype))):
            np.testing.assert_array_equal(y.view(f"i{y.itemsize}"), (a + b).view(f"i{y.itemsize}"))


@pytest.mark.parametrize("layout", [(0, 1, 2, 3), (0, 3, 1, 2), (3, 2, 1, 0)])
def test_layouts_and_aliases(layout: tuple[int, ...]) -> None:
    a = values((2, 3, 4, 5), np.float32, 0).transpose(layout)
    b = values(a.shape, np.float32, 1)
    want = a + b
    np.testing.assert_array_equal(add(a, b), want)
    np.testing.assert_array_equal(add(a, a), a + a)
    first, second = a.copy(), b.copy()
    assert add(first, b, out=first) is first
    assert add(a, second, out=second) is second
    np.testing.assert_array_equal(first, want)
    np.testing.assert_array_equal(second, want)
    whole = np.zeros(41, np.float32)
    shifted = add(whole[:-1], np.ones(40, np.float32), out=whole[1:])
    np.testing.assert_array_equal(shifted, np.ones(40))


def test_what_is_not_plain_goes_to_numpy() -> None:
    odd = np.frombuffer(bytearray(4 * 9 + 1), np.uint8)[1:].view(np.float32)
    np.testing.assert_array_equal(add(odd, np.ones(9, np.float32)), np.ones(9))
    np.testing.assert_array_equal(add(np.arange(3), np.arange(3)), [0, 2, 4])
    big = np.ones(3, ">f4")
    np.testing.assert_array_equal(add(big, big), [2, 2, 2])
