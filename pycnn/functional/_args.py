"""Checks of arguments, shared by every public function.

Everything is checked in Python integers before a C type sees it, and before anything is written. Each helper takes the
name of the calling function first, so that a message reads `conv2d: stride must be >= 1, got 0`.
"""

import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

# The part that every call runs through is compiled.
from pycnn.kernels._call import FLOATS as FLOATS
from pycnn.kernels._call import array as array
from pycnn.kernels._call import check_input_dtype as check_input_dtype
from pycnn.kernels._call import check_shape as check_shape
from pycnn.kernels._call import finish as finish
from pycnn.kernels._call import float_array as float_array
from pycnn.kernels._call import input_and_weight as input_and_weight
from pycnn.kernels._call import output as output
from pycnn.kernels._call import remembered as remembered
from pycnn.kernels._call import vector as vector
from pycnn.kernels._given import LIMIT

Array = np.ndarray[Any, Any]

#: data_format -> axes (N, C, *spatial) of an array in that format, for each number of spatial axes.
FORMATS: dict[int, dict[str, tuple[int, ...]]] = {
    1: {"NCL": (0, 1, 2), "NLC": (0, 2, 1), "LCN": (2, 1, 0)},
    2: {"NCHW": (0, 1, 2, 3), "NHWC": (0, 3, 1, 2), "HWCN": (3, 2, 0, 1)},
    3: {"NCDHW": (0, 1, 2, 3, 4), "NDHWC": (0, 4, 1, 2, 3), "DHWCN": (4, 3, 0, 1, 2)},
}


