"""CIFAR-10 and CIFAR-100, python and binary version, as a folder or as the ``.tar.gz`` of the download."""

import gzip
import io
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pycnn.data import _pickle
from pycnn.data._dataset import Dataset, default_classes
from pycnn.io._files import describing, open_regular

_PIXELS = 3 * 32 * 32
_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_FOLDERS = ("", "cifar-10-batches-py", "cifar-100-python", "cifar-10-batches-bin", "cifar-100-binary")
_ARCHIVE_FREE = 1 << 20
_ARCHIVE_EXPANSION = 16


class _Version:
    """Files of one version: training, test and class names, and how many label bytes a binary record has."""

    def __init__(self, train: tuple[str, ...], test: str, meta: str, names: str, labels: str, skip: int) -> None:
        self.train, self.test, self.meta = train, test, meta
        self.names, self.labels, self.skip = names, labels, skip
        self.count = 10 if labels == "labels" else 100
        self.files = (*train, test, meta)


_VERSIONS = (
    _Version(_BATCHES, "test_batch", "batches.meta", "label_names", "labels", 0),
    _Version(("train",), "test", "meta", "fine_label_names", "fine_labels", 0),
    _Version(tuple(f"{b}.bin" for b in _BATCHES), "test_batch.bin", "batches.meta.txt", "", "labels", 1),
    _Version(("train.bin",), "test.bin", "fine_label_names.txt", "", "fine_labels", 2),
)


class _Source(Protocol):
    """Where files come from."""

    def has(self, name: str) -> bool: ...
    def where(self, name: str) -> str: ...
    def read(self, name: str) -> bytes: ...


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def has(self, name: str) -> bool:
        path = self._path / name
        return path.exists() and not path.is_dir()

    def where(self, name: str) -> str:
        return str(self._path / name)

    def read(self, name: str) -> bytes:
        with open_regular(self.where(name)) as file:
            return file.read()


class _Archive:
    def __init__(self, path: str) -> None:
        self._path = path
        known = {name for version in _VERSIONS for name in version.files}
        self._files: dict[str, bytes] = {}
        with describing("load", path):
            for name, data in _tar_members(path, known):
                if name in self._files:
                    raise ValueError(f"member {name} appears twice")
                self._files[name] = data

    def has(self, name: str) -> bool:
        return name in self._files

    def where(self, name: str) -> str:
        return f"{self._path}:{name}"

    def read(self, name: str) -> bytes:
        if name not in self._files:
            raise ValueError("member is missing")
        return self._files.pop(name)


def find(folder: Path) -> Callable[[], Dataset] | None:
    """Give a loader, if `folder` or its usual sub-folder holds any version; else None."""
    for below in _FOLDERS:
        source = _Folder(folder / below)
        for version in _VERSIONS:
            if source.has(version.train[0]):
                return lambda: _load(source, version, str(folder / below))
    return None


def load_archive(path: str) -> Dataset:
    """Load a ``.tar.gz`` as downloaded, without writing anything to disk."""
    source = _Archive(path)
    for version in _VERSIONS:
        if source.has(version.train[0]):
            return _load(source, version, path)
    raise ValueError(f"load: {path}: holds no CIFAR-10 or CIFAR-100 batches")


def _load(source: _Source, version: _Version, path: str) -> Dataset:
    parts = [_batch(source, version, name) for name in (*version.train, version.test)]
    train, (x_test, y_test) = parts[:-1], parts[-1]
    x_train = np.concatenate([x for x, _ in train])
    y_train = np.concatenate([y for _, y in train])
    classes = _classes(source, version)
    with describing("load", path):
        return Dataset(x_train, y_train, x_test, y_test, classes, f"cifar-{version.count}")


