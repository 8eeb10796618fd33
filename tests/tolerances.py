"""How far a result may lie from the float64 reference, from the arithmetic alone.

u is the unit roundoff, half an ulp of 1: 2**-24 for float32, 2**-53 for float64.

Sums. Adding n products in any order, with any blocking, gives an error of at most about n * u * M in the
worst case, with M = sum |x_i| |w_i|, and of about sqrt(n) * u * M when the n roundings are independent
(Higham and Mary, A new approach to probabilistic rounding error analysis, 2019: sqrt(n) times a small
constant holds with a probability of 1 - 2 exp(-c**2 / 2) a sum). With c = 6 one sum in 10**7 would fail;
rounding of the products and of the result adds one more u each. So

    |got - want| <= 6 * u * (sqrt(n) + 1) * M.

M is elementwise: the reference run on the absolute values of the arguments. For float64 the reference
rounds as well; its error is of the same size and fits into the 6. M needs no cancellation to be exceeded: a
wrong index, a missing term or a wrong weight moves a result by about M / n, which is far outside for the n
used here.

Element by element functions. Each of a handful of operations (exp, a division, a product) is good to 1 or 2
ulp, so their result is good to K * u of the largest intermediate value; K = 16 leaves room for 8 operations
at 2 u each. Where a function subtracts (tanh' = 1 - t**2) the error is relative to the largest result and
not to the small one.

Denormals. A result below the smallest normal number is a multiple of the smallest denormal, so each term
may lose half of that.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from pycnn import reference

SUM, ELEMENT = 6.0, 16.0
Arrays = tuple[Any, ...]


def unit(dtype: Any) -> float:
    """Unit roundoff."""
    return float(np.finfo(dtype).eps) / 2


def sum_bound(dtype: Any, terms: float, magnitude: Any) -> Any:
    """Bound for a sum of `terms` products whose absolute values add up to `magnitude`."""
    lost = terms * float(np.finfo(dtype).smallest_subnormal)
    return SUM * unit(dtype) * (np.sqrt(terms) + 1) * np.asarray(magnitude, dtype=np.float64) + lost


def largest(*arrays: Any) -> float:
    """Largest finite absolute value."""
    most = 0.0
    for array in arrays:
        values = np.abs(np.asarray(array, dtype=np.float64))
        most = max(most, float(np.max(values, initial=0.0, where=np.isfinite(values))))
    return most


def _window(kernel_size: Any, dims: int) -> int:
    return prod(int(k) for k in kernel_size) if np.iterable(kernel_size) else int(kernel_size) ** dims


def _per_filter(g: Any, f: int) -> int:
    return g.size // max(f, 1)


# Linear functions: terms of each result; the magnitude is the function of the absolute values.
LINEAR: dict[str, Callable[..., tuple[float, ...]]] = {
    "linear": lambda x, w, b=None, **_: (w.shape[1] + 1,),
    "linear_backward": lambda g, x, w, **_: (
        w.shape[0],
        _per_filter(g, w.shape[0]),
        _per_filter(g, w.shape[0]),
    ),
    "conv_transpose2d": lambda x, w, b=None, **_: (prod(w.shape[2:]) * w.shape[0] + 1,),
    "conv_transpose2d_backward": lambda g, x, w, **_: (
        prod(w.shape[1:]),
        _per_filter(x, w.shape[0]),
        g.size // max(w.shape[1], 1),
    ),
    "adaptive_avg_pool2d": lambda x, size, **_: (x.size,),
    "adaptive_avg_pool2d_backward": lambda g, shape, size, **_: (g.size,),
    "adaptive_max_pool2d_backward": lambda g, i, shape, size, **_: (g.size,),
    "dropout_backward": lambda *_, **__: (1,),
}
for _d in (1, 2, 3):
    LINEAR[f"conv{_d}d"] = lambda x, w, b=None, **_: (prod(w.shape[1:]) + 1,)
    LINEAR[f"conv{_d}d_backward"] = lambda g, x, w, **_: (
        w.shape[0] * prod(w.shape[2:]),
        _per_filter(g, w.shape[0]),
        _per_filter(g, w.shape[0]),
    )
    LINEAR[f"avg_pool{_d}d"] = lambda x, _d=_d, **k: (_window(k["kernel_size"], _d) + 1,)
    LINEAR[f"avg_pool{_d}d_backward"] = lambda g, shape, _d=_d, **k: (_window(k["kernel_size"], _d) + 1,)
    LINEAR[f"max_pool{_d}d_backward"] = lambda g, i, shape, _d=_d, **k: (_window(k["kernel_size"], _d) + 1,)


def _absolute(value: Any) -> Any:
    """Absolute values of a float array; what is not finite is left out, it is compared on its own."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.nan_to_num(np.abs(value.astype(np.float64)), nan=0.0, posinf=0.0)
    return value


