"""What convolution and transposed convolution share: views for the kernels and the gradients of weight and bias."""

from typing import Any

import numpy as np

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.kernels import _runtime
from pycnn.kernels import conv_weight as _kernels


def three(values: tuple[int, ...], fill: int) -> tuple[int, ...]:
    """Return hyperparameters of one to three spatial axes as those of three."""
    return (fill,) * (3 - len(values)) + values


def as_volume(a: Array, order: tuple[int, ...]) -> Array:
    """View an array whose axes (N, C, *spatial) are `order` as (N, C, D, H, W); missing axes have size 1."""
    ndim = len(order)
    if order[0] != 0 or order[1] != 1:
        a = a.transpose(order)
    if ndim == 4:
        return a[:, :, None]
    return a[:, :, None, None] if ndim == 3 else a


def weight_volume(weight: Array) -> Array:
    """View a weight as (F, C/groups, KD, KH, KW), contiguous."""
    weight = weight if weight.flags.c_contiguous else weight.copy()
    return weight.reshape(weight.shape[:2] + three(weight.shape[2:], 1))


def bias_array(fn: str, bias: Any, filters: int, dtype: np.dtype[Any]) -> Array | None:
    """Return the checked bias, contiguous."""
    if bias is None:
        return None
    bias = _args.float_array(fn, "bias", bias, dtype)
    _args.check_shape(fn, "bias", bias, (filters,))
    out: Array = bias if bias.flags.c_contiguous else bias.copy()
    return out


def weight_gradient(
    x: Array,
    dy: Array,
    dw: Array,
    stride: tuple[int, ...],
    pad: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> None:
    """Write the gradient for the weight; x and dy are (N, C, D, H, W) views of the convolution's input and output."""
    whole = dw if dw.flags.c_contiguous else _runtime.empty(dw.shape, dw.dtype)
    if x.size == 0 or dy.size == 0:
        whole[...] = 0
    else:
        _kernels.conv_backward_weight(dy, x, weight_volume(whole), stride, pad, dilation, groups)
    if whole is not dw:
        dw[...] = whole


def bias_gradient(dy: Array, db: Array) -> None:
    """Write the sum of each channel of the (N, C, D, H, W) view `dy`."""
    whole = db if db.flags.c_contiguous else _runtime.empty(db.shape, db.dtype)
    _kernels.channel_sums(dy, whole)
    if whole is not db:
        db[...] = whole
