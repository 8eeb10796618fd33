"""Power-average pooling: the p-norm of each window."""

from typing import Any

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.functional.pooling_geometry import pooled
from pycnn.kernels import pooling_lp as _kernels


def _power(fn: str, value: Any) -> float:
    p = _args.number(fn, "norm_type", value)
    if p <= 0:
        raise ValueError(f"{fn}: norm_type must be > 0, got {value!r}")
    return p


def lp_pool2d(
    x: Any,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
    *,
    padding: Any = 0,
    dilation: Any = 1,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Take the p-norm of each window of an image: ``(sum of |cell|**p)**(1/p)``, as ONNX LpPool.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (N, C, H, W)
        Any strides; never written.
    norm_type : float
        p, finite and above 0.
    kernel_size, stride, ceil_mode, padding, dilation
        See `max_pool2d`; padding adds nothing to a sum, nor does what a window hangs over (PyTorch scales such a sum
        up to a whole window).
    data_format : {"NCHW", "NHWC", "HWCN"}
        Names the axes of `x` and of the result.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape (N, C, OH, OW), dtype of `x`; computed in float64.

    Raises
    ------
    TypeError
        If `x` is not a float32 or float64 array, `norm_type` not a number, or a size not an integer.
    ValueError
        If a size or `norm_type` is out of range, the windows do not fit, or `out` does not.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.lp_pool2d(np.array([[[[3.0, -4.0]]]]), 2, (1, 2))
    array([[[[5.]]]])
    """
    fn = "lp_pool2d"
    x = _args.float_array(fn, "x", x)
    p = _power(fn, norm_type)
    order, _, y_shape, found = pooled(fn, 2, x.shape, kernel_size, stride, padding, dilation, ceil_mode, data_format)
    y, target = _args.output(fn, out, y_shape, x.dtype, (x,))
    if y.size:
        _kernels.forward(x, y, order, found.numbers, p)
    return _args.finish(y, target)


def lp_pool2d_backward(
    grad_output: Any,
    x: Any,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
    *,
    padding: Any = 0,
    dilation: Any = 1,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Return the gradient for the input of `lp_pool2d`.

    Each cell of a window of norm y gets ``grad_output * sign(x) * (|x| / y)**(p - 1)``; a cell that is 0 gets 0, also
    where the norm is 0 and where p < 1 has no derivative.

    Parameters
    ----------
    grad_output : ndarray of float32 or float64, shape (N, C, OH, OW)
    x : ndarray of the same dtype, shape (N, C, H, W)
        The input of the forward pass.
    norm_type, kernel_size, stride, ceil_mode, padding, dilation, data_format
        As given to `lp_pool2d`.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape and dtype of `x`.

    Raises
    ------
    TypeError
        If the arrays are not both float32 or both float64, `norm_type` is not a number, or a size not an integer.
    ValueError
        If a size or `norm_type` is out of range, or the shapes do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.lp_pool2d_backward(np.array([[[[10.0]]]]), np.array([[[[3.0, -4.0]]]]), 2, (1, 2))
    array([[[[ 6., -8.]]]])
    """
    fn = "lp_pool2d_backward"
    dy = _args.float_array(fn, "grad_output", grad_output)
    x = _args.float_array(fn, "x", x, dy.dtype)
    p = _power(fn, norm_type)
    order, _, y_shape, found = pooled(fn, 2, x.shape, kernel_size, stride, padding, dilation, ceil_mode, data_format)
    _args.check_shape(fn, "grad_output", dy, y_shape)
    dx, target = _args.output(fn, out, x.shape, x.dtype, (dy, x))
    if dx.size:
        _kernels.backward(dy, x, dx, order, found.numbers, p)
    return _args.finish(dx, target)
