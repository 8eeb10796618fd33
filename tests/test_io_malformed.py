"""Model files that are damaged or made to do harm: one ValueError that names the path, and nothing else."""

import io as stdio
import json
import random
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycnn import io


def safetensors_file(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


SAFETENSORS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "seven bytes": (b"\0" * 7, "truncated"),
    "no header": (b"\0" * 8, "begin with"),
    "header beyond the file": (struct.pack("<Q", 3) + b"{}", "truncated: header of 3 bytes"),
    "header over the cap": (struct.pack("<Q", 100_000_001) + b"{}", "at most 100000000"),
    "header of 2**64 - 1": (b"\xff" * 8 + b"{}", "at most 100000000"),
    "not JSON": (safetensors_file(b"{nonsense}"), "not JSON"),
    "spaces first": (safetensors_file(b" {}"), "begin with"),
    "a list": (safetensors_file(b"[]"), "begin with"),
    "two objects": (safetensors_file(b"{}{}"), "not JSON"),
    "not UTF-8": (safetensors_file(b'{"\xff": 1}'), "not UTF-8"),
    "NaN": (safetensors_file(b'{"a": NaN}'), "must not hold NaN"),
    "a long number": (safetensors_file(b'{"a": ' + b"9" * 5000 + b"}"), ""),
    "same key twice": (
        safetensors_file(b'{"a":%b,"a":%b}' % ((json.dumps(tensor()).encode(),) * 2), bytes(8)),
        "key 'a' appears twice",
    ),
    "same inner key twice": (safetensors_file(b'{"a":{"dtype":"F32","dtype":"F64"}}'), "key 'dtype' appears"),
    "deep": (safetensors_file(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
    "deep and open": (safetensors_file(b'{"a":' * 100_000), "nested too deeply"),
    "entry is a number": (safetensors_file({"a": 3}), "must have dtype, shape"),
    "entry lacks shape": (safetensors_file({"a": {"dtype": "F32"}}), "must have dtype, shape"),
    "entry has more": (safetensors_file({"a": tensor() | {"x": 1}}, bytes(8)), "must have dtype, shape"),
    "unknown type": (safetensors_file({"a": tensor("F8_E4M3")}, bytes(8)), "dtype must be one of BOOL"),
    "type is no text": (safetensors_file({"a": tensor([])}, bytes(8)), "dtype must be one of"),  # type: ignore[arg-type]
    "shape is no list": (
        safetensors_file({"a": {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}}, bytes(8)),
        "shape must be a list",
    ),
    "shape of -1": (
        safetensors_file({"a": tensor(shape=[-2, -1])}, bytes(8)),
        "shape must be a list of sizes",
    ),
    "shape of 2.0": (safetensors_file({"a": tensor(shape=[2.0])}, bytes(8)), "shape must be a list of sizes"),
    "shape of true": (safetensors_file({"a": tensor(shape=[True, 2])}, bytes(8)), "shape must be a list of"),
    "shape overflows": (safetensors_file({"a": tensor(shape=[2**33, 2**33])}, bytes(8)), "is too large"),
    "shape overflows to 0": (safetensors_file({"a": tensor(shape=[2**64])}, b""), "is too large"),
    "empty but impossible": (
        safetensors_file({"a": tensor(shape=[0, 2**62, 2**62], offsets=[0, 0])}),
        "is too large",
    ),
    "65 axes": (safetensors_file({"a": tensor(shape=[1] * 65, offsets=[0, 4])}, bytes(4)), "is too large"),
    "offsets backwards": (
        safetensors_file({"a": tensor(offsets=[8, 0])}, bytes(8)),
        "two positions in order",
    ),
    "offset negative": (safetensors_file({"a": tensor(offsets=[-8, 0])}, bytes(8)), "two positions in order"),
    "three offsets": (safetensors_file({"a": tensor(offsets=[0, 4, 8])}, bytes(8)), "two positions in order"),
    "shape and bytes differ": (safetensors_file({"a": tensor(shape=[3])}, bytes(8)), "needs 12 bytes, has 8"),
    "data too short": (safetensors_file({"a": tensor()}, bytes(7)), "truncated: the tensors need 8 bytes"),
    "data too long": (safetensors_file({"a": tensor()}, bytes(9)), "bytes left over"),
    "far offset": (safetensors_file({"a": tensor(offsets=[2**62, 2**62 + 8])}, bytes(8)), "leaves a hole"),
    "overlap": (
        safetensors_file({"a": tensor(), "b": tensor(offsets=[4, 12])}, bytes(12)),
        "'b' overlaps another: begins at 4, expected 8",
    ),
    "twins": (safetensors_file({"a": tensor(), "b": tensor()}, bytes(8)), "overlaps another"),
    "hole": (safetensors_file({"a": tensor(), "b": tensor(offsets=[12, 20])}, bytes(20)), "leaves a hole"),
    "metadata of numbers": (safetensors_file({"__metadata__": {"a": 1}}), "__metadata__ must map"),
    "metadata is a list": (safetensors_file({"__metadata__": []}), "__metadata__ must map"),
}


@pytest.mark.parametrize("case", SAFETENSORS)
def test_bad_safetensors(case: str, tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    content, rule = SAFETENSORS[case]
    refuse(content, tmp_path / "bad.safetensors", rule)


def refuse(content: bytes, path: Path, rule: str, limit: int = 30 << 20) -> None:
    """Both functions raise ValueError with path and rule, and take little memory (deep JSON takes some)."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:
            io.load(path)
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(f"load: {path}: ") and rule in message, message
    assert len(message) < 600 and message.count(str(path)) == 1
    assert path.read_bytes() == content


def npy(array: Any = None, header: str | None = None, version: int = 1) -> bytes:
    """An ``.npy`` member; with `header`, that text before 8 bytes of data."""
    if header is None:
        file = stdio.BytesIO()
        np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
        return file.getvalue()
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes((version, 0)) + size + header.encode() + bytes(8)


def npz(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = stdio.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def head(descr: str = "'<f8'", order: str = "False", shape: str = "(1,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


class Evil:
    """Unpickling this would write to the class."""

    ran = False

    def __reduce__(self) -> Any:
        return (setattr, (Evil, "ran", True))


def patched(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content and len(old) == len(new)
    return content.replace(old, new)


W = ("w.npy", npy(np.arange(3.0)))
ZIP = npz(W)
DEFLATED = npz(("w.npy", npy(np.zeros(1000))), method=zipfile.ZIP_DEFLATED)
NPZ: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "text": (b"hello", "not a whole zip archive"),
    "an .npy file": (npy(np.ones(3)), "not a whole zip archive"),
    "not .npy": (npz(W, ("notes.txt", b"hi")), "must end in .npy"),
    "a directory": (npz(W, ("dir/", b"")), "must end in .npy"),
    "no name": (npz((".npy", W[1])), "must not be empty"),
    "upwards": (npz(("../../w.npy", W[1])), "'..' part"),
    "upwards inside": (npz(("a/../w.npy", W[1])), "'..' part"),
    "absolute": (npz(("/tmp/w.npy", W[1])), "leading '/'"),
    "backslash": (npz(("..\\w.npy", W[1])), "backslash"),
    "NUL": (patched(npz(("w0.npy", W[1])), b"w0.npy", b"w\0.npy"), "NUL"),
    "object array": (npz(("w.npy", npy(np.array([Evil()], object)))), "object arrays hold pickled code"),
    "structured": (npz(("w.npy", npy(np.zeros(2, [("a", "f4"), ("b", "f4")])))), "type must be a number"),
    "text array": (npz(("w.npy", npy(np.array(["ab"])))), "not accepted here"),
    "complex": (npz(("w.npy", npy(np.ones(1, complex)))), "type must be a number"),
    "dates": (npz(("w.npy", npy(np.zeros(1, "M8[s]")))), "type must be a number"),
    "no array": (npz(("w.npy", b"")), "truncated"),
    "short magic": (npz(("w.npy", b"\x93NUM")), "truncated"),
    "other magic": (npz(("w.npy", b"\x93NUMPX\1\0\0\0" + bytes(8))), "not an .npy array"),
    "version 4": (npz(("w.npy", npy(header=head(), version=4))), "not an .npy array of version 1 to 3"),
    "header beyond": (npz(("w.npy", b"\x93NUMPY\1\0\xff\x0f" + bytes(8))), "truncated"),
    "header over the cap": (npz(("w.npy", npy(header=head() + " " * 10_000))), "at most 10000"),
    "header of 4 GiB": (npz(("w.npy", b"\x93NUMPY\2\0\xff\xff\xff\xff")), "at most 10000"),
    "header calls": (npz(("w.npy", npy(header="__import__('os').system('id')"))), "dictionary of constants"),
    "header is deep": (npz(("w.npy", npy(header="(" * 5000 + ")" * 5000))), "dictionary of constants"),
    "header is signs": (npz(("w.npy", npy(header="-" * 9000 + "1"))), "dictionary of constants"),
    "header is a list": (npz(("w.npy", npy(header="[]"))), "must have descr"),
    "header has more": (npz(("w.npy", npy(header=head()[:-3] + "'x': 1}"))), "must have descr"),
    "header unhashable": (npz(("w.npy", npy(header="{[]: 1}"))), "dictionary of constants"),
    "order 2": (npz(("w.npy", npy(header=head(order="2")))), "fortran_order must be"),
    "shape is a list": (npz(("w.npy", npy(header=head(shape="[1]")))), "shape must be a tuple"),
    "shape of -1": (npz(("w.npy", npy(header=head(shape="(-1, -1)")))), "shape must be a tuple"),
    "shape of True": (npz(("w.npy", npy(header=head(shape="(True,)")))), "shape must be a tuple"),
    "shape overflows": (npz(("w.npy", npy(header=head(shape=f"({2**61}, 8)")))), "too large"),
    "empty but impossible": (npz(("w.npy", npy(header=head(shape=f"(0, {2**62}, {2**62})")))), "too large"),
    "one value too many": (npz(("w.npy", npy(header=head(shape="(2,)")))), "needs 16 bytes, has 8"),
    "one value too few": (npz(("w.npy", npy(header=head(shape="(0,)")))), "needs 0 bytes, has 8"),
    "petabyte": (npz(("w.npy", npy(header=head(shape=f"({2**50},)")))), "bytes, has 8"),
    "bad checksum": (patched(ZIP, W[1][-8:], b"\0" * 8), "damaged zip archive: Bad CRC"),
    "encrypted": (ZIP.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"), "encrypted"),
    "bzip2": (npz(W, method=zipfile.ZIP_BZIP2), "stored or deflated"),
    "lzma": (npz(W, method=zipfile.ZIP_LZMA), "stored or deflated"),
    "metadata is no row": (npz(("__metadata__.npy", npy(np.zeros((2, 2), np.uint8)))), ""),
}


@pytest.mark.parametrize("case", [case for case in NPZ if not case.startswith("metadata")])
def test_bad_npz(case: str, tmp_path: Path) -> None:
    content, rule = NPZ[case]
    refuse(content, tmp_path / "bad.npz", rule)
    assert not Evil.ran


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.uint8),
        np.zeros(2),
        *[
            np.frombuffer(text, np.uint8)
            for text in (b"no", b"[]", b'{"a": 1}', b'{"a":"b","a":"c"}', b"\xff", b"[" * 50_000)
        ],
    ],
)
def test_bad_metadata_in_npz(array: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(npz(W, ("__metadata__.npy", npy(array))))
    assert list(io.load(path)) == ["w"]
    with pytest.raises(ValueError, match=r"load_metadata: .*bad\.npz"):
        io.load_metadata(path)


def test_repeated_member(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        content = npz(W, W)
    refuse(content, tmp_path / "bad.npz", "appears twice")


def test_zip_bombs(tmp_path: Path) -> None:
    """Hundreds of megabytes of zeros in some kilobytes; nothing is allocated."""
    many = head(shape=f"({300 * 2**17},)")
    file = stdio.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w") as member:
        member.write(npy(header=many)[:-8])
        for _ in range(300):
            member.write(bytes(1 << 20))
    assert len(file.getvalue()) < 1 << 19
    refuse(file.getvalue(), tmp_path / "bomb.npz", "expands to")
    # A small file that only claims to be large: the claim in the directory, then in the member itself.
    size = struct.pack("<I", len(npy(np.zeros(1000))))
    for claim in (2**31, 64 << 20):
        content = DEFLATED.replace(size, struct.pack("<I", claim))
        refuse(content, tmp_path / "claim.npz", "")
    # Overlapping members: one block of data, many names.
    names = [f"a{number:03}.npy" for number in range(100)]
    content = npz(*[(name, W[1]) for name in names])
    start = content.index(b"PK\1\2")
    central = content[start:]
    for number in range(100):
        at = central.index(names[number].encode()) - 4
        central = central[:at] + b"\0\0\0\0" + central[at + 4 :]
    refuse(content[:start] + central, tmp_path / "overlap.npz", "overlaps")


def stored_samples() -> dict[str, bytes]:
    """Whole files of every kind, small enough to cut at each byte."""
    samples = {
        "stored.npz": npz(W, ("b.npy", npy(np.int64(3)))),
        "deflated.npz": DEFLATED,
        "m.safetensors": safetensors_file(
            {"__metadata__": {"a": "b"}, "a": tensor(), "b": tensor("I64", [], [8, 16])}, bytes(range(16))
        ),
    }
    return samples


@pytest.mark.parametrize("name", stored_samples())
def test_cut_at_every_byte(name: str, tmp_path: Path) -> None:
    if name.endswith(".safetensors"):
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    content = stored_samples()[name]
    path = tmp_path / name
    path.write_bytes(content)
    io.load(path), io.load_metadata(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        for function in (io.load, io.load_metadata):
            with pytest.raises(ValueError, match=f"{function.__name__}: .*{name}"):
                function(path)
    if name.endswith(".safetensors"):  # a zip reader may pass over what follows the end record
        path.write_bytes(content + b"\0")
        with pytest.raises(ValueError, match="bytes left over"):
            io.load(path)


def mutants(content: bytes, count: int, seed: int) -> Any:
    """`content` with a few bytes changed, removed, repeated or swapped for extreme ones."""
    draw = random.Random(seed)
    changes: list[Callable[[bytearray, int], None]] = [
        lambda data, at: data.__setitem__(at, draw.randrange(256)),
        lambda data, at: data.__setitem__(at, data[at] ^ (1 << draw.randrange(8))),
        lambda data, at: data.__setitem__(slice(at, at + 4), draw.choice((b"\xff" * 4, bytes(4), b"\0\0\0\x80"))),
        lambda data, at: data.__delitem__(slice(at, at + draw.randrange(1, 9))),
        lambda data, at: data.__setitem__(slice(at, at), data[at : at + draw.randrange(1, 50)]),
        lambda data, at: data.__setitem__(slice(at, at + 1), draw.choice((b"-", b"9999999999", b"[", b'"', b"O"))),
    ]
    for _ in range(count):
        data = bytearray(content)
        for _ in range(draw.choice((1, 1, 1, 2, 5))):
            draw.choice(changes)(data, draw.randrange(len(data)))
        yield bytes(data)


@pytest.mark.parametrize("name", stored_samples())
def test_mutants_load_or_raise_value_error(name: str, tmp_path: Path) -> None:
    if name.endswith(".safetensors"):
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    path = tmp_path / name
    loaded = 0
    for content in mutants(stored_samples()[name], 2000, seed=1):
        path.write_bytes(content)
        for function in (io.load, io.load_metadata):
            try:
                function(path)
                loaded += 1
            except ValueError as error:
                assert str(path) in str(error)
    assert 0 < loaded < 4000