def _batch_norm_scale(args: Arrays, options: dict[str, Any], expected: Arrays, backward: bool) -> list[Any]:
    """Statistics are float64 sums, so what counts is rounding x - mean and a few products."""
    delta, x, mean, var, weight, *_ = args if backward else (None, *args)
    order = {"NCHW": 1, "NHWC": x.ndim - 1, "HWCN": x.ndim - 2}[options["data_format"]]
    others = tuple(a for a in range(x.ndim) if a != order)
    if options["training"]:
        mean, var = x.mean(axis=others, dtype=np.float64), x.var(axis=others, dtype=np.float64)
    eps = options.get("eps", 1e-5)
    inv_std = largest(1 / np.sqrt(var + eps))
    gain = inv_std * (1.0 if weight is None else largest(weight))
    reach = (largest(x) + largest(mean)) * inv_std
    if not backward:
        return [largest(expected[0]) + reach * max(gain / inv_std, 1.0), largest(mean, x), inv_std]
    # dx holds delta, its mean, and normalised x times a mean of their product: 2 + reach of the largest delta
    top = largest(delta)
    count = x.size // max(x.shape[order], 1)
    return [(2.0 + reach**2) * top * gain, count * reach * top, count * top]


def _scales(name: str, args: Arrays, options: dict[str, Any], expected: Arrays) -> list[Any]:
    """Largest value that gets rounded on the way to each result of an element by element function."""
    if name.startswith("batch_norm"):
        return _batch_norm_scale(args, options, expected, name.endswith("backward"))
    if name.startswith(("lp_pool2d", "local_response_norm", "binary_cross", "mse")):
        # a few products of the arguments; the gradients are sums of at most `terms` of them
        return [largest(*expected) + (largest(args[0]) if name.endswith("backward") else 0.0)]
    if name == "cross_entropy":
        return [largest(args[0], *expected)]  # log(sum(exp)) - x cancels
    if name in ("cross_entropy_backward", "softmax_backward", "log_softmax_backward"):
        return [largest(args[0]) + largest(*expected)]
    if name == "log_softmax":
        return [largest(args[0], *expected)]
    if name in ("gelu_backward", "silu_backward", "hardswish_backward"):
        # two terms that cancel where the slope crosses 0
        delta, x = (np.abs(np.asarray(a, dtype=np.float64)) for a in args[:2])
        share = reference.sigmoid(np.asarray(args[1], dtype=np.float64)) if name.startswith("silu") else 1.0
        return [largest(delta * share * (1.0 + x))]
    if name == "gelu" and options.get("approximate") == "tanh":
        return [largest(args[0])]  # x * (1 + tanh) / 2 cancels below 0
    if name == "gelu":
        x = np.asarray(args[0], dtype=np.float64)
        return [largest(expected[0] * (1.0 + x * x))]  # rounding x moves exp(-x**2 / 2) by x**2 u
    return [largest(out) for out in expected]


def _element_terms(name: str, args: Arrays, options: dict[str, Any]) -> float:
    """Length of the sums within an element by element function, in units of its ELEMENT roundings."""
    if name.startswith("lp_pool2d"):
        return _window(options["kernel_size"], 2)
    if name.startswith("local_response_norm"):
        return float(options["size"])
    if "softmax" in name or "cross_entropy" in name or name == "mse_loss":
        # summed over classes or, for a mean or sum, over samples
        return max(float(a.size) for a in args if isinstance(a, np.ndarray))
    if name.startswith("batch_norm") and options["training"] and args[0].dtype == np.float64:
        return float(args[0].size)  # float32 data is summed in float64, which costs nothing beside its own rounding
    return 1.0


def bounds(name: str, args: Arrays, options: dict[str, Any], expected: Arrays, dtype: Any) -> list[Any]:
    """Largest allowed |got - want| of each float result, an array or a number."""
    if name in LINEAR:
        absolute = tuple(_absolute(a) for a in args)
        magnitudes = getattr(reference, name)(*absolute, **options)
        magnitudes = magnitudes if isinstance(magnitudes, tuple) else (magnitudes,)
        terms = LINEAR[name](*args, **options)
        return [None if m is None else sum_bound(dtype, t, m) for m, t in zip(magnitudes, terms, strict=True)]
    terms = np.sqrt(_element_terms(name, args, options))
    smallest = float(np.finfo(dtype).smallest_subnormal)
    return [ELEMENT * unit(dtype) * terms * scale + smallest for scale in _scales(name, args, options, expected)]
