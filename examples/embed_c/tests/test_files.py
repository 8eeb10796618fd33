"""Files that are damaged or of something else are one clear error, and memory is never read out of bounds."""

import json
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import digitnet
import numpy as np
import pytest

HERE = Path(__file__).parent
SOURCES = [HERE / "damage.c", HERE.parent / "src" / "tensors.c", HERE.parent / "src" / "json.c"]
FLAGS = ["-std=c99", "-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / name, tmp_path)
    return tmp_path


def header_of(blob: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(blob[:8], "little")
    return json.loads(blob[8 : 8 + length]), blob[8 + length :]


def file_of(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def refusal(folder: Path) -> str:
    with pytest.raises(ValueError) as caught:
        digitnet.Network(folder)
    return str(caught.value)


def change(**entry: object) -> Callable[[dict], None]:
    return lambda header: header["features.0.weight"].update(entry)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda header: header.pop("features.3.weight"), "belong to no tensor"),
        (change(dtype="F31"), "unknown type"),
        (change(dtype="F16"), "bytes are not those of its shape"),
        (change(shape=[32, 1, 3, 4]), "bytes are not those of its shape"),
        (change(shape=[2**32, 2**32, 2**32, 2**32]), "too large"),
        (change(shape=[32, 1, 3, 3, 1]), "more than 4 axes"),
        (change(shape=[-32, 1, 3, 3]), "no size"),
        (change(shape=[1.5]), "no size"),
        (change(shape=[1, 32, 3, 3]), "does not fit"),
        (change(shape=[32, 1, 9, 1]), "3 x 3"),
        (change(shape=[288]), "4 axes"),
        (change(data_offsets=[0]), "less than 2"),
        (change(data_offsets=[0, 1, 2]), "more than 2"),
        (change(data_offsets=[1152, 0]), "outside of the file"),
        (change(data_offsets=[2**52, 2**52 + 1152]), "outside of the file"),
        (change(data_offsets="all"), "no array"),
        (lambda header: header["features.0.weight"].pop("shape"), "without a shape"),
        (lambda header: header["features.0.weight"].pop("dtype"), "unknown type"),
        (lambda header: header["__metadata__"].update(model="lenet"), '"lenet"'),
        (lambda header: header["__metadata__"].update(model="l" * 40), "too long"),
        (lambda header: header.pop("__metadata__"), "only"),
    ],
)
def test_a_header_that_lies(copied: Path, damage: Callable[[dict], None], words: str) -> None:
    path = copied / "model.safetensors"
    header, data = header_of(path.read_bytes())
    damage(header)
    path.write_bytes(file_of(header, data))
    assert words in refusal(copied)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no object"),
        (b"[]", "no object"),
        (b'{"a"', "no ':'"),
        (b'{"a": ', "no object"),
        (b'{"a": {"x": ' + b"[" * 100_000, "too many values in one another"),
        (b'{"a": {"x": "\\ud800"}}', "half of a pair"),
        (b'{"a": {"x": "\\q"}}', "unknown escape"),
        (b'{"a": {"x": "\n"}}', "control character"),
        (b'{"a": {"x": tru', "unknown word"),
        (b'{"a": {"x": -}}', "no number"),
        (b'{"a": {"x": 1.}}', "no digit"),
        (b'{"a": {"x": 1e}}', "no digit"),
        (b'{"a": {"x": 1,}}', "no text"),
        (b'{"a": {"x": [1 2]}}', "no ','"),
        (b'{"' + b"a" * 500 + b'": {}}', "too long"),
        (b'{"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}, "a": {}}', "two tensors of one name"),
        (b"{} {}", "something behind"),
    ],
    ids=range(17),
)
def test_a_header_that_is_no_json(copied: Path, text: bytes, words: str) -> None:
    (copied / "model.safetensors").write_bytes(file_of(text, b""))
    assert words in refusal(copied)


@pytest.mark.parametrize("size", [0, 7, 8, 100, 5000, -1])
def test_a_file_cut_short(copied: Path, size: int) -> None:
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    assert "cut short" in refusal(copied)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**64 - 8, 10**9])
def test_a_header_length_that_lies(copied: Path, length: int) -> None:
    path = copied / "model.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    assert "cut short" in refusal(copied)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("std", [0.0], "std"),
        ("std", [], "fit"),
        ("mean", [0.1] * 9, "more than"),
        ("input_shape", [1, 8], "fit"),
        ("input_shape", [1, 8, 2**40], "more than 1024"),
        ("input_shape", [1, 0, 8], "does not fit"),
        ("input_shape", [3, 8, 8], "fit"),
        ("mean", "grey", "no array"),
    ],
)
def test_a_config_that_lies(copied: Path, key: str, value: object, words: str) -> None:
    path = copied / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["data"][key] = value
    path.write_text(json.dumps(config), encoding="utf-8")
    assert words in refusal(copied)


def test_numbers_are_read_as_python_reads_them(copied: Path) -> None:
    """Through the mean: a mean of 255 / 2 must give another image than one of 0."""
    path, outs = copied / "config.json", []
    for text in ("127.5", "1.275e2", "0.001275E+5", "12750000000000000000000e-20"):
        config = json.loads(path.read_text(encoding="utf-8"))
        config["data"]["mean"] = ["HERE"]
        path.write_text(json.dumps(config).replace('"HERE"', text), encoding="utf-8")
        outs.append(np.zeros((1, 10), np.float32))
        digitnet.Network(copied).logits(np.full((1, 1, 8, 8), 99, np.uint8), outs[-1])
        path.write_text(json.dumps(config | {"data": config["data"] | {"mean": [0]}}), encoding="utf-8")
    for out in outs[1:]:
        np.testing.assert_allclose(out, outs[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file(copied: Path, name: str) -> None:
    (copied / name).unlink()
    assert name in refusal(copied)
    (copied / name).mkdir()
    assert name in refusal(copied)


def test_damaged_files_under_the_address_sanitizer(copied: Path, tmp_path: Path) -> None:
    compiler, program = sysconfig.get_config_var("CC").split(), tmp_path / "damage"
    build = [*compiler, *FLAGS, *SANITIZE, f"-I{SOURCES[1].parent}", *map(str, SOURCES), "-o", str(program), "-lm"]
    made = subprocess.run(build, capture_output=True, text=True)
    if made.returncode and ("sanitize" in made.stderr or "asan" in made.stderr):
        pytest.skip("this compiler has no AddressSanitizer")
    assert made.returncode == 0, made.stderr
    run = [str(program), str(copied / "model.safetensors"), "3000"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    read, refused = (int(part.split()[0]) for part in done.stdout.split(","))
    assert refused > 1000 and read > 100, done.stdout
