"""Data sets in one ``.npz`` file."""

import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycnn import data

RNG = np.random.default_rng(0)


def arrays(shape: tuple[int, ...] = (4, 6), dtype: Any = np.uint8, **more: Any) -> dict[str, Any]:
    """The four arrays; images of `shape`, six to train and three to test."""
    parts = {
        "x_train": RNG.integers(0, 256, (6, *shape)).astype(dtype),
        "y_train": np.array([0, 1, 2, 0, 1, 2], np.uint8),
        "x_test": RNG.integers(0, 256, (3, *shape)).astype(dtype),
        "y_test": np.array([2, 1, 0], np.uint8),
    }
    return parts | more


def saved(path: Path, parts: dict[str, Any], compressed: bool = True) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **parts)
    return path


@pytest.mark.parametrize(
    ("shape", "data_format", "expected"),
    [
        ((4, 6), None, (1, 4, 6)),
        ((4, 6), "NHWC", (1, 4, 6)),
        ((3, 8, 9), None, (3, 8, 9)),
        ((8, 9, 3), None, (3, 8, 9)),
        ((8, 9, 1), None, (1, 8, 9)),
        ((1, 8, 9), None, (1, 8, 9)),
        ((12, 32, 32), None, (12, 32, 32)),
        ((3, 3, 3), None, (3, 3, 3)),
        ((3, 32, 3), None, (3, 32, 3)),
        ((64, 8, 8), None, (8, 64, 8)),  # where the rule goes wrong
        ((64, 8, 8), "NCHW", (64, 8, 8)),
        ((3, 4, 5), "NHWC", (5, 3, 4)),
    ],
)
def test_axes(shape: tuple[int, ...], data_format: str | None, expected: tuple[int, ...], tmp_path: Path) -> None:
    parts = arrays(shape)
    found = data.load(saved(tmp_path / "set.npz", parts), data_format=data_format)
    assert found.input_shape == expected and found.name == "set" and found.classes == ("0", "1", "2")
    last = len(shape) == 3 and expected != shape
    for name in ("x_train", "x_test"):
        x = np.moveaxis(parts[name], 3, 1) if last else parts[name].reshape(-1, *expected)
        np.testing.assert_array_equal(getattr(found, name), x)
        assert getattr(found, name).flags.c_contiguous
    np.testing.assert_array_equal(found.y_test, [2, 1, 0])


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (np.array([0, 255], np.uint8), np.array([0, 255], np.uint8)),
        (np.array([0, 255], np.int64), np.array([0, 255], np.uint8)),
        (np.array([0, 255], ">i2"), np.array([0, 255], np.uint8)),
        (np.array([False, True]), np.array([0, 255], np.uint8)),
        (np.array([0, 256], np.int16), np.array([0, 256], np.float32)),
        (np.array([-1, 1], np.int8), np.array([-1, 1], np.float32)),
        (np.array([0.5, 2], np.float64), np.array([0.5, 2], np.float32)),
        (np.array([0.5, 2], np.float16), np.array([0.5, 2], np.float32)),
        (np.array([0.5, 2], np.float32), np.array([0.5, 2], np.float32)),
    ],
)
def test_types(images: Any, expected: Any, tmp_path: Path) -> None:
    x = np.broadcast_to(images, (3, 2, 2)).copy()
    parts = {
        "x_train": x,
        "y_train": np.zeros((3, 1), np.int32),
        "x_test": x,
        "y_test": np.zeros(3, np.uint64),
    }
    found = data.load(saved(tmp_path / "set.npz", parts, compressed=False))
    assert found.x_train.dtype == expected.dtype and found.y_train.dtype == np.int64
    np.testing.assert_array_equal(found.x_train[0, 0, 0], expected)


def test_parts_agree_on_a_type(tmp_path: Path) -> None:
    """A test part that happens to fit 0..255 follows a training part that does not."""
    parts = arrays(dtype=np.int16)
    parts["x_train"][0] = 300
    found = data.load(saved(tmp_path / "set.npz", parts))
    assert found.x_train.dtype == found.x_test.dtype == np.float32


