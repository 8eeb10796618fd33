"""MNIST-style IDX files, gzipped or not.

A file is the bytes 0, 0, 8 (unsigned bytes) and the number of axes; each axis as a big-endian 32-bit number;
the data. Nothing else may be in it.
"""

import gzip
import io
import math
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pycnn.data._dataset import Dataset, default_classes
from pycnn.io._files import describing, open_regular
from pycnn.io._npz import expansion_limit

_PARTS = (("train", "train"), ("test", "t10k"))
_FOLDERS = ("", "raw", "MNIST/raw", "FashionMNIST/raw")
_CHUNK = 1 << 20


def find(folder: Path) -> Callable[[], Dataset] | None:
    """Give a loader, if `folder` (or where torchvision puts them) holds the training images; else None."""
    for below in _FOLDERS:
        if _file(folder / below, "train-images", 3).exists():
            return lambda: _load(folder / below, folder.resolve().name)
    return None


def _load(folder: Path, name: str) -> Dataset:
    parts: dict[str, npt.NDArray[Any]] = {}
    for part, prefix in _PARTS:
        images, labels = _file(folder, f"{prefix}-images", 3), _file(folder, f"{prefix}-labels", 1)
        parts[f"x_{part}"] = read(images, 3)[:, None]
        parts[f"y_{part}"] = read(labels, 1).astype(np.int64)
        if len(parts[f"x_{part}"]) != len(parts[f"y_{part}"]):
            found = len(parts[f"y_{part}"])
            raise ValueError(f"load: {labels}: {len(parts[f'x_{part}'])} images but {found} labels")
    classes = default_classes(name, int(parts["y_train"].max()) + 1)
    with describing("load", str(folder)):
        return Dataset(**parts, classes=classes, name=name)


def _file(folder: Path, stem: str, axes: int) -> Path:
    """Find the path of a file under any of its usual names; the plainest if there is none."""
    names = [f"{stem}{dash}idx{axes}-ubyte{suffix}" for dash in "-." for suffix in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).exists()), folder / names[0])


def read(path: str | os.PathLike[str], axes: int) -> npt.NDArray[np.uint8]:
    """Read one file of unsigned bytes with `axes` axes, none of them empty."""
    with describing("load", os.fspath(path)), open_regular(os.fspath(path)) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if not os.fspath(path).endswith(".gz"):
            return _parse(file, axes, size, exact=True)
        try:
            with gzip.GzipFile(fileobj=file) as stream:
                return _parse(stream, axes, expansion_limit(size), exact=False)
        except (gzip.BadGzipFile, EOFError, zlib.error, struct.error) as error:
            raise ValueError(f"not a whole gzip file: {error}") from None


def _parse(file: BinaryIO | gzip.GzipFile, axes: int, limit: int, *, exact: bool) -> npt.NDArray[np.uint8]:
    """Read header and data; `limit` is the size of the file, or for gzip the most it may expand to."""
    length = 4 + 4 * axes
    header = file.read(length)
    if len(header) < length:
        raise ValueError("the file is empty" if not header else f"truncated: a header has {length} bytes")
    if header[:4] != bytes((0, 0, 8, axes)):
        raise ValueError(f"must begin with bytes 0 0 8 {axes} (IDX, unsigned bytes), got {list(header[:4])}")
    shape = struct.unpack(f">{axes}I", header[4:])
    needed = math.prod(shape)
    if needed == 0:
        raise ValueError(f"must hold at least one value, got shape {shape}")
    if length + needed > limit:
        raise ValueError(f"shape {shape} needs {length + needed} bytes, there are at most {limit}")
    if exact and length + needed < limit:
        raise ValueError(f"shape {shape} needs {length + needed} bytes, the file has {limit}")
    data = np.empty(needed, np.uint8)
    for begin in range(0, needed, _CHUNK):
        chunk = file.read(min(_CHUNK, needed - begin))
        if len(chunk) != min(_CHUNK, needed - begin):
            raise ValueError(f"truncated: shape {shape} needs {length + needed} bytes")
        data[begin : begin + len(chunk)] = np.frombuffer(chunk, np.uint8)
    if file.read(1):  # at the end gzip also compares the checksum
        raise ValueError(f"holds more than the {length + needed} bytes of shape {shape}")
    return data.reshape(shape)