def _batch(source: _Source, version: _Version, name: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    with describing("load", source.where(name)):
        data = source.read(name)
        if not data:
            raise ValueError("the file is empty")
        x, y = _binary(data, version.skip) if version.skip else _python(data, version.labels)
        if y.max() >= version.count:
            raise ValueError(f"labels must be 0 to {version.count - 1}, got {y.max()}")
        return x.reshape(-1, 3, 32, 32), y


def _binary(data: bytes, skip: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Split records of `skip` label bytes, the last of which counts, and the pixels."""
    record = skip + _PIXELS
    if len(data) % record:
        raise ValueError(f"must be records of {record} bytes, got {len(data)} bytes")
    rows = np.frombuffer(data, np.uint8).reshape(-1, record)
    return rows[:, skip:], rows[:, skip - 1].astype(np.int64)


def _python(data: bytes, key: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    batch = _texts(_pickle.read(data))
    images, labels = batch.get("data"), batch.get(key)
    x = images.value if isinstance(images, _pickle.Array) else None
    if x is None or x.ndim != 2 or x.shape[1] != _PIXELS:
        raise ValueError(f"'data' must be an array of shape (N, {_PIXELS})")
    if not isinstance(labels, list) or not all(type(n) is int and 0 <= n < 256 for n in labels):
        raise ValueError(f"{key!r} must be a list of labels")
    if len(labels) != len(x):
        raise ValueError(f"{len(x)} images but {len(labels)} labels")
    return x, np.array(labels, np.int64)


def _texts(value: Any) -> dict[str, Any]:
    """Give the dictionary of a batch text keys: Python 2's byte strings may have become bytes."""
    if not isinstance(value, dict):
        raise ValueError(f"must hold a dictionary, got {type(value).__name__}")
    return {key.decode("latin-1") if isinstance(key, bytes) else key: item for key, item in value.items()}


def _classes(source: _Source, version: _Version) -> tuple[str, ...]:
    if not source.has(version.meta):
        return default_classes(f"cifar-{version.count}", version.count)
    with describing("load", source.where(version.meta)):
        data = source.read(version.meta)
        if version.skip:
            names: Any = data.decode("utf-8", "replace").split("\n")
            names = [name.strip() for name in names if name.strip()]
        else:
            names = _texts(_pickle.read(data)).get(version.names)
            if not isinstance(names, list) or not all(isinstance(name, (str, bytes)) for name in names):
                raise ValueError(f"{version.names!r} must be a list of names")
            names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names]
        if len(names) != version.count:
            raise ValueError(f"must name {version.count} classes, got {len(names)}")
        return tuple(names)


def _tar_members(path: str, known: set[str]) -> Iterator[tuple[str, bytes]]:
    """Read the members of a gzipped tar whose last path component is in `known`, in one pass.

    A tar file is blocks of 512 bytes: a header, the data of the member rounded up, and so on until a block of
    zeros. Only ordinary members count; names beyond 100 characters and every extension are passed over.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise ValueError("the file is empty")
        limit = _ARCHIVE_FREE + _ARCHIVE_EXPANSION * size
        try:
            with gzip.GzipFile(fileobj=file) as stream:
                while (header := _read(stream, 512)) != bytes(512):
                    name, size = _tar_header(header)
                    padded = -(-size // 512) * 512
                    limit -= 512 + padded
                    if limit < 0:
                        raise ValueError(f"expands to more than {_ARCHIVE_EXPANSION} times its size")
                    base = name.rsplit("/", 1)[-1]
                    if header[156:157] in (b"0", b"\0") and base in known:
                        yield base, _read(stream, padded)[:size]
                    else:
                        _skip(stream, padded)
                while chunk := stream.read(1 << 16):  # to the end, where gzip compares its checksum
                    limit -= len(chunk)
                    if chunk.strip(b"\0") or limit < 0:
                        raise ValueError("holds something after its end")
        except (gzip.BadGzipFile, EOFError, zlib.error, struct.error) as error:
            raise ValueError(f"not a whole .tar.gz: {error}") from None


def _tar_header(header: bytes) -> tuple[str, int]:
    """Name and size of a member, if the checksum is right."""
    octal = re.compile(rb"[ ]*([0-7]{1,11})[ \0]*")
    size, checksum = octal.fullmatch(header[124:136]), octal.fullmatch(header[148:156])
    if size is None or checksum is None:
        raise ValueError("not a tar archive: bad member header")
    if int(checksum[1], 8) != sum(header) - sum(header[148:156]) + 8 * 32:
        raise ValueError("not a tar archive: bad checksum in a member header")
    return header[:100].split(b"\0")[0].decode("utf-8", "replace"), int(size[1], 8)


def _read(stream: io.BufferedIOBase, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise ValueError("truncated")
    return data


def _skip(stream: io.BufferedIOBase, count: int) -> None:
    while count:
        count -= len(_read(stream, min(count, 1 << 20)))
