"""The ``.safetensors`` format: 8 bytes of header length, a JSON header, and the data without holes.

The header is checked here before the ``safetensors`` package sees the file: the package refuses bad files
too, but not always with a message that says what is wrong.
"""

import importlib
import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pycnn.io._npz import METADATA, array_bytes, parse_json

_MAX_HEADER = 100_000_000

_TYPES: dict[str, str] = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            '.safetensors files need the package safetensors: pip install "pycnn[train]" (or use .npz)'
        ) from error


def dump(arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """Give the bytes of a file that holds `arrays` (C-contiguous, little-endian) and `metadata`."""
    blob: bytes = _package("safetensors.numpy").save(dict(arrays))
    if not metadata:
        return blob
    # The package writes metadata in the order of a hash table, another one at each run: put it in by hand.
    length = struct.unpack("<Q", blob[:8])[0]
    notes = json.dumps({METADATA: dict(sorted(metadata.items()))}, ensure_ascii=False).encode()
    header = blob[8 : 8 + length].strip()
    header = notes if header == b"{}" else notes[:-1] + b"," + header[1:]
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + blob[8 + length :]


def parse(blob: bytes) -> dict[str, npt.NDArray[Any]]:
    """Give the arrays of a file, in the order of their names in the header."""
    if len(blob) < 8:
        raise ValueError("the file is empty" if not blob else f"truncated: {len(blob)} bytes, at least 8")
    length = _header_length(blob[:8], len(blob))
    entries, _ = _parse_header(blob[8 : 8 + length])
    _check_layout(entries, len(blob) - 8 - length)
    package = _package("safetensors")
    try:
        tensors = dict(package.deserialize(blob))
    except Exception as error:  # the package's own error type derives from Exception alone
        raise ValueError(f"refused by safetensors: {error}") from error
    return {name: _array(*entry[:2], tensors[name]["data"]) for name, entry in entries.items()}


def parse_metadata(file: BinaryIO) -> dict[str, str]:
    """Give the notes of a file; only the header is read."""
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(8)
    if len(start) < 8:
        raise ValueError("the file is empty" if not start else f"truncated: {len(start)} bytes, at least 8")
    length = _header_length(start, size)
    header = file.read(length)
    entries, notes = _parse_header(header)
    _check_layout(entries, size - 8 - length)
    return notes


def _header_length(start: bytes, size: int) -> int:
    length: int = struct.unpack("<Q", start)[0]
    if length > _MAX_HEADER:
        raise ValueError(f"header of {length} bytes, at most {_MAX_HEADER}")
    if length > size - 8:
        raise ValueError(f"truncated: header of {length} bytes in a file of {size}")
    return length


Entry = tuple[str, tuple[int, ...], int, int]


def _parse_header(data: bytes) -> tuple[dict[str, Entry], dict[str, str]]:
    """Give the entries by name as (type, shape, begin, end), and the metadata."""
    if not data.startswith(b"{"):
        raise ValueError("header must begin with '{'")
    header = parse_json("header", data)
    notes = header.pop(METADATA, {})
    if not isinstance(notes, dict) or not all(isinstance(value, str) for value in notes.values()):
        raise ValueError(f"{METADATA} must map names to text")
    return {name: _entry(f"tensor {name[:100]!r}", value) for name, value in header.items()}, notes


def _entry(what: str, value: Any) -> Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{what} must have dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _TYPES:
        raise ValueError(f"{what}: dtype must be one of {', '.join(_TYPES)}, got {str(dtype)[:100]!r}")
    if not _sizes(shape):
        raise ValueError(f"{what}: shape must be a list of sizes >= 0")
    if not _sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"{what}: data_offsets must be two positions in order")
    expected = array_bytes(what, tuple(shape), np.dtype(_TYPES[dtype]).itemsize)
    if offsets[1] - offsets[0] != expected:
        raise ValueError(f"{what}: {dtype} {shape} needs {expected} bytes, has {offsets[1] - offsets[0]}")
    return dtype, tuple(shape), offsets[0], offsets[1]


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _check_layout(entries: Mapping[str, Entry], size: int) -> None:
    """Insist that the tensors cover the data exactly: no overlap, no hole, nothing behind them."""
    position = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != position:
            fault = "overlaps another" if begin < position else "leaves a hole before it"
            raise ValueError(f"tensor {name[:100]!r} {fault}: begins at {begin}, expected {position}")
        position = end
    if position != size:
        fault = "truncated" if position > size else "bytes left over"
        raise ValueError(f"{fault}: the tensors need {position} bytes of data, the file has {size}")


def _array(dtype: str, shape: tuple[int, ...], data: bytes | bytearray) -> npt.NDArray[Any]:
    raw = np.frombuffer(data, _TYPES[dtype]) if len(data) else np.empty(0, _TYPES[dtype])
    if dtype == "BF16":  # the upper half of a float32
        raw = (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
    elif dtype == "F16":
        raw = raw.astype(np.float32)
    elif dtype == "BOOL":  # a byte other than 0 and 1 is no valid bool in memory
        raw = raw.view(np.uint8) != 0
    raw = raw.astype(raw.dtype.newbyteorder("="), copy=not raw.flags.writeable)
    return raw.reshape(shape)
