"""CIFAR-10 and CIFAR-100: python and binary version, folder and archive, never unpickled."""

import gzip
import io
import pickle
import random
import struct
import tarfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycnn import data

RNG = np.random.default_rng(0)
N = 6
X = RNG.integers(0, 256, (6 * N, 3072), dtype=np.uint8)
TEN = RNG.integers(0, 10, 6 * N).tolist()
HUNDRED = RNG.integers(0, 100, 6 * N).tolist()
NAMES10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
NAMES100 = [f"class {number}" for number in range(100)]


def text2(value: bytes) -> bytes:
    """A byte string as Python 2 pickled it."""
    if len(value) < 256:
        return b"U" + bytes((len(value),)) + value
    return b"T" + struct.pack("<i", len(value)) + value


def list2(items: list[bytes]) -> bytes:
    return b"](" + b"".join(items) + b"e"


def array2(x: Any, fortran: bool = False) -> bytes:
    """An array as Python 2 and NumPy 1 pickled it (the layout of the files as distributed)."""
    shape = b"".join(b"J" + struct.pack("<i", size) for size in x.shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01(" + shape + b"t"
        b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + (b"\x88" if fortran else b"\x89")
        + text2(x.tobytes(order="F" if fortran else "C"))
        + b"tb"
    )


def batch2(rows: slice, key: str, labels: list[int], fortran: bool = False) -> bytes:
    ints = [b"K" + bytes((label,)) for label in labels[rows]]
    names = [text2(f"leptodactylus_{number}.png".encode()) for number in range(len(ints))]
    items = [
        (b"batch_label", text2(b"training batch 1 of 5")),
        (key.encode(), list2(ints)),
        (b"data", array2(X[rows], fortran)),
        (b"filenames", list2(names)),
    ]
    body = b"".join(text2(name) + b"q" + bytes((at,)) + value for at, (name, value) in enumerate(items))
    return b"\x80\x02}q\x63(" + body + b"u."


def batch3(rows: slice, key: str, labels: list[int], protocol: int, as_bytes: bool) -> bytes:
    value: dict[Any, Any] = {key: labels[rows], "data": X[rows], "batch_label": b"\xe9t\xe9"}
    if as_bytes:
        value = {name.encode(): item for name, item in value.items()}
    return pickle.dumps(value, protocol)


def rows(part: int) -> slice:
    return slice(part * N, part * N + N)


def python10(make: Callable[..., bytes] = batch2, **options: Any) -> dict[str, bytes]:
    names = [f"data_batch_{part + 1}" for part in range(5)] + ["test_batch"]
    files = {name: make(rows(part), "labels", TEN, **options) for part, name in enumerate(names)}
    meta = b"\x80\x02}(" + text2(b"label_names") + list2([text2(name.encode()) for name in NAMES10])
    return files | {"batches.meta": meta + text2(b"num_vis") + b"M\x00\x0cu."}


def python100() -> dict[str, bytes]:
    return {
        "train": batch2(slice(0, 5 * N), "fine_labels", HUNDRED),
        "test": batch2(rows(5), "fine_labels", HUNDRED),
        "meta": pickle.dumps({"fine_label_names": NAMES100, "coarse_label_names": ["x"]}, 2),
    }


def binary10() -> dict[str, bytes]:
    records = [bytes((label,)) + x.tobytes() for label, x in zip(TEN, X, strict=True)]
    names = [f"data_batch_{part + 1}.bin" for part in range(5)] + ["test_batch.bin"]
    files = {name: b"".join(records[rows(part)]) for part, name in enumerate(names)}
    return files | {"batches.meta.txt": "\n".join([*NAMES10, "", ""]).encode(), "readme.html": b"hi"}


def binary100() -> dict[str, bytes]:
    records = [bytes((7, label)) + x.tobytes() for label, x in zip(HUNDRED, X, strict=True)]
    return {
        "train.bin": b"".join(records[: 5 * N]),
        "test.bin": b"".join(records[5 * N :]),
        "fine_label_names.txt": "\n".join(NAMES100).encode(),
    }


VERSIONS: dict[str, Callable[[], dict[str, bytes]]] = {
    "python10": python10,
    "python10 fortran": lambda: python10(fortran=True),
    **{
        f"python10 protocol {protocol} {kind}": partial(python10, batch3, protocol=protocol, as_bytes=kind == "bytes")
        for protocol in (2, 3, 4)
        for kind in ("bytes", "str")
    },
    "python100": python100,
    "binary10": binary10,
    "binary100": binary100,
}
FOLDERS = {"python10": "cifar-10-batches-py", "python100": "cifar-100-python"}
FOLDERS |= {"binary10": "cifar-10-batches-bin", "binary100": "cifar-100-binary"}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def check(found: data.Dataset, hundred: bool) -> None:
    labels = HUNDRED if hundred else TEN
    np.testing.assert_array_equal(found.x_train, X[: 5 * N].reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(found.x_test, X[5 * N :].reshape(-1, 3, 32, 32))
    assert found.y_train.tolist() == labels[: 5 * N] and found.y_test.tolist() == labels[5 * N :]
    assert found.classes == tuple(NAMES100 if hundred else NAMES10)
    assert found.name == ("cifar-100" if hundred else "cifar-10")


@pytest.mark.parametrize("version", VERSIONS)
def test_folders(version: str, tmp_path: Path) -> None:
    files = VERSIONS[version]()
    check(data.load(write(tmp_path, files)), "100" in version)


def test_the_fixture_is_a_true_pickle() -> None:
    """What `array2` writes is what NumPy reads, so the reader is tested on the real layout."""
    for fortran in (False, True):
        batch = pickle.loads(batch2(rows(0), "labels", TEN, fortran), encoding="bytes")
        np.testing.assert_array_equal(batch[b"data"], X[rows(0)])
        assert batch[b"labels"] == TEN[:N]


@pytest.mark.parametrize("version", FOLDERS)
def test_archives_and_parent_folders(version: str, tmp_path: Path) -> None:
    files = VERSIONS[version]()
    write(tmp_path / FOLDERS[version], files)
    check(data.load(tmp_path), "100" in version)
    for style in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / "cifar.tar.gz"
        with tarfile.open(path, "w:gz", format=style, pax_headers={"mtime": "1.5"}) as archive:
            archive.add(tmp_path / FOLDERS[version], FOLDERS[version])
        check(data.load(path), "100" in version)


def test_class_names_may_be_missing(tmp_path: Path) -> None:
    files = python100()
    del files["meta"]
    assert data.load(write(tmp_path, files)).classes == tuple(map(str, range(100)))
    files = binary10()
    del files["batches.meta.txt"]
    write(tmp_path / "ten", files)
    assert data.load(tmp_path / "ten").classes == tuple(NAMES10)


class Evil:
    ran = False

    def __reduce__(self) -> Any:
        return (setattr, (Evil, "ran", True))


def with_data(data_part: bytes, labels: bytes = b"](K\x00e") -> bytes:
    return b"\x80\x02}(" + text2(b"labels") + labels + text2(b"data") + data_part + b"u."


ONE = array2(X[:1])
PICKLES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "calls setattr": (pickle.dumps({"data": Evil()}, 2), "which CIFAR files do not"),
    "calls setattr, protocol 4": (pickle.dumps({"data": Evil()}, 4), "which CIFAR files do not"),
    "os.system": (b"cos\nsystem\n(S'id'\ntR.", "which CIFAR files do not"),
    "INST": (b"(S'id'\nios\nsystem\n.", "instruction STRING is not allowed"),
    "OBJ": (b"\x80\x02(cos\nsystem\no.", "which CIFAR files do not"),
    "NEWOBJ": (b"\x80\x02cnumpy\nndarray\n)\x81.", "instruction NEWOBJ is not allowed"),
    "persistent id": (b"\x80\x02Pabc\n.", "instruction PERSID is not allowed"),
    "extension": (b"\x80\x02\x82\x01.", "instruction EXT1 is not allowed"),
    "object array": (with_data(ONE.replace(b"U\x02u1", b"U\x02O8")), "calls something"),
    "float array": (with_data(ONE.replace(b"U\x02u1", b"U\x02f4")), "calls something"),
    "subclass": (with_data(ONE.replace(b"ndarray", b"memmap_")), "which CIFAR files do not"),
    "reconstructs a dtype": (with_data(ONE.replace(b"cnumpy\nndarray", b"cnumpy\ndtype")), "calls something"),
    "state of a list": (with_data(b"](K\x01eb"), "state of something that has none"),
    "array without state": (with_data(ONE.split(b"(K\x01(")[0]), "'data' must be an array"),
    "shape too large": (with_data(ONE.replace(b"J\x00\x0c\x00\x00", b"J\xff\xff\xff\x7f")), "cannot have"),
    "shape negative": (with_data(ONE.replace(b"J\x01\0\0\0", b"J\xff\xff\xff\xff")), "cannot have"),
    "other width": (with_data(array2(X[:1, :3071])), "shape (N, 3072)"),
    "data is text": (with_data(text2(b"x" * 3072)), "'data' must be an array"),
    "no labels": (b"\x80\x02}" + text2(b"data") + ONE + b"s.", "'labels' must be a list"),
    "label 10": (with_data(ONE, b"](K\x0ae"), "labels must be 0 to 9, got 10"),
    "label -1": (with_data(ONE, b"](J\xff\xff\xff\xffe"), "'labels' must be a list of labels"),
    "label 2**400": (with_data(ONE, b"](\x8a\x33" + b"\1" * 51 + b"e"), "'labels' must be a list of labels"),
    "label True": (with_data(ONE, b"](\x88e"), "'labels' must be a list of labels"),
    "two labels": (with_data(ONE, b"](K\x01K\x01e"), "1 images but 2 labels"),
    "a list": (b"\x80\x02].", "must hold a dictionary, got list"),
    "nothing": (b"\x80\x02.", "must leave one value"),
    "two values": (b"\x80\x02}}.", "must leave one value"),
    "open mark": (b"\x80\x02(}.", "must leave one value"),
    "empty stack": (b"\x80\x02\x85.", "empty stack"),
    "no mark": (b"\x80\x02}u.", "empty stack"),
    "unknown memo": (b"\x80\x02h\x05.", "refers to nothing"),
    "far memo": (b"\x80\x02}r\xff\xff\xff\xff.", "'data' must be an array"),
    "appends to a dictionary": (b"\x80\x02}K\x01a.", "not a list"),
    "odd items": (b"\x80\x02}(U\x01au.", "not a dictionary by text"),
    "key is a list": (b"\x80\x02}(]K\x01u.", "not a dictionary by text"),
    "bytes after the end": (with_data(ONE) + b"x", "the file at"),
    "text beyond the file": (b"\x80\x02T\xff\xff\xff\x7fabc.", ""),
    "frame of 2**63": (b"\x80\x04\x95" + b"\xff" * 8 + b".", "must leave one value"),
    "no pickle": (b"hello world", ""),
    "bytes copied again and again": (
        b"\x80\x02%bq\x00(%bt." % (text2(b"x" * 100_000), b"c_codecs\nencode\nh\x00U\x06latin1\x86R" * 1000),
        "copies the same text",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PICKLES)
def test_hostile_pickles(case: str, tmp_path: Path) -> None:
    content, rule = PICKLES[case]
    write(tmp_path, python10() | {"data_batch_2": content})
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"load: .*data_batch_2: ") as caught:
        data.load(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    assert rule in str(caught.value) and len(str(caught.value)) < 500
    assert not Evil.ran


def test_deep_nesting_is_no_crash(tmp_path: Path) -> None:
    for body in (b"]" * 200_000 + b"a" * 199_999, b")" + b"\x85" * 200_000, b"}" + b"\x85" * 200_000):
        write(tmp_path, python10() | {"data_batch_1": b"\x80\x02" + body + b"."})
        with pytest.raises(ValueError, match="must hold a dictionary"):
            data.load(tmp_path)


BINARY = {
    "empty": (b"", "the file is empty"),
    "cut": (bytes(3072), "records of 3073 bytes, got 3072"),
    "label 10": (b"\x0a" + bytes(3072), "labels must be 0 to 9, got 10"),
}


@pytest.mark.parametrize("case", BINARY)
def test_bad_binary_files(case: str, tmp_path: Path) -> None:
    content, rule = BINARY[case]
    write(tmp_path, binary10() | {"data_batch_3.bin": content})
    with pytest.raises(ValueError, match=rf"load: .*data_batch_3\.bin: .*{rule}"):
        data.load(tmp_path)


def test_missing_batches_and_bad_names(tmp_path: Path) -> None:
    write(tmp_path, python10())
    (tmp_path / "data_batch_4").unlink()
    with pytest.raises(FileNotFoundError, match="data_batch_4"):
        data.load(tmp_path)
    write(tmp_path / "b", binary10() | {"batches.meta.txt": b"one\ntwo"})
    with pytest.raises(ValueError, match=r"batches\.meta\.txt: must name 10 classes, got 2"):
        data.load(tmp_path / "b")
    for names in ("text", [1, 2]):
        write(tmp_path / "c", python10() | {"batches.meta": pickle.dumps({"label_names": names}, 2)})
        with pytest.raises(ValueError, match=r"batches\.meta: 'label_names' must be a list of names"):
            data.load(tmp_path / "c")


def small() -> dict[str, bytes]:
    return {name: with_data(ONE) for name in python10() if name != "batches.meta"}


def test_cut_pickles_and_mutants(tmp_path: Path) -> None:
    write(tmp_path, small())
    content, path = with_data(ONE), tmp_path / "data_batch_1"
    start = content.index(X[:1].tobytes())
    for length in [*range(start + 20), *range(len(content) - 100, len(content))]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="data_batch_1"):
            data.load(tmp_path)
    draw, loaded = random.Random(0), 0
    for _ in range(1500):
        changed = bytearray(content)
        for _ in range(draw.choice((1, 2, 4))):
            changed[draw.choice((draw.randrange(start), -1 - draw.randrange(5)))] = draw.randrange(256)
        path.write_bytes(changed)
        try:
            data.load(tmp_path)
            loaded += 1
        except ValueError as error:
            assert "data_batch_1" in str(error)
    assert loaded > 10


def archive(files: dict[str, bytes], times: int = 1) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in [*files.items()] * times:
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def test_bad_archives(tmp_path: Path) -> None:
    path = tmp_path / "cifar.tar.gz"
    plain = archive(small())
    head = bytearray(plain[:512])
    head[0] ^= 1
    missing = archive({name: content for name, content in small().items() if name != "test_batch"})
    cases = {
        "the file is empty": b"",
        "not a whole .tar.gz": plain,
        "truncated": gzip.compress(plain[:5000]),
        "bad member header": gzip.compress(b"x" * 2048),
        "bad checksum": gzip.compress(bytes(head) + plain[512:]),
        "holds no CIFAR": gzip.compress(archive({"readme": b"hi"})),
        "appears twice": gzip.compress(archive(small(), times=2)),
        "after its end": gzip.compress(plain + b"x"),
        "member is missing": gzip.compress(missing),
        "to more than 16 times": gzip.compress(archive({"zeros": bytes(60 << 20)})),
    }
    for rule, content in cases.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"load: .*cifar\.tar\.gz.*{rule}"):
            data.load(path)
    whole = gzip.compress(plain)
    for length in [*range(200), *range(200, len(whole), 97)]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cifar\.tar\.gz"):
            data.load(path)


def test_speed_of_the_pickle_reader(tmp_path: Path) -> None:
    """The full set is some 600,000 instructions; this is a tenth of it."""
    size = 5000
    names = [text2(b"some_file_name_%d.png" % number) for number in range(size)]
    body = text2(b"filenames") + list2(names) + text2(b"labels") + list2([b"K\x01"] * size)
    content = b"\x80\x02}(" + body + text2(b"data") + array2(np.zeros((size, 3072), np.uint8)) + b"u."
    write(tmp_path, small() | {"data_batch_1": content})
    start = time.process_time()
    assert len(data.load(tmp_path).x_train) == size + 4
    assert time.process_time() - start < 3