def test_classes_and_other_entries(tmp_path: Path) -> None:
    parts = arrays(classes=np.array(["cat", "Hündin", "eel"]), x_val=np.zeros((2, 2)), notes=np.array("hi"))
    assert data.load(saved(tmp_path / "set.npz", parts)).classes == ("cat", "Hündin", "eel")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "two axes": ({"x_train": np.zeros((6, 4))}, "x_train must be numbers of shape"),
    "five axes": ({"x_test": np.zeros((3, 4, 6, 1, 1))}, "x_test must be numbers of shape"),
    "text": ({"x_train": np.full((6, 4, 6), "a")}, "x_train must be numbers"),
    "complex": ({"x_train": np.zeros((6, 4, 6), complex)}, "type must be a number"),
    "objects": ({"x_train": np.full((6, 4, 6), None)}, "object arrays hold pickled code"),
    "no images": ({"x_train": np.zeros((0, 4, 6)), "y_train": np.zeros(0, int)}, "without a 0"),
    "other size": ({"x_test": np.zeros((3, 4, 5))}, "images of one shape"),
    "other type": ({"y_train": np.zeros(6)}, "y_train must be integers of shape (6,), got float64"),
    "one-hot": ({"y_train": np.zeros((6, 3), int)}, "y_train must be integers of shape (6,)"),
    "fewer labels": ({"y_test": np.zeros(2, int)}, "y_test must be integers of shape (3,)"),
    "label -1": ({"y_test": np.array([0, -1, 0])}, "y_test must hold labels from 0 to 2, got -1"),
    "label 2**63": ({"y_test": np.array([0, 2**63, 0], np.uint64)}, "labels"),
    "label 10**9": ({"y_test": np.array([0, 10**9, 0])}, "labels must be below 65536"),
    "NaN": ({"x_train": np.full((6, 4, 6), np.nan)}, "x_train must be finite"),
    "too large for float32": ({"x_train": np.full((6, 4, 6), 1e300)}, "x_train must be finite"),
    "too few classes": ({"classes": np.array(["a", "b"])}, "labels from 0 to 1, got 2"),
    "classes are numbers": ({"classes": np.arange(3)}, "classes must be a row of text"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_sets(case: str, tmp_path: Path) -> None:
    change, rule = BAD[case]
    path = saved(tmp_path / "set.npz", arrays() | change)
    with pytest.raises(ValueError, match=r"load: .*set\.npz: ") as caught:
        data.load(path)
    assert rule in str(caught.value)


@pytest.mark.parametrize("name", ["x_train", "y_train", "x_test", "y_test"])
def test_missing_array(name: str, tmp_path: Path) -> None:
    parts = arrays()
    del parts[name]
    with pytest.raises(ValueError, match=rf"set\.npz: must hold x_train, .*; lacks {name}"):
        data.load(saved(tmp_path / "set.npz", parts))


def test_shapes_are_checked_before_anything_is_allocated(tmp_path: Path) -> None:
    path = saved(tmp_path / "set.npz", arrays() | {"x_train": np.zeros((5, 1000, 1000))})
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"y_train must be integers of shape \(5,\)"):
        data.load(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("compressed", [True, False])
def test_cut_at_every_byte_and_mutants(compressed: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "set.npz", arrays((2, 2)), compressed)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"set\.npz"):
            data.load(path)
    draw, loaded = random.Random(0), 0
    for _ in range(800):
        changed = bytearray(content)
        changed[draw.randrange(len(content))] = draw.randrange(256)
        path.write_bytes(changed)
        try:
            data.load(path)
            loaded += 1
        except ValueError as error:
            assert str(path) in str(error)
    assert loaded > 10


def test_options_are_checked(tmp_path: Path) -> None:
    path = saved(tmp_path / "set.npz", arrays())
    with pytest.raises(ValueError, match="load: data_format must be 'NCHW' or 'NHWC', got 'HWCN'"):
        data.load(path, data_format="HWCN")
    assert data.load(str(path)).name == "set"
    (tmp_path / "dir.npz").mkdir()
    with pytest.raises(ValueError, match="no data set found"):
        data.load(tmp_path / "dir.npz")