def index(fn: str, name: str, value: Any, low: int | None = None) -> int:
    """Return `value` as a Python int (no bool, no float), at least `low`."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{fn}: {name} must be an integer, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{fn}: {name} must be an integer, got {value!r}") from None
    if low is not None and number < low:
        raise ValueError(f"{fn}: {name} must be >= {low}, got {number}")
    if number > LIMIT:
        raise ValueError(f"{fn}: {name} is too large, got {number}")
    return number


def number(fn: str, name: str, value: Any) -> float:
    """Return `value` as a finite Python float."""
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise TypeError(f"{fn}: {name} must be a number, got {value!r}")
    try:
        out = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{fn}: {name} must be a number, got {value!r}") from None
    if not math.isfinite(out):
        raise ValueError(f"{fn}: {name} must be finite, got {value!r}")
    return out


def flag(fn: str, name: str, value: Any) -> bool:
    """Return `value` as a bool."""
    if value is True or value is False or isinstance(value, np.bool_):
        return bool(value)
    raise TypeError(f"{fn}: {name} must be True or False, got {value!r}")


def choice(fn: str, name: str, value: Any, choices: Sequence[str]) -> str:
    """Return `value` if it is one of `choices`."""
    if isinstance(value, str) and value in choices:
        return value
    raise ValueError(f"{fn}: {name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def per_axis(fn: str, name: str, value: Any, dims: int, low: int = 1) -> tuple[int, ...]:
    """Return an int or a sequence of `dims` ints as a tuple, each at least `low`."""
    if type(value) is int:
        if value < low:
            raise ValueError(f"{fn}: {name} must be >= {low}, got {value}")
        if value > LIMIT:
            raise ValueError(f"{fn}: {name} is too large, got {value}")
        return (value,) * dims
    if isinstance(value, (tuple, list)):
        if len(value) != dims:
            raise ValueError(f"{fn}: {name} must be an int or {dims} ints, got {value!r}")
        return tuple(index(fn, name, v, low) for v in value)
    return (index(fn, name, value, low),) * dims


def pads(
    fn: str,
    padding: Any,
    in_sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    """Return (before, after) of each spatial axis: from an int, ints, pairs, "valid", "same" or "same_lower".

    The named ones are ONNX's VALID, SAME_UPPER and SAME_LOWER: out = ceil(in / stride), an odd pad goes to the end
    (upper) or the beginning (lower).
    """
    dims = len(in_sizes)
    if isinstance(padding, str):
        choice(fn, "padding", padding, ("valid", "same", "same_lower"))
        if padding == "valid":
            return ((0, 0),) * dims
        out = []
        for size, k, s, d in zip(in_sizes, kernel, stride, dilation):
            total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
            small, large = total // 2, total - total // 2
            out.append((small, large) if padding == "same" else (large, small))
        return tuple(out)
    if isinstance(padding, (tuple, list)):
        if len(padding) != dims:
            raise ValueError(f"{fn}: padding must be an int, {dims} ints or {dims} pairs, got {padding!r}")
        return tuple(_pad_pair(fn, padding, entry) for entry in padding)
    p = index(fn, "padding", padding, 0)
    return ((p, p),) * dims


def _pad_pair(fn: str, padding: Any, entry: Any) -> tuple[int, int]:
    if isinstance(entry, (tuple, list)):
        if len(entry) != 2:
            raise ValueError(f"{fn}: padding must have pairs (before, after), got {padding!r}")
        return index(fn, "padding", entry[0], 0), index(fn, "padding", entry[1], 0)
    p = index(fn, "padding", entry, 0)
    return p, p


def output_size(
    fn: str,
    in_sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """Return the output's spatial sizes: floor or ceil of (in + pads - dilation * (kernel - 1) - 1) / stride, plus 1.

    With ceil_mode the last window may hang over the end, also where it is the only one and larger than the padded
    input; one that would start in the padding at the end is dropped (ONNX's and PyTorch's rule).
    """
    out = []
    for size, k, s, (before, after), d in zip(in_sizes, kernel, stride, pad, dilation):
        if size < 1:
            raise ValueError(f"{fn}: every spatial size of the input must be >= 1, got {tuple(in_sizes)}")
        effective = d * (k - 1) + 1
        room = size + before + after - effective
        steps = -(-room // s) if ceil_mode else room // s
        if ceil_mode and steps * s >= size + before:
            steps -= 1
        if steps < 0:
            rule = f" and {s - 1}, less than the stride, which ceil_mode lets it hang over" if ceil_mode else ""
            raise ValueError(
                f"{fn}: kernel_size {k} with dilation {d} spans {effective} cells,"
                f" more than the padded input of {size + before + after}{rule}"
            )
        out.append(steps + 1)
    return tuple(out)


def axes(fn: str, data_format: Any, dims: int) -> tuple[int, ...]:
    """Return the axes (N, C, *spatial) of an array in `data_format`."""
    formats = FORMATS[dims]
    if isinstance(data_format, str) and data_format in formats:
        return formats[data_format]
    raise ValueError(f"{fn}: data_format must be one of {', '.join(map(repr, formats))}, got {data_format!r}")


def in_format(shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """Return the shape (N, C, *spatial) in the order of the format whose `axes` are `order`."""
    out = [0] * len(order)
    for size, axis in zip(shape, order):
        out[axis] = size
    return tuple(out)


@remembered
def shape(fn: str, name: str, value: Any, ndim: int) -> tuple[int, ...]:
    """Return `value`, a sequence of `ndim` sizes >= 0, as a tuple."""
    if not isinstance(value, (tuple, list)) or len(value) != ndim:
        raise ValueError(f"{fn}: {name} must be a tuple of {ndim} sizes, got {value!r}")
    return tuple(index(fn, name, v, 0) for v in value)


def check_axes(fn: str, name: str, sizes: Sequence[int], ndim: int) -> None:
    """Raise unless the shape `sizes` has `ndim` axes."""
    if len(sizes) != ndim:
        raise ValueError(f"{fn}: {name} must have {ndim} axes, got shape {tuple(sizes)}")


def check_ndim(fn: str, name: str, value: Array, ndim: int) -> None:
    """Raise unless `value` has `ndim` axes."""
    check_axes(fn, name, value.shape, ndim)


NEEDS = ("input", "weight", "bias")


@remembered
def needs(fn: str, value: Any) -> tuple[bool, bool, bool]:
    """Return which of the gradients of input, weight and bias are wanted."""
    if isinstance(value, str) or not all(isinstance(v, str) and v in NEEDS for v in value):
        raise ValueError(f"{fn}: needs must be a tuple of {', '.join(map(repr, NEEDS))}, got {value!r}")
    return "input" in value, "weight" in value, "bias" in value


Made = tuple[Array | None, Array | None]


def gradient_outputs(
    fn: str,
    out: Any,
    wanted: Any,
    shapes: Sequence[tuple[int, ...]],
    dtype: np.dtype[Any],
    inputs: Sequence[Array],
    dense: tuple[bool, bool, bool],
) -> tuple[Made, Made, Made]:
    """Return what `output` gives for the gradients of input, weight and bias; (None, None) for one not in `wanted`."""
    want = needs(fn, wanted)
    if out is None:
        out = (None, None, None)
    elif not isinstance(out, (tuple, list)) or len(out) != 3:
        raise ValueError(f"{fn}: out must be three arrays (or None) for input, weight and bias, got {out!r}")
    else:
        _check_apart(fn, out, want)
    first, second, third = [
        output(fn, o, shape, dtype, inputs, name, contiguous) if wanted_one else (None, None)
        for name, o, shape, wanted_one, contiguous in zip(("out[0]", "out[1]", "out[2]"), out, shapes, want, dense)
    ]
    return first, second, third


def _check_apart(fn: str, outs: Sequence[Any], want: Sequence[bool]) -> None:
    """Raise where two arrays that will be written share memory: one result would overwrite the other."""
    used = [(i, o) for i, (o, wanted) in enumerate(zip(outs, want)) if wanted and isinstance(o, np.ndarray)]
    for (i, a), (j, b) in itertools.combinations(used, 2):
        if np.may_share_memory(a, b) and np.shares_memory(a, b):
            raise ValueError(f"{fn}: out[{i}] and out[{j}] must not share memory")


def finish_gradients(made: tuple[Made, Made, Made]) -> tuple[Array | None, Array | None, Array | None]:
    """Apply `finish` to each gradient."""
    (dx, x), (dweight, weight), (dbias, bias) = made
    return (
        None if dx is None else finish(dx, x),
        None if dweight is None else finish(dweight, weight),
        None if dbias is None else finish(dbias, bias),
    )
