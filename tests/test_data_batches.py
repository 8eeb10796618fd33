"""Batches, standardising and augmentation."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycnn import data

DIGITS = data.digits()


def images(n: int = 10, c: int = 1, h: int = 4, w: int = 4, dtype: Any = np.uint8) -> Any:
    return np.arange(n * c * h * w).reshape(n, c, h, w).astype(dtype)


def collect(*args: Any, **kwargs: Any) -> list[tuple[Any, Any]]:
    return list(data.batches(*args, **kwargs))


@given(
    n=st.integers(1, 40),
    size=st.integers(1, 50),
    shuffle=st.booleans(),
    drop=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_every_image_comes_once_with_its_label(n: int, size: int, shuffle: bool, drop: bool, seed: int) -> None:
    x, y = images(n, dtype=np.float32), np.arange(n)
    found = collect(x, y, size, shuffle=shuffle, drop_last=drop, rng=seed)
    lengths = [len(labels) for _, labels in found]
    assert lengths == [size] * (n // size) + ([n % size] if n % size and not drop else [])
    for xb, yb in found:
        assert xb.dtype == np.float32 and yb.dtype == y.dtype
        np.testing.assert_array_equal(xb, x[yb])
    labels = np.concatenate([yb for _, yb in found]) if found else np.array([], int)
    assert len(np.unique(labels)) == len(labels)
    if not shuffle:
        np.testing.assert_array_equal(labels, np.arange(len(labels)))


def test_shuffling_changes_the_order_and_the_generator_decides_it() -> None:
    x, y = images(100), np.arange(100)
    rng = np.random.default_rng(3)
    first, second = collect(x, y, 100, rng=rng)[0][1], collect(x, y, 100, rng=rng)[0][1]
    assert not np.array_equal(first, second) and not np.array_equal(first, y)
    np.testing.assert_array_equal(first, collect(x, y, 100, rng=3)[0][1])
    assert len(collect(x, y, 7)) == 15


@pytest.mark.parametrize("augment", [*data.AUGMENTATIONS, None])
def test_equal_states_give_equal_batches_and_start_skips(augment: str | None) -> None:
    x, y = DIGITS.x_train[:70], DIGITS.y_train[:70]
    whole = collect(x, y, 16, rng=5, augment=augment)
    again = collect(x, y, 16, rng=np.random.default_rng(5), augment=augment)
    for start in (0, 1, 3, 5, 99):
        rng = np.random.default_rng(5)
        rest = collect(x, y, 16, rng=rng, augment=augment, start=start)
        assert len(rest) == max(0, 5 - start)
        for (xa, ya), (xb, yb) in zip(whole[start:], rest, strict=True):
            np.testing.assert_array_equal(xa, xb)
            np.testing.assert_array_equal(ya, yb)
        after = np.random.default_rng(5)
        collect(x, y, 16, rng=after, augment=augment)
        assert rng.bit_generator.state == after.bit_generator.state
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(whole, again, strict=True))


@pytest.mark.parametrize("name", data.AUGMENTATIONS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (5, 3, 9, 7), (4, 1, 1, 1), (3, 2, 1, 40)])
def test_augmentations_keep_type_shape_and_input(name: str, dtype: Any, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(1, 200, shape).astype(dtype)
    before = x.copy()
    x.setflags(write=False)
    y = data.AUGMENTATIONS[name](x, np.random.default_rng(1))
    assert y.dtype == x.dtype and y.shape == x.shape and y.flags.c_contiguous
    np.testing.assert_array_equal(x, before)


def test_shift_is_pad_and_crop() -> None:
    """Each image is one of the crops of its padded self, all of them occur, about equally often."""
    x = np.random.default_rng(0).integers(1, 255, (1, 2, 16, 8), dtype=np.uint8)
    many = np.repeat(x, 3000, axis=0)
    moved = data.AUGMENTATIONS["shift"](many, np.random.default_rng(2))
    padded = np.pad(x[0], ((0, 0), (2, 2), (1, 1)))
    crops = {padded[:, i : i + 16, j : j + 8].tobytes(): (i, j) for i in range(5) for j in range(3)}
    found = [crops[image.tobytes()] for image in moved]
    counts = np.unique(np.array(found), axis=0, return_counts=True)[1]
    assert len(counts) == 15 and counts.min() > 140 and counts.max() < 260


def test_flip_mirrors_half() -> None:
    x = np.random.default_rng(0).integers(0, 255, (2000, 1, 3, 5), dtype=np.uint8)
    y = data.AUGMENTATIONS["flip"](x, np.random.default_rng(0))
    mirrored = (y == x[..., ::-1]).all(axis=(1, 2, 3))
    same = (y == x).all(axis=(1, 2, 3))
    assert (mirrored | same).all() and 900 < mirrored.sum() < 1100


def test_own_augmentation() -> None:
    x, y = images(4), np.arange(4)
    [(xb, _)] = collect(x, y, 4, shuffle=False, augment=lambda batch, rng: 255 - batch)
    np.testing.assert_array_equal(xb, 255 - x)


def test_channel_stats_and_normalize() -> None:
    x = np.random.default_rng(0).integers(0, 256, (1100, 3, 5, 4), dtype=np.uint8)
    x[:, 2] = 7
    mean, std = data.channel_stats(x)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3)), rtol=1e-14)
    np.testing.assert_allclose(std[:2], x.std(axis=(0, 2, 3))[:2], rtol=1e-14)
    assert std[2] == 1.0 and all(type(value) is float for value in mean + std)
    z = data.normalize(x, mean, std)
    assert z.dtype == np.float32 and z.flags.c_contiguous
    np.testing.assert_allclose(z.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(axis=(0, 2, 3)), [1, 1, 0], atol=1e-5)
    z64 = data.normalize(x[:, :, ::2], mean, std, np.float64)
    assert z64.dtype == np.float64
    np.testing.assert_allclose(z64, z[:, :, ::2], atol=1e-5)
    assert data.normalize(x[:0], mean, std).shape == (0, 3, 5, 4)


def test_bad_statistics() -> None:
    x = images()
    for mean, std, rule in [
        ((0.0, 1.0), (1.0,), "one a channel"),
        ((0.0,), (1.0, 1.0), "one a channel"),
        ((0.0,), (0.0,), "> 0"),
        ((0.0,), (-1.0,), "> 0"),
        ((float("nan"),), (1.0,), "finite"),
        ((0.0,), (float("inf"),), "finite"),
    ]:
        with pytest.raises(ValueError, match=f"normalize: mean .*{rule}"):
            data.normalize(x, mean, std)
    with pytest.raises(TypeError, match="normalize: dtype must be float32 or float64, got int64"):
        data.normalize(x, (0.0,), (1.0,), np.int64)
    with pytest.raises(ValueError, match="channel_stats: x must not be empty"):
        data.channel_stats(x[:0])
    for function in (data.channel_stats, lambda value: data.normalize(value, (0.0,), (1.0,))):
        with pytest.raises(ValueError, match=r"x must have shape \(N, C, H, W\)"):
            function(x[0])
        with pytest.raises(TypeError, match="x must be an array of real numbers"):
            function(x.tolist())
        with pytest.raises(TypeError, match="real numbers, got complex128"):
            function(x.astype(complex))


@pytest.mark.parametrize(
    ("change", "error", "rule"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be >= 1, got 0"),
        ({"batch_size": -1}, ValueError, "batch_size must be >= 1, got -1"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be an integer"),
        ({"batch_size": True}, TypeError, "batch_size must be an integer"),
        ({"start": -1}, ValueError, "start must be >= 0"),
        ({"augment": "spin"}, ValueError, "augment must be one of none, shift, flip, flip-shift, got 'spin'"),
        ({"x": images(0), "y": np.arange(0)}, ValueError, "x must not be empty"),
        ({"y": np.arange(9)}, ValueError, "x and y must have the same length, got 10 and 9"),
        ({"y": list(range(10))}, TypeError, "y must be an array"),
        ({"x": images()[0], "y": np.arange(1)}, ValueError, r"x must have shape \(N, C, H, W\)"),
        ({"x": None}, TypeError, "x must be an array"),
    ],
)
def test_bad_arguments_fail_at_the_call(change: dict[str, Any], error: Any, rule: str) -> None:
    arguments = {"x": images(), "y": np.arange(10), "batch_size": 4} | change
    with pytest.raises(error, match=f"batches: {rule}"):
        data.batches(**arguments)


def test_an_epoch_of_augmented_images_costs_little() -> None:
    """60,000 images of 28x28 take some 0.05 s; a loop over images would take seconds."""
    x, y = np.zeros((60_000, 1, 28, 28), np.uint8), np.zeros(60_000, np.int64)
    start = time.process_time()
    for xb, _ in data.batches(x, y, 128, rng=0, augment="flip-shift"):
        data.normalize(xb, (0.0,), (1.0,))
    assert time.process_time() - start < 1.5


DATASET: dict[str, Any] = {
    "x_train": images(6), "y_train": np.arange(6) % 3, "x_test": images(3), "y_test": np.arange(3),
    "classes": ("a", "b", "c"), "name": "tiny",
}  # fmt: skip


def test_dataset() -> None:
    tiny = data.Dataset(**DATASET)
    assert tiny.input_shape == (1, 4, 4) and tiny.num_classes == 3
    assert str(tiny) == "tiny: 6 training and 3 test images, 1x4x4, 3 classes"
    assert "array" not in repr(tiny)
    with pytest.raises(AttributeError):
        tiny.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "error", "rule"),
    [
        ({"x_train": images(6, dtype=np.float64)}, TypeError, "x_train must be an array of uint8 or float32"),
        ({"x_train": [[1]]}, TypeError, "x_train must be an array of uint8 or float32, got list"),
        ({"x_train": images(6)[:, 0]}, ValueError, r"x_train must have shape \(N, C, H, W\)"),
        (
            {"x_train": images(0), "y_train": np.arange(0)},
            ValueError,
            "x_train must have shape .* without a 0",
        ),
        ({"x_test": images(0), "y_test": np.arange(0)}, ValueError, "x_test must have shape"),
        ({"y_train": np.arange(6.0)}, TypeError, "y_train must be an array of int64, got float64"),
        ({"y_train": np.arange(5) % 3}, ValueError, r"y_train must have shape \(6,\)"),
        ({"y_train": np.arange(6)}, ValueError, "y_train must hold labels from 0 to 2, got 5"),
        ({"y_test": np.arange(3) - 1}, ValueError, "y_test must hold labels from 0 to 2, got -1"),
        ({"x_test": images(3, 3)}, ValueError, "x_test must have images like x_train"),
        ({"x_test": images(3, dtype=np.float32)}, ValueError, "x_test must have images like x_train"),
        ({"classes": ["a", "b", "c"]}, TypeError, "classes must be a tuple of str"),
        ({"classes": ()}, ValueError, "classes must be 1 to"),
        *[
            ({"x_train": np.full((6, 1, 4, 4), value, np.float32)}, ValueError, "x_train must be finite")
            for value in (np.nan, np.inf)
        ],
    ],
)
def test_bad_datasets(change: dict[str, Any], error: Any, rule: str) -> None:
    with pytest.raises(error, match=f"Dataset: {rule}"):
        data.Dataset(**(DATASET | change))
