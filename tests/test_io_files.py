"""Saving and loading: what goes in comes out, in both formats, and between this library and others."""

import hashlib
import os
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycnn import io

FORMATS = (".npz", ".safetensors")
DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


@pytest.fixture(params=FORMATS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    return tmp_path / f"model{request.param}"


def some_arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {f"type.{dtype}": (rng.random((3, 2)) * 100).astype(dtype) for dtype in DTYPES}
    return arrays | {
        "scalar": np.array(7, np.int64),
        "number": np.float32(2.5),
        "empty": np.zeros((0, 3), np.float32),
        "fortran": np.asfortranarray(rng.random((4, 5))),
        "reversed": np.arange(6.0)[::-1],
        "swapped": np.arange(5, dtype=">i4"),
        "broadcast": np.broadcast_to(np.float32(1), (2, 3)),
        "special": np.array([np.nan, -0.0, np.inf, 5e-324]),
        "conv/größe.weight": rng.random((2, 1, 3, 3)).astype(np.float32),
    }


def test_round_trip_keeps_names_types_shapes_and_bits(path: Path) -> None:
    arrays = some_arrays()
    io.save(arrays, path)
    loaded = io.load(path)
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        expected = np.ascontiguousarray(array).reshape(np.shape(array))
        expected = expected.astype(expected.dtype.newbyteorder("="))
        assert loaded[name].dtype == expected.dtype and loaded[name].shape == expected.shape, name
        assert loaded[name].tobytes() == expected.tobytes(), name
        assert loaded[name].flags.writeable and loaded[name].flags.c_contiguous
        assert type(loaded[name]) is np.ndarray


def test_metadata_round_trip_and_equal_bytes_whatever_the_order(path: Path) -> None:
    notes = {"b": "ä\n\"'\\", "a": "", "long": "x" * 10_000, "json": '{"k": [1]}'}
    arrays = {"w": np.ones(3, np.float32), "v": np.ones(1)}
    io.save(arrays, path, notes)
    first = path.read_bytes()
    assert io.load_metadata(path) == notes
    assert set(io.load(path)) == {"w", "v"}
    io.save(arrays, path, dict(reversed(notes.items())))
    assert path.read_bytes() == first
    io.save(arrays, path)
    assert io.load_metadata(path) == {}


def test_bytes_are_the_same_in_every_process(path: Path) -> None:
    import subprocess

    code = (
        "import sys, numpy as np; from pycnn import io;"
        "io.save({'a': np.ones(2), 'b': np.ones(3, 'f4')}, sys.argv[1], {k: k for k in 'hgfedcba'})"
    )
    seen = set()
    for seed in ("1", "2"):
        subprocess.run([sys.executable, "-c", code, path], check=True, env=os.environ | {"PYTHONHASHSEED": seed})
        seen.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(seen) == 1


def test_no_arrays_at_all(path: Path) -> None:
    io.save({}, path, {"only": "notes"})
    assert io.load(path) == {} and io.load_metadata(path) == {"only": "notes"}
    io.save({}, path)
    assert io.load(path) == {} and io.load_metadata(path) == {}


class Model:
    """The two methods of a model that the format functions use."""

    def __init__(self) -> None:
        self.weights = {"fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}

    def state_dict(self) -> dict[str, Any]:
        return self.weights

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if set(state) != set(self.weights):
            raise ValueError(f"load_state_dict: unexpected {sorted(set(state) - set(self.weights))}")
        self.weights = state


def test_models(path: Path) -> None:
    model, other = Model(), Model()
    other.weights = {"fc.weight": np.zeros((2, 3), np.float32)}
    io.save(model, path)
    io.load_into(other, path)
    np.testing.assert_array_equal(other.weights["fc.weight"], model.weights["fc.weight"])
    io.save({"wrong": np.ones(1)}, path)
    with pytest.raises(ValueError, match=rf"load_into: .*{path.name}.*unexpected"):
        io.load_into(other, path)
    np.testing.assert_array_equal(other.weights["fc.weight"], model.weights["fc.weight"])


def test_numpy_opens_npz(tmp_path: Path) -> None:
    io.save({"w": np.arange(3.0)}, tmp_path / "m.npz", {"note": "x"})
    with np.load(tmp_path / "m.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["w"], np.arange(3.0))
        assert file["__metadata__"].tobytes() == b'{"note": "x"}'


def test_npz_of_numpy_opens_here(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(3.0),
        "f": np.asfortranarray(np.ones((2, 3), np.float16)),
        "z": np.zeros((500, 500)),
    }
    for function in (np.savez, np.savez_compressed):
        save: Any = function
        save(tmp_path / "m.npz", **arrays)
        loaded = io.load(tmp_path / "m.npz")
        for name, array in arrays.items():
            np.testing.assert_array_equal(loaded[name], array)
            assert loaded[name].dtype == array.dtype


def test_torch_models_load_and_load_ours(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    safetensors.save_file(net.state_dict(), tmp_path / "torch.safetensors", {"format": "pt"})
    loaded = io.load(tmp_path / "torch.safetensors")
    assert io.load_metadata(tmp_path / "torch.safetensors") == {"format": "pt"}
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(loaded[name], tensor.numpy())
        assert loaded[name].dtype == tensor.numpy().dtype and loaded[name].shape == tuple(tensor.shape)
    io.save(net, tmp_path / "ours.safetensors", {"b": "1", "a": "2"})
    net.load_state_dict(safetensors.load_file(tmp_path / "ours.safetensors"))


def test_half_precision_tensors_load_as_float32(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    values = torch.tensor([1.0, -2.5, float("inf"), 3e-5, float("nan"), -0.0])
    halves = {"bf16": values.bfloat16(), "f16": values.half(), "f32": values}
    safetensors.save_file(halves, tmp_path / "half.safetensors")
    loaded = io.load(tmp_path / "half.safetensors")
    for name, tensor in halves.items():
        assert loaded[name].dtype == np.float32
        np.testing.assert_array_equal(loaded[name], tensor.float().numpy())
        assert np.signbit(loaded[name][-1])


@pytest.mark.parametrize(
    "name", ["", "__metadata__", "a\\b", "a\0b", "/etc/passwd", "../up", "a/../b", "\ud800", "x" * 1001]
)
def test_names_no_format_can_hold(name: str, path: Path) -> None:
    with pytest.raises(ValueError, match="save: name"):
        io.save({name: np.ones(1)}, path)
    assert not path.exists()


@pytest.mark.parametrize(
    "value",
    [None, [1.0], "text", np.array(["a"]), np.array([None]), np.ones(2, complex), np.ones(2, "M8[s]"),
     np.ma.masked_array([1.0], [True]), np.ones(1, np.longdouble), np.zeros(1, [("a", "f4")]), 3.0],
)  # fmt: skip
def test_values_that_are_no_numeric_array(value: Any, path: Path) -> None:
    with pytest.raises(TypeError, match="save: 'w' must be"):
        io.save({"w": value}, path)
    assert not path.exists()


def test_other_bad_arguments(path: Path) -> None:
    arrays = {"w": np.ones(1)}
    with pytest.raises(TypeError, match="names must be str"):
        io.save({3: np.ones(1)}, path)  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="state_dict"):
        io.save(np.ones(1), path)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="metadata must map str to str"):
        io.save(arrays, path, {"epoch": 3})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="metadata must be valid Unicode"):
        io.save(arrays, path, {"a": "\udcff"})
    for function in (io.load, io.load_metadata):
        with pytest.raises(TypeError, match="path must be"):
            function(3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="NUL"):
            function("a\0.npz")
    assert not path.exists()


@pytest.mark.parametrize("name", ["model", "model.pt", "model.npy", "model.npz.bak", ".npz"])
def test_unknown_suffix(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"save: path must end in \.safetensors or \.npz"):
        io.save({}, tmp_path / name)
    for function in (io.load, io.load_metadata):
        with pytest.raises(ValueError, match=r"path must end in \.safetensors or \.npz"):
            function(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_paths_that_are_no_ordinary_file(path: Path) -> None:
    for function in (io.load, io.load_metadata):
        with pytest.raises(FileNotFoundError, match=path.name):
            function(path)
    path.mkdir()
    for call in (lambda: io.load(path), lambda: io.load_metadata(path), lambda: io.save({}, path)):
        with pytest.raises(IsADirectoryError, match=path.name):
            call()
    path.rmdir()
    os.mkfifo(path)
    for call in (lambda: io.load(path), lambda: io.load_metadata(path), lambda: io.save({}, path)):
        with pytest.raises(OSError, match=path.name):
            call()
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_message_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r'pip install "pycnn\[train\]"'):
        io.save({}, tmp_path / "n.safetensors")
    with pytest.raises(ImportError, match=r'pip install "pycnn\[train\]"'):
        io.load(tmp_path / "m.safetensors")
    assert io.load_metadata(tmp_path / "m.safetensors") == {}
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_many_threads_write_one_file(path: Path) -> None:
    def write(number: int) -> None:
        for _ in range(5):
            io.save({"w": np.full(1000, number)}, path)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(np.unique(io.load(path)["w"])) == 1
    assert os.listdir(path.parent) == [path.name]
