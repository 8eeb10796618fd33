"""MNIST-style IDX folders."""

import gzip
import os
import random
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycnn import data

FASHION = Path("/usr/share/datasets/fashion-mnist")
X = np.random.default_rng(0).integers(0, 256, (9, 3, 2), dtype=np.uint8)
Y = np.arange(9, dtype=np.uint8) % 4
STEMS = {
    "train-images-idx3-ubyte": X,
    "train-labels-idx1-ubyte": Y,
    "t10k-images-idx3-ubyte": X[:4],
    "t10k-labels-idx1-ubyte": Y[:4],
}


def idx(array: Any) -> bytes:
    data: bytes = array.tobytes()
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + data


def write(folder: Path, suffix: str = "", dash: str = "-") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in STEMS.items():
        content = gzip.compress(idx(array), mtime=0) if suffix == ".gz" else idx(array)
        (folder / (stem.replace("-idx", f"{dash}idx") + suffix)).write_bytes(content)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dash", ["-", "."])
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw", "FashionMNIST/raw"])
def test_folders(suffix: str, dash: str, below: str, tmp_path: Path) -> None:
    write(tmp_path / "mnist" / below, suffix, dash)
    found = data.load(tmp_path / "mnist")
    np.testing.assert_array_equal(found.x_train, X[:, None])
    np.testing.assert_array_equal(found.y_train, Y)
    np.testing.assert_array_equal(found.x_test, X[:4, None])
    np.testing.assert_array_equal(found.y_test, Y[:4])
    assert found.classes == ("0", "1", "2", "3") and found.name == "mnist"


def test_names_of_fashion_mnist(tmp_path: Path) -> None:
    assert data.load(write(tmp_path / "Fashion-MNIST")).classes[1] == "Trouser"


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_real_fashion_mnist() -> None:
    found = data.load(FASHION)
    assert str(found) == "fashion-mnist: 60,000 training and 10,000 test images, 1x28x28, 10 classes"
    assert found.classes[9] == "Ankle boot"
    assert (np.bincount(found.y_train) == 6000).all() and (np.bincount(found.y_test) == 1000).all()
    np.testing.assert_allclose(data.channel_stats(found.x_train), [[72.94], [90.02]], atol=0.01)


HEADER = struct.Struct(">4B3I")
BAD = {
    "empty": (b"", "the file is empty"),
    "header cut": (idx(X)[:15], "truncated"),
    "labels as images": (idx(Y) + bytes(20), "must begin with bytes 0 0 8 3"),
    "floats": (HEADER.pack(0, 0, 13, 3, 9, 3, 2) + bytes(54 * 4), "must begin with bytes 0 0 8 3"),
    "little-endian": (bytes((0, 0, 8, 3)) + struct.pack("<3I", 9, 3, 2) + X.tobytes(), "needs"),
    "no image": (HEADER.pack(0, 0, 8, 3, 0, 3, 2), "at least one value"),
    "empty image": (HEADER.pack(0, 0, 8, 3, 9, 0, 2), "at least one value"),
    "2**96 bytes": (HEADER.pack(0, 0, 8, 3, *[2**32 - 1] * 3) + X.tobytes(), "needs"),
    "a gigabyte": (HEADER.pack(0, 0, 8, 3, 2**20, 32, 32) + X.tobytes(), ""),
    "too short": (idx(X)[:-1], ""),
    "too long": (idx(X) + b"\0", ""),
    "other count than labels": (idx(X[:8]), "8 images but 9 labels"),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("case", BAD)
def test_bad_files(case: str, suffix: str, tmp_path: Path) -> None:
    content, rule = BAD[case]
    write(tmp_path, suffix)
    name = f"train-images-idx3-ubyte{suffix}"
    (tmp_path / name).write_bytes(gzip.compress(content) if suffix and content else content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"load: .*train-(images|labels)") as caught:
        data.load(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rule in str(caught.value) and peak < 1 << 20


def test_gzip_bomb(tmp_path: Path) -> None:
    write(tmp_path, ".gz")
    bomb = gzip.compress(HEADER.pack(0, 0, 8, 3, 150, 1024, 1024) + bytes(150 << 20), 9)
    longer = gzip.compress(idx(X) + bytes(100 << 20), 9)
    for content, rule in ((bomb, "there are at most"), (longer, "holds more than")):
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
        tracemalloc.start()
        with pytest.raises(ValueError, match=rule):
            data.load(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_cut_at_every_byte_and_mutants(suffix: str, tmp_path: Path) -> None:
    write(tmp_path, suffix)
    path = tmp_path / f"train-images-idx3-ubyte{suffix}"
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=path.name):
            data.load(tmp_path)
    draw = random.Random(0)
    for _ in range(1000):
        changed = bytearray(content)
        changed[draw.randrange(min(30, len(content)))] = draw.randrange(256)
        changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        try:
            assert data.load(tmp_path).x_train.shape[1] == 1
        except ValueError as error:
            assert str(tmp_path) in str(error)


def test_missing_parts_and_odd_paths(tmp_path: Path) -> None:
    write(tmp_path / "a")
    (tmp_path / "a" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels-idx1-ubyte"):
        data.load(tmp_path / "a")
    (tmp_path / "a" / "t10k-labels-idx1-ubyte").mkdir()
    with pytest.raises(IsADirectoryError, match="t10k-labels-idx1-ubyte"):
        data.load(tmp_path / "a")
    write(tmp_path / "b", ".gz")
    (tmp_path / "b" / "train-images-idx3-ubyte.gz").write_bytes(idx(X))
    with pytest.raises(ValueError, match="not a whole gzip file"):
        data.load(tmp_path / "b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_paths_that_hold_no_data(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        data.load(tmp_path / "nothing-here")
    with pytest.raises(ValueError, match=r"load: .*no data set found; expected MNIST-style IDX"):
        data.load(tmp_path)
    (tmp_path / "x.csv").write_text("a,b")
    with pytest.raises(ValueError, match=r"load: .*x\.csv: not a data set"):
        data.load(tmp_path / "x.csv")
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(OSError, match=r"pipe\.npz"):
        data.load(tmp_path / "pipe.npz")
    with pytest.raises(TypeError, match="load: path must be str or path-like"):
        data.load(3)  # type: ignore[arg-type]
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    with pytest.raises(OSError, match="train-images"):
        data.load(tmp_path)
