"""How arrays of any strides are laid out for kernels that only know C order or contiguous runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.kernels import _runtime


def _same_view(a: Array, b: Array) -> bool:
    return a.strides == b.strides and a.__array_interface__["data"] == b.__array_interface__["data"]


def _clashes(out: Any, inputs: Sequence[Array]) -> list[Array]:
    """Return the inputs that share memory with `out` without being the very same view of it."""
    if type(out) is not np.ndarray:
        return []
    return [
        a
        for a in inputs
        if a is not out and np.may_share_memory(a, out) and not (a.shape == out.shape and _same_view(a, out))
    ]


def _memory_order(arrays: Sequence[Array]) -> tuple[int, ...] | None:
    """Axes, slowest first, under which all `arrays` are C-contiguous; None where there is no such order."""
    first = arrays[0]
    order = tuple(sorted(range(first.ndim), key=lambda axis: -first.strides[axis]))
    dense = all(a.strides == first.strides and a.transpose(order).flags.c_contiguous for a in arrays)
    return order if dense else None


def lay_out(fn: str, out: Any, *inputs: Array) -> tuple[Array, Array, Array | None, Sequence[Array]]:
    """Return (what the kernel writes, the result, where to copy it afterwards or None, what the kernel reads).

    What the kernel gets is contiguous, with one order of the values and whatever shapes.

    The inputs have one shape and one dtype. Contiguous ones are used where they are; the first one that is not is
    copied into the result, which the kernel then overwrites in place. An `out` with the strides of all inputs is
    written in memory order; an `out` that is one of the inputs is written in place, any other overlap goes through a
    copy.
    """
    shape, dtype = inputs[0].shape, inputs[0].dtype
    target: Array | None = None
    if out is None:
        y: Array = _runtime.empty(shape, dtype)
        if all([a.flags.c_contiguous for a in inputs]):
            return y, y, None, inputs
    else:
        y, target = _args.output(fn, out, shape, dtype, _clashes(out, inputs))
        if not y.flags.c_contiguous:
            order = _memory_order([y, *inputs])
            if order is not None:
                return y.transpose(order).reshape(-1), y, target, [a.transpose(order).reshape(-1) for a in inputs]
            y, target = _runtime.empty(shape, dtype), y
    flat = y.reshape(-1)
    # The result can take in one copy, unless an input already lies there.
    free = out is None or not any(np.may_share_memory(a, y) for a in inputs)
    flats = []
    for a in inputs:
        if a.flags.c_contiguous:
            flats.append(a.reshape(-1))
        elif free:
            np.copyto(y, a)
            flats.append(flat)
            free = False
        else:
            flats.append(a.flatten())
    return flat, y, target, flats


def c_order(x: Array, y: Array | None = None) -> Array:
    """Return x in C order. A copy that is needed goes into y, where given: the kernel then overwrites it in place."""
    if x.flags.c_contiguous:
        return x
    if y is None:
        y = _runtime.empty(x.shape, x.dtype)
    np.copyto(y, x)
    return y
