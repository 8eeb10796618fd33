"""What the comparisons with PyTorch share."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tolerances
from compare import as_tuple, assert_close

from pycnn import functional, reference

torch = pytest.importorskip("torch", reason="the comparison with PyTorch needs PyTorch")

torch.set_num_threads(1)  # small arrays: more threads only get into each other's way

#: The reference is held to PyTorch as well: it is what everything else is compared with.
LIBRARIES = pytest.mark.parametrize("library", [functional, reference], ids=["functional", "reference"])
RUNS = pytest.mark.parametrize(
    ("library", "dtype"),
    [(functional, np.float32), (functional, np.float64), (reference, np.float64)],
    ids=["float32", "float64", "reference"],
)


def find(library: ModuleType, name: str) -> Any:
    """A function of a library, or skip: test_twins reports what is missing."""
    found = getattr(library, name, None)
    if found is None:
        pytest.skip(f"{library.__name__} has no {name}")
    return found


def tensor(values: Any, grad: bool = True) -> Any:
    """A tensor of its own memory that records gradients."""
    return None if values is None else torch.tensor(np.array(values)).requires_grad_(grad)


def array(value: Any) -> Any:
    return None if value is None else value.detach().numpy()


def assert_parity(
    library: ModuleType, name: str, args: tuple[Any, ...], options: dict[str, Any], want: Any, loosen: float = 2.0
) -> None:
    """Call `name` and compare with PyTorch's arrays; both round, hence twice the bound."""
    with np.errstate(all="ignore"):
        got = as_tuple(find(library, name)(*args, **options))
    want = as_tuple(want)
    dtype = next(w.dtype for w in want if w is not None and w.dtype.kind == "f")
    with np.errstate(all="ignore"):
        limits = tolerances.bounds(name, args, options, got, dtype)
    assert len(got) == len(want)
    for number, (g, w) in enumerate(zip(got, want, strict=True)):
        where = f"{name}, result {number}"
        if w is None:
            continue
        assert np.shape(g) == np.shape(w), where
        if w.dtype.kind != "f":
            np.testing.assert_array_equal(g, w, err_msg=where)
        else:
            assert g.dtype == w.dtype
            limit = limits[number] if number < len(limits) else 0.0
            assert_close(g, w, loosen * np.asarray(limit), where)


def explicit_pads(spec: Any, kernel: tuple[int, ...]) -> list[tuple[int, int]]:
    """(before, after) of each axis, from ONNX's text on auto_pad."""
    padding, dims = spec.options.get("padding", 0), len(spec.size)
    if not isinstance(padding, str):
        entries = [padding] * dims if np.ndim(padding) == 0 else list(padding)
        return [(int(p), int(p)) if np.ndim(p) == 0 else (int(p[0]), int(p[1])) for p in entries]
    if padding == "valid":
        return [(0, 0)] * dims
    pads = []
    for axis in range(dims):
        stride, dilation = (each(spec.options.get(key), dims, 1)[axis] for key in ("stride", "dilation"))
        outputs = int(np.ceil(spec.size[axis] / stride))
        total = max((outputs - 1) * stride + (kernel[axis] - 1) * dilation + 1 - spec.size[axis], 0)
        small = total // 2
        pads.append((small, total - small) if padding == "same" else (total - small, small))
    return pads


def each(value: Any, dims: int, default: int) -> tuple[int, ...]:
    """One number for each axis."""
    if value is None:
        return (default,) * dims
    return (int(value),) * dims if np.ndim(value) == 0 else tuple(int(v) for v in value)


def torch_pad(x: Any, pads: list[tuple[int, int]], value: float = 0.0) -> Any:
    """Padding in PyTorch's order: last axis first."""
    return torch.nn.functional.pad(x, [p for pair in reversed(pads) for p in pair], value=value)
