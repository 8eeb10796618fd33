"""Arrays of other libraries go in where they lie, without a copy; plain NumPy arrays come out."""

import array
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import memory
import numpy as np
import pytest

import pycnn
from pycnn import functional as F
from pycnn import nn
from pycnn.functional import _args

X = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
WEIGHT = np.random.default_rng(1).standard_normal((4, 3, 3, 3)).astype(np.float32)


def with_torch(x: np.ndarray) -> Any:
    return pytest.importorskip("torch", reason="torch is not installed").from_numpy(x)


def with_jax(x: np.ndarray) -> Any:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    with jax.default_device(jax.devices("cpu")[0]):
        return jax.numpy.array(x)


def address(x: Any) -> int:
    """Where the values of an array of another library lie."""
    if isinstance(x, memoryview):
        return np.frombuffer(x, np.uint8).__array_interface__["data"][0]
    for name in ("data_ptr", "unsafe_buffer_pointer"):  # PyTorch's and JAX's
        if hasattr(x, name):
            return getattr(x, name)()
    return x._values.__array_interface__["data"][0]


OTHERS: dict[str, Callable[[np.ndarray], Any]] = {**memory.FOREIGN, "torch": with_torch, "jax": with_jax}


@pytest.mark.parametrize("other", OTHERS)
def test_it_is_read_where_it_lies(other: str) -> None:
    x = OTHERS[other](X.copy())
    read = _args.array("conv2d", "x", x)
    assert type(read) is np.ndarray
    assert read.__array_interface__["data"][0] == address(x)
    np.testing.assert_array_equal(read, X)


@pytest.mark.parametrize("other", OTHERS)
def test_plain_arrays_come_out(other: str) -> None:
    x, weight = OTHERS[other](X.copy()), OTHERS[other](WEIGHT.copy())
    want = F.conv2d(X, WEIGHT, padding=1)
    y = F.conv2d(x, weight, padding=1)
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, want)
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    gradients = F.conv2d_backward(OTHERS[other](want.copy()), x, weight, padding=1)
    assert {type(a) for a in (pooled, indices, F.relu(x), *gradients)} == {np.ndarray}
    for mine, plain in zip(gradients, F.conv2d_backward(want, X, WEIGHT, padding=1), strict=True):
        np.testing.assert_array_equal(mine, plain)


@pytest.mark.parametrize("other", ["torch", "ArrayMethod", "ArrayInterface", "DLPack", "memoryview"])
def test_a_layer_keeps_the_memory_itself(other: str) -> None:
    """A layer's backward pass reads the input again: what was written there in between is seen."""
    values = X.copy()
    layer = nn.Conv2d(3, 4, 3, bias=False, rng=0)
    y = layer(OTHERS[other](values))
    values[...] = 0
    layer.backward(np.ones_like(y))
    assert not layer.weight.grad.any()


@pytest.mark.parametrize("layer", [nn.Identity(), nn.Flatten(), nn.Dropout().eval(), nn.Sequential()], ids=repr)
@pytest.mark.parametrize("other", OTHERS)
def test_layers_that_pass_it_on_return_plain_arrays(other: str, layer: nn.Layer) -> None:
    y = layer(OTHERS[other](X.copy()))
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y.reshape(X.shape), X)


def test_strides_of_a_tensor_are_kept() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    last = with_torch(X.copy()).contiguous(memory_format=torch.channels_last)
    for view in (last, with_torch(X.copy()).permute(0, 1, 3, 2), with_torch(X.copy())[:, :, ::2, 1:]):
        read = _args.array("conv2d", "x", view)
        assert read.__array_interface__["data"][0] == view.data_ptr()
        assert read.strides == tuple(4 * stride for stride in view.stride())
        assert F.conv2d(view, WEIGHT).tolist() == F.conv2d(view.numpy(), WEIGHT).tolist()


def test_an_array_of_the_standard_library() -> None:
    values = array.array("d", [-1.0, 0.0, 2.0])
    read = _args.array("relu", "x", values)
    assert read.__array_interface__["data"][0] == values.buffer_info()[0]
    assert F.relu(values).tolist() == [0.0, 0.0, 2.0]


# Peak memory is that of a process: each measurement gets one of its own.
LARGE = """
import numpy as np, resource, sys
from pycnn import functional as F
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
MAKE
small = ones((1, 1, 8, 8))
F.max_pool2d(small, 2), F.relu(small)
x = ones((25, 1, 1000, 1000))
before = peak()
y = CALL
after = peak()
print(y.nbytes / 1e6, after - before)
"""
MAKE = {
    "torch": "from torch import ones",
    "DLPack": "import memory; ones = lambda shape: memory.DLPack(np.ones(shape, np.float32))",
    "jax": "import jax.numpy; ones = lambda shape: jax.numpy.ones(shape, np.float32).block_until_ready()",
}


@pytest.mark.parametrize("other", MAKE)
@pytest.mark.parametrize("call", ["F.max_pool2d(x, 2)", "F.relu(x)"])
def test_no_second_copy_of_100_megabytes(other: str, call: str) -> None:
    pytest.importorskip("resource", reason="no resource limits on this platform")
    if other != "DLPack":
        pytest.importorskip(other, reason=f"{other} is not installed")
    code = LARGE.replace("MAKE", MAKE[other]).replace("CALL", call)
    folders = [str(Path(pycnn.__file__).parents[1]), str(Path(memory.__file__).parent)]
    code = f"import sys; sys.path[:0] = {folders!r}\n" + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    output, more = map(float, done.stdout.split())
    assert more < output + 20, f"{more:.0f} MB more for an output of {output:.0f} MB"


# ---- what cannot go in says so


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x: x.requires_grad_(), "requires grad"),
        (lambda x: x.to_sparse(), "cannot be read as an array"),
        (lambda x: x.half(), "must be float32 or float64, got float16"),
        (lambda x: x.bfloat16(), "cannot be read as an array"),
        (lambda x: x.to("meta"), "cannot be read as an array"),
    ],
    ids=["grad", "sparse", "half", "bfloat16", "meta"],
)
def test_tensors_that_are_no_arrays(spoil: Callable[[Any], Any], words: str) -> None:
    x = spoil(with_torch(X.copy()))
    with pytest.raises(TypeError, match="conv2d: x ") as caught:
        F.conv2d(x, WEIGHT)
    assert words in str(caught.value)


class Broken:
    """A protocol that raises."""

    def __dlpack__(self, **options: Any) -> Any:
        raise RuntimeError("no memory to show")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)  # a GPU


def test_an_array_of_another_device() -> None:
    with pytest.raises(TypeError, match="conv2d: x cannot be read as an array"):
        F.conv2d(Broken(), WEIGHT)
