"""The ``.npz`` format: a zip archive of ``.npy`` arrays, read with every claim checked first.

A zip archive says three times how large a member is (central directory, the member itself, the ``.npy``
header); the bytes that come out must agree with all of them. The whole archive may expand to
64 MiB + 256 times its own size: real arrays stay far below, a "zip bomb" (deflate reaches 1,032) does not.
"""

import ast
import errno
import io
import json
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

METADATA = "__metadata__"
_SUFFIX = ".npy"
_MAX_NAME = 1000
_MAX_HEADER = 10_000
_MAX_MEMBERS = 100_000
_FREE_EXPANSION = 64 << 20
_EXPANSION = 256
_CHUNK = 1 << 20
_ENCRYPTED = 0x1

# What zipfile and zlib raise on damaged archives, besides ValueError.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, OverflowError)

Check = Callable[[Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]], None]
Arrays = dict[str, npt.NDArray[Any]]


def check_name(what: str, name: str) -> None:
    """Raise ValueError unless `name` can be the name of an array in every format."""
    if not name or name == METADATA:
        raise ValueError(f"{what} must not be empty or {METADATA!r}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} must be valid Unicode") from None
    if size > _MAX_NAME:
        raise ValueError(f"{what} must be at most {_MAX_NAME} bytes, got {size}")
    if "\\" in name or "\0" in name or name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"{what} must not hold a backslash, NUL, a leading '/' or a '..' part")


def expansion_limit(size: int) -> int:
    """Bytes to which a compressed file of `size` bytes may expand."""
    return _FREE_EXPANSION + _EXPANSION * size


def write(file: BinaryIO, arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write an uncompressed archive; the same arrays give the same bytes (no time of day in it)."""
    entries = dict(arrays)
    if metadata:
        text = json.dumps(dict(sorted(metadata.items())), ensure_ascii=False)
        entries[METADATA] = np.frombuffer(text.encode(), np.uint8)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in entries.items():
            info = zipfile.ZipInfo(name + _SUFFIX)
            info.create_system, info.external_attr = 3, 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read(
    file: BinaryIO, kinds: str = "biuf", only: Collection[str] | None = None, check: Check | None = None
) -> Arrays:
    """Read all arrays of an archive except the metadata.

    `kinds` are the accepted NumPy kind letters; `only`, if given, the names to read of those that are there.
    `check`, if given, sees ``{name: (shape, dtype)}`` before any array is allocated and may raise ValueError.
    """
    with _opened(file) as archive:
        members = _members(archive, file)
        members.pop(METADATA, None)
        if only is not None:
            members = {name: info for name, info in members.items() if name in only}
        headers = {name: _header(archive, info, kinds) for name, info in members.items()}
        if check is not None:
            check({name: (header[0], header[1]) for name, header in headers.items()})
        return {name: _array(archive, info, headers[name]) for name, info in members.items()}


def read_metadata(file: BinaryIO) -> dict[str, str]:
    """Read the notes only."""
    with _opened(file) as archive:
        info = _members(archive, file).get(METADATA)
        if info is None:
            return {}
        header = _header(archive, info, "u")
        if header[1] != np.uint8 or len(header[0]) != 1:
            raise ValueError(f"{METADATA} must be a row of uint8, got {header[1]} {header[0]}")
        return _notes(_array(archive, info, header).tobytes())


def _notes(data: bytes) -> dict[str, str]:
    """JSON bytes of one object of text values."""
    notes = parse_json(METADATA, data)
    if not isinstance(notes, dict) or not all(isinstance(value, str) for value in notes.values()):
        raise ValueError(f"{METADATA} must be a JSON object of strings")
    return notes


def parse_json(what: str, data: bytes) -> Any:
    """Parse JSON of unknown origin; repeated keys, NaN, bad UTF-8 and endless nesting are ValueErrors."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is not JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"{what} is JSON nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"JSON key {repeated[:100]!r} appears twice")
    return result


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"JSON must not hold {text}")


