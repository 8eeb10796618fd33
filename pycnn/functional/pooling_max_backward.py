"""The gradient of max pooling over one, two and three spatial axes."""

from collections.abc import Sequence
from typing import Any

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.functional.pooling_geometry import BYTE, check_codes, checked_indices, pooled
from pycnn.functional.pooling_max import TIES
from pycnn.kernels import pooling as _kernels
from pycnn.kernels import pooling_places as _places
from pycnn.kernels import pooling_plain as _plain


def _max_pool_backward(
    fn: str,
    dims: int,
    grad_output: Any,
    indices: Any,
    input_shape: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    x: Any,
    ties: Any,
    data_format: Any,
    out: Array | None,
) -> Array:
    dy = _args.float_array(fn, "grad_output", grad_output)
    given = _args.shape(fn, "input_shape", input_shape, dims + 2)
    order, sizes, y_shape, found = pooled(
        fn, dims, given, kernel_size, stride, padding, dilation, ceil_mode, data_format, True
    )
    _args.check_shape(fn, "grad_output", dy, y_shape)
    if ties != "first":
        _args.choice(fn, "ties", ties, TIES)
        if x is None:
            raise TypeError(f'{fn}: x must be given where ties="{ties}", got None')
        x = _args.float_array(fn, "x", x, dy.dtype)
        _args.check_shape(fn, "x", x, given)
        dx, target = _args.output(fn, out, given, dy.dtype, (dy, x))
        if dx.size:
            _plain.ties_backward(dy, x, dx, order, found.numbers, ties == "split")
        return _args.finish(dx, target)
    indices = checked_indices(fn, indices, y_shape, order, sizes, found, codes_later=True)
    dx, target = _args.output(fn, out, given, dy.dtype, (dy, indices))
    if dx.size and indices.dtype == BYTE:
        if not _kernels.max_backward(dy, indices, dx, order, found.numbers):
            check_codes(fn, indices, order, sizes, found)
    elif dx.size:
        _places.scatter_add(dy, indices, dx, order)
    return _args.finish(dx, target)


def max_pool1d_backward(
    grad_output: Any,
    indices: Any,
    input_shape: Sequence[int],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    *,
    x: Any = None,
    ties: str = "first",
    data_format: str = "NCL",
    out: Array | None = None,
) -> Array:
    """Return the gradient for the input of `max_pool1d`.

    As `max_pool2d_backward` with one spatial axis.

    Parameters
    ----------
    grad_output : ndarray of float32 or float64, shape (N, C, OL)
    indices : ndarray of int64 or uint8, shape of `grad_output`, or None
    input_shape : tuple of int
        (N, C, L) in the order of `data_format`.
    kernel_size, stride, padding, dilation, ceil_mode, x, ties, data_format, out
        See `max_pool2d_backward`.

    Returns
    -------
    ndarray
        Shape `input_shape`, dtype of `grad_output`.

    Raises
    ------
    TypeError, ValueError
        See `max_pool2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.max_pool1d_backward(np.array([[[10.0, 20.0]]]), np.array([[[0, 3]]]), (1, 1, 4), 2)
    array([[[10.,  0.,  0., 20.]]])
    """
    return _max_pool_backward(
        "max_pool1d_backward",
        1,
        grad_output,
        indices,
        input_shape,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        x,
        ties,
        data_format,
        out,
    )


def max_pool2d_backward(
    grad_output: Any,
    indices: Any,
    input_shape: Sequence[int],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    *,
    x: Any = None,
    ties: str = "first",
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Return the gradient for the input of `max_pool2d`: each delta goes to the cell that won.

    A cell that won several windows gets the sum. Indices are not assumed to come from a forward pass: int64 ones may
    name any cell of the image, and all are checked before anything is written.

    Parameters
    ----------
    grad_output : ndarray of float32 or float64, shape (N, C, OH, OW)
    indices : ndarray of int64 or uint8, shape of `grad_output`
        What `max_pool2d` returned; uint8 are compact ones. Not needed (None) for other `ties` than "first".
    input_shape : tuple of int
        Shape of the input, in the order of `data_format`.
    kernel_size, stride, padding, dilation, ceil_mode, data_format
        As given to `max_pool2d`.
    x : ndarray, shape `input_shape`
        The input of the forward pass: needed where `ties` is "split" or "all".
    ties : {"first", "split", "all"}
        Who gets the delta of a window with several cells equal to its maximum: the first one, each an equal part, or
        each all of it. In a window whose maximum is NaN these are the NaNs.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape `input_shape`, dtype of `grad_output`.

    Raises
    ------
    TypeError
        If a dtype is not as above, or `indices` or `x` is missing.
    ValueError
        If a shape does not follow from `input_shape` and the sizes, or an index is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> x = np.array([[[[1.0, 5.0, 2.0, 2.0], [3.0, 4.0, 0.0, 2.0]]]])
    >>> y, indices = F.max_pool2d(x, 2, return_indices="compact")
    >>> F.max_pool2d_backward(np.array([[[[10.0, 20.0]]]]), indices, x.shape, 2)
    array([[[[ 0., 10., 20.,  0.],
             [ 0.,  0.,  0.,  0.]]]])
    """
    return _max_pool_backward(
        "max_pool2d_backward",
        2,
        grad_output,
        indices,
        input_shape,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        x,
        ties,
        data_format,
        out,
    )


def max_pool3d_backward(
    grad_output: Any,
    indices: Any,
    input_shape: Sequence[int],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    *,
    x: Any = None,
    ties: str = "first",
    data_format: str = "NCDHW",
    out: Array | None = None,
) -> Array:
    """Return the gradient for the input of `max_pool3d`.

    As `max_pool2d_backward` with three spatial axes.

    Parameters
    ----------
    grad_output : ndarray of float32 or float64, shape (N, C, OD, OH, OW)
    indices : ndarray of int64 or uint8, shape of `grad_output`, or None
    input_shape : tuple of int
        (N, C, D, H, W) in the order of `data_format`.
    kernel_size, stride, padding, dilation, ceil_mode, x, ties, data_format, out
        See `max_pool2d_backward`.

    Returns
    -------
    ndarray
        Shape `input_shape`, dtype of `grad_output`.

    Raises
    ------
    TypeError, ValueError
        See `max_pool2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.max_pool3d_backward(np.ones((1, 1, 1, 1, 1)), np.full((1, 1, 1, 1, 1), 3), (1, 1, 2, 2, 1), (2, 2, 1))
    array([[[[[0.],
              [0.]],
    <BLANKLINE>
             [[0.],
              [1.]]]]])
    """
    return _max_pool_backward(
        "max_pool3d_backward",
        3,
        grad_output,
        indices,
        input_shape,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        x,
        ties,
        data_format,
        out,
    )
