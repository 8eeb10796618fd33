"""Checks of arguments, shared by every public function.

Everything is checked in Python integers before a C type sees it, and before anything is written. Each helper takes the
name of the calling function first, so that a message reads `conv2d: stride must be >= 1, got 0`.
"""

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from pycnn.kernels import _runtime

Array = np.ndarray[Any, Any]
Result = TypeVar("Result")

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

#: data_format -> axes (N, C, *spatial) of an array in that format, for each number of spatial axes.
FORMATS: dict[int, dict[str, tuple[int, ...]]] = {
    1: {"NCL": (0, 1, 2), "NLC": (0, 2, 1), "LCN": (2, 1, 0)},
    2: {"NCHW": (0, 1, 2, 3), "NHWC": (0, 3, 1, 2), "HWCN": (3, 2, 0, 1)},
    3: {"NCDHW": (0, 1, 2, 3, 4), "NDHWC": (0, 4, 1, 2, 3), "DHWCN": (4, 3, 0, 1, 2)},
}

_LIMIT = 2**62  # of bytes, and of any single hyperparameter: what a signed 64-bit size can hold with room to add


def array(fn: str, name: str, value: Any) -> Array:
    """Return `value` as an ndarray: arrays and array-likes of other libraries pass, lists and masked arrays do not."""
    if type(value) is not np.ndarray:
        value = _foreign_array(fn, name, value)
    if not value.dtype.isnative or not value.flags.aligned:
        value = value.astype(value.dtype.newbyteorder("="), order="C")
    out: Array = value
    return out


def _foreign_array(fn: str, name: str, value: Any) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{fn}: {name} must be a plain array, got a masked array")
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if isinstance(value, np.generic) or value is None or isinstance(value, (list, tuple, str, bytes, int, float)):
        raise TypeError(f"{fn}: {name} must be a NumPy array, got {type(value).__name__}")
    has_protocol = any(hasattr(value, p) for p in ("__array__", "__array_interface__", "__dlpack__"))
    if has_protocol or isinstance(value, memoryview) or hasattr(value, "__buffer__"):
        try:
            if hasattr(value, "__array__") or not hasattr(value, "__dlpack__"):
                return np.asarray(value)
            return np.asarray(np.from_dlpack(value))
        except Exception as error:
            raise TypeError(f"{fn}: {name} cannot be read as an array: {error}") from error
    try:
        return np.asarray(memoryview(value))
    except TypeError:
        raise TypeError(f"{fn}: {name} must be a NumPy array, got {type(value).__name__}") from None


def float_array(fn: str, name: str, value: Any, dtype: np.dtype[Any] | None = None) -> Array:
    """Return `value` as a float32 or float64 ndarray; `dtype`, where given, is the type it has to have."""
    out = array(fn, name, value)
    if out.dtype not in FLOATS:
        raise TypeError(f"{fn}: {name} must be float32 or float64, got {out.dtype}")
    if dtype is not None and out.dtype != dtype:
        raise TypeError(f"{fn}: {name} must have the dtype of the other arrays, {dtype}, got {out.dtype}")
    return out


def input_and_weight(fn: str, x: Any, weight: Any) -> tuple[Array, Array]:
    """Return both as float32 or float64 ndarrays of one dtype."""
    x, weight = float_array(fn, "x", x), float_array(fn, "weight", weight)
    check_input_dtype(fn, x, "weight", weight)
    return x, weight


def check_input_dtype(fn: str, x: Array, name: str, parameter: Any) -> None:
    """Raise where x is not of the parameter's float dtype: the weights of a network stay, what it is fed can change."""
    dtype = getattr(parameter, "dtype", x.dtype)
    if dtype != x.dtype and dtype in FLOATS:
        raise TypeError(f"{fn}: x must have the dtype of {name}, {dtype}, got {x.dtype}; x.astype(np.{dtype}) converts")


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
    if number > _LIMIT:
        raise ValueError(f"{fn}: {name} is too large, got {number}")
    return number


def number(fn: str, name: str, value: Any) -> float:
    """Return `value` as a finite Python float."""
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise TypeError(f"{fn}: {name} must be a number, got {value!r}")
    try:
        out = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{fn}: {name} must be a number, got {value!r}") from None
    if out != out or out in (float("inf"), float("-inf")):
        raise ValueError(f"{fn}: {name} must be finite, got {value!r}")
    return out