class _opened:
    """`zipfile.ZipFile` over `file`, whose many kinds of complaint become ValueErrors."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __enter__(self) -> zipfile.ZipFile:
        if self._file.seek(0, io.SEEK_END) == 0:
            raise ValueError("the file is empty")
        try:
            return zipfile.ZipFile(self._file)
        except (*_DAMAGE, OSError) as error:
            raise _damage("not a whole zip archive", error) from None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (*_DAMAGE, OSError)):
            raise _damage("damaged zip archive", error) from None


def _damage(what: str, error: BaseException) -> BaseException:
    """Make a ValueError, but an error of the disk stays what it is (a damaged offset shows as EINVAL)."""
    if isinstance(error, OSError) and error.errno != errno.EINVAL:
        return error
    return ValueError(f"{what}: {error}")


def _members(archive: zipfile.ZipFile, file: BinaryIO) -> dict[str, zipfile.ZipInfo]:
    """Index the members by array name, after every check that needs no decompression."""
    infos = archive.infolist()
    if len(infos) > _MAX_MEMBERS:
        raise ValueError(f"at most {_MAX_MEMBERS} arrays, got {len(infos)}")
    size = file.seek(0, io.SEEK_END)
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.orig_filename
        if not name.endswith(_SUFFIX):
            raise ValueError(f"member {name[:100]!r} must end in {_SUFFIX}")
        key = name.removesuffix(_SUFFIX)
        if key != METADATA:
            check_name(f"member {name[:100]!r}", key)
        if key in members:
            raise ValueError(f"member {name!r} appears twice")
        members[key] = info
        _check_sizes(name, info)
    _check_apart(infos, archive.start_dir)
    total, limit = sum(info.file_size for info in infos), expansion_limit(size)
    if total > limit:
        raise ValueError(f"expands to {total} bytes, at most {limit} for an archive of {size} bytes")
    return members


def _check_sizes(name: str, info: zipfile.ZipInfo) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise ValueError(f"member {name!r} is encrypted")
    if info.compress_type == zipfile.ZIP_STORED:
        if info.file_size != info.compress_size:
            raise ValueError(f"member {name!r} is stored but claims two sizes")
    elif info.compress_type != zipfile.ZIP_DEFLATED:
        raise ValueError(f"member {name!r} must be stored or deflated, got method {info.compress_type}")


def _check_apart(infos: list[zipfile.ZipInfo], end: int) -> None:
    """Members that share bytes would expand one block many times."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    bounds = [info.header_offset for info in ordered[1:]] + [end]
    for info, bound in zip(ordered, bounds, strict=False):
        # A local header is 30 bytes and the name.
        if info.header_offset < 0 or info.header_offset + 30 + info.compress_size > bound:
            raise ValueError(f"member {info.orig_filename!r} overlaps what follows it")


Header = tuple[tuple[int, ...], np.dtype[Any], bool, int]


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, kinds: str) -> Header:
    """Shape, type, Fortran order and length of the ``.npy`` header; its data must fill the member."""
    what = f"member {info.orig_filename!r}"
    with archive.open(info) as member:
        start = _exactly(what, member, 10)
        version = start[6]
        if start[:6] != b"\x93NUMPY" or version not in (1, 2, 3):
            raise ValueError(f"{what} is not an .npy array of version 1 to 3")
        if version == 1:
            length, skip = struct.unpack("<H", start[8:10])[0], 10
        else:
            length, skip = struct.unpack("<I", start[8:10] + _exactly(what, member, 2))[0], 12
        if length > _MAX_HEADER:
            raise ValueError(f"{what}: header of {length} bytes, at most {_MAX_HEADER}")
        text = _exactly(what, member, length).decode("latin-1" if version < 3 else "utf-8", "replace")
    shape, dtype, fortran = _parse_header(what, text, kinds)
    expected = array_bytes(what, shape, dtype.itemsize)
    if info.file_size != skip + length + expected:
        found = info.file_size - skip - length
        raise ValueError(f"{what}: {shape} of {dtype} needs {expected} bytes, has {found}")
    return shape, dtype, fortran, skip + length


def _parse_header(what: str, text: str, kinds: str) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    try:
        header = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError(f"{what}: header is not a dictionary of constants") from None
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise ValueError(f"{what}: header must have descr, fortran_order and shape")
    descr, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
    if not isinstance(fortran, bool):
        raise ValueError(f"{what}: fortran_order must be True or False")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{what}: shape must be a tuple of sizes >= 0")
    if isinstance(descr, str) and "O" in descr:
        raise ValueError(f"{what}: object arrays hold pickled code and are never read")
    if not isinstance(descr, str) or not re.fullmatch(r"[<>|=]?(b1|[iu][1248]|f[248]|U[0-9]{1,4})", descr):
        raise ValueError(f"{what}: type must be a number of at most 8 bytes, got {str(descr)[:100]!r}")
    dtype = np.dtype(descr)
    if dtype.kind not in kinds:
        raise ValueError(f"{what}: {dtype} is not accepted here")
    return shape, dtype, fortran


def array_bytes(what: str, shape: tuple[int, ...], itemsize: int) -> int:
    """Bytes of an array, in exact integers; ValueError where NumPy could not hold the shape."""
    count = bound = itemsize
    for n in shape:
        count, bound = count * n, bound * max(n, 1)
        if bound > 2**63 - 1 or len(shape) > 32:
            raise ValueError(f"{what}: shape {str(shape)[:200]} is too large")
    return count


def _exactly(what: str, member: IO[bytes], count: int) -> bytes:
    data = member.read(count)
    if len(data) != count:
        raise ValueError(f"{what} is truncated")
    return data


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: Header) -> npt.NDArray[Any]:
    shape, dtype, fortran, skip = header
    what = f"member {info.orig_filename!r}"
    flat = np.empty(array_bytes(what, shape, dtype.itemsize), np.uint8)
    view = flat.data
    with archive.open(info) as member:
        _exactly(what, member, skip)
        for begin in range(0, flat.size, _CHUNK):
            count = min(_CHUNK, flat.size - begin)
            view[begin : begin + count] = _exactly(what, member, count)
        if member.read(1):  # also makes zipfile compare the checksum
            raise ValueError(f"{what} is longer than it claims")
    if dtype.kind == "b":
        flat = (flat != 0).view(np.uint8)  # a byte other than 0 and 1 is no valid bool in memory
    array = flat.view(dtype) if flat.size else np.empty(0, dtype)
    array = array.reshape(shape, order="F" if fortran else "C")
    return np.asarray(array, dtype=dtype.newbyteorder("="), order="C")