def flag(fn: str, name: str, value: Any) -> bool:
    """Return `value` as a bool."""
    if isinstance(value, (bool, np.bool_)):
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
        if value > _LIMIT:
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


def check_shape(fn: str, name: str, value: Array, expected: Sequence[int]) -> None:
    """Raise unless `value` has the shape `expected`."""
    if value.shape != tuple(expected):
        raise ValueError(f"{fn}: {name} must have shape {tuple(expected)}, got {value.shape}")


def output(
    fn: str, out: Any, expected: tuple[int, ...], dtype: np.dtype[Any], inputs: Sequence[Array] = (), name: str = "out"
) -> tuple[Array, Array | None]:
    """Return (array to write, array to copy it to afterwards or None).

    `out=None` gives recycled memory. An `out` that shares memory with an input is written through a copy, so the result
    is as if the inputs had been copied first: call `finish` with both when the kernel is done.
    """
    if out is None:
        size = dtype.itemsize
        for extent in expected:
            size *= extent
        if size > _LIMIT:
            raise ValueError(f"{fn}: an output of shape {expected} is too large")
        try:
            made: Array = _runtime.empty(expected, dtype)
        except MemoryError:
            raise MemoryError(f"{fn}: no memory for an output of shape {expected} and type {dtype}") from None
        return made, None
    if type(out) is not np.ndarray:
        raise TypeError(f"{fn}: {name} must be a NumPy array, got {type(out).__name__}")
    if out.dtype != dtype or not out.dtype.isnative:
        raise ValueError(f"{fn}: {name} must have dtype {dtype}, got {out.dtype}")
    if out.shape != expected:
        raise ValueError(f"{fn}: {name} must have shape {expected}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{fn}: {name} is read-only")
    overlaps = any(np.may_share_memory(out, x) for x in inputs)
    if overlaps or not out.flags.aligned or 0 in out.strides:
        scratch: Array = _runtime.empty(expected, dtype)
        return scratch, out
    return out, None


def finish(written: Array, target: Array | None) -> Array:
    """Copy the result to where the caller wants it, if that is elsewhere."""
    if target is None:
        return written
    np.copyto(target, written)
    return target


def _plain(value: Any) -> bool:
    """Tell whether equal values mean the same argument: 1, True and 1.0 are equal, and only 1 is an int."""
    kind = type(value)
    return kind is int or kind is str or (kind is tuple and all(map(_plain, value)))


def remembered(check: Callable[..., Result]) -> Callable[..., Result]:
    """Keep the results of a check of shapes and hyperparameters: a call with known ones costs a look-up.

    Only what a plain int, string or tuple of them decides is kept, and errors are not.
    """
    memory = functools.lru_cache(maxsize=1024)(check)

    @functools.wraps(check)
    def recall(*args: Any) -> Result:
        return memory(*args) if all(map(_plain, args)) else check(*args)

    return recall


NEEDS = ("input", "weight", "bias")


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
) -> tuple[Made, Made, Made]:
    """Return what `output` gives for the gradients of input, weight and bias; (None, None) for one not in `wanted`."""
    want = needs(fn, wanted)
    if out is None:
        out = (None, None, None)
    elif not isinstance(out, (tuple, list)) or len(out) != 3:
        raise ValueError(f"{fn}: out must be three arrays (or None) for input, weight and bias, got {out!r}")
    else:
        _check_apart(fn, out, want)
    first, second, third = (
        output(fn, o, shape, dtype, inputs, f"out[{i}]") if wanted_one else (None, None)
        for i, (o, shape, wanted_one) in enumerate(zip(out, shapes, want))
    )
    return first, second, third


def _check_apart(fn: str, outs: Sequence[Any], want: Sequence[bool]) -> None:
    """Raise where two arrays that will be written share memory: one result would overwrite the other."""
    used = [(i, o) for i, (o, wanted) in enumerate(zip(outs, want)) if wanted and isinstance(o, np.ndarray)]
    for (i, a), (j, b) in itertools.combinations(used, 2):
        if np.may_share_memory(a, b) and np.shares_memory(a, b):
            raise ValueError(f"{fn}: out[{i}] and out[{j}] must not share memory")


def finish_gradients(made: tuple[Made, Made, Made]) -> tuple[Array | None, Array | None, Array | None]:
    """Apply `finish` to each gradient."""
    first, second, third = (None if a is None else finish(a, target) for a, target in made)
    return first, second, third
