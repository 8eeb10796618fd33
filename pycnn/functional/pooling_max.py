"""Max pooling over one, two and three spatial axes."""

from collections.abc import Callable
from typing import Any, Literal, Protocol, cast, overload

import numpy as np

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.functional.pooling_geometry import BYTE, INT64, MAX_CODES, number_array, pooled
from pycnn.kernels import _runtime
from pycnn.kernels import pooling as _kernels
from pycnn.kernels import pooling_plain as _plain

TIES = ("first", "split", "all")


def _check_indices_kind(fn: str, value: Any, taps: int) -> bool | str:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if not isinstance(value, str) or value != "compact":
        raise ValueError(f'{fn}: return_indices must be False, True or "compact", got {value!r}')
    if taps > MAX_CODES:
        raise ValueError(f"{fn}: compact indices need a kernel of at most {MAX_CODES} cells, got {taps}")
    return value


def _max_pool(
    fn: str,
    dims: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    return_indices: Any,
    ties: Any,
    data_format: Any,
    out: Array | None,
) -> Array | tuple[Array, Array]:
    x = number_array(fn, "x", x)
    order, _, y_shape, found = pooled(
        fn, dims, x.shape, kernel_size, stride, padding, dilation, ceil_mode, data_format, True
    )
    if ties != "first":
        _args.choice(fn, "ties", ties, TIES)
    if return_indices is not False:
        return_indices = _check_indices_kind(fn, return_indices, found.taps)
    y, target = _args.output(fn, out, y_shape, x.dtype, (x,))
    indices = None
    if return_indices:
        indices = _runtime.empty(y_shape, BYTE if return_indices == "compact" else INT64)
    if y.size:
        by_rows = x.dtype in _args.FLOATS and (return_indices is False or found.taps <= MAX_CODES)
        kernel = _kernels.max_forward if by_rows else _plain.max_forward
        kernel(x, y, indices, order, found.numbers)
    y = _args.finish(y, target)
    return y if indices is None else (y, indices)


class _MaxPool(Protocol):
    """The types of `max_pool1d`, `max_pool2d` and `max_pool3d`: two arrays only where indices are asked for."""

    @overload
    def __call__(
        self,
        x: Any,
        kernel_size: Any,
        stride: Any = ...,
        padding: Any = ...,
        dilation: Any = ...,
        ceil_mode: bool = ...,
        return_indices: Literal[False] = ...,
        *,
        ties: str = ...,
        data_format: str = ...,
        out: Array | None = ...,
    ) -> Array: ...
    @overload
    def __call__(
        self,
        x: Any,
        kernel_size: Any,
        stride: Any = ...,
        padding: Any = ...,
        dilation: Any = ...,
        ceil_mode: bool = ...,
        *,
        return_indices: Literal[True, "compact"],
        ties: str = ...,
        data_format: str = ...,
        out: Array | None = ...,
    ) -> tuple[Array, Array]: ...
    @overload
    def __call__(
        self,
        x: Any,
        kernel_size: Any,
        stride: Any = ...,
        padding: Any = ...,
        dilation: Any = ...,
        ceil_mode: bool = ...,
        return_indices: bool | str = ...,
        *,
        ties: str = ...,
        data_format: str = ...,
        out: Array | None = ...,
    ) -> Array | tuple[Array, Array]: ...


def _overloaded(function: Callable[..., Any]) -> _MaxPool:
    return cast(_MaxPool, function)


@_overloaded
def max_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool | str = False,
    *,
    ties: str = "first",
    data_format: str = "NCL",
    out: Array | None = None,
) -> Array | tuple[Array, Array]:
    """Take the largest value of each window of a signal.

    As `max_pool2d` with one spatial axis: every size is an int (or a sequence of one), `padding` may also be
    ``((left, right),)``.

    Parameters
    ----------
    x : ndarray of float32, float64 or integers, shape (N, C, L)
    kernel_size, stride, padding, dilation, ceil_mode, return_indices, ties, out
        See `max_pool2d`.
    data_format : {"NCL", "NLC", "LCN"}
        Names the axes of `x` and of the results.

    Returns
    -------
    ndarray or (ndarray, ndarray)
        Shape (N, C, OL), dtype of `x`; with indices on request.

    Raises
    ------
    TypeError, ValueError
        See `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.max_pool1d(np.array([[[3.0, 1.0, 2.0, 2.0]]]), 2, return_indices=True)
    (array([[[3., 2.]]]), array([[[0, 2]]]))
    """
    return _max_pool(
        "max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, ties, data_format, out
    )


@_overloaded
def max_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool | str = False,
    *,
    ties: str = "first",
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array | tuple[Array, Array]:
    """Take the largest value of each window of an image.

    The first of equal values wins, in scan order; -0.0 equals 0.0. A NaN wins against any number, and the first
    NaN stays. Padding never wins: a window of -inf gives -inf and its first real cell.

    Parameters
    ----------
    x : ndarray of float32, float64 or integers, shape (N, C, H, W)
        Any strides; never written.
    kernel_size : int or (int, int)
        Height and width of the window.
    stride : int or (int, int), optional
        From one window to the next; `kernel_size` when None.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        Smaller than the window's span ``dilation * (kernel - 1) + 1`` on each side.
    dilation : int or (int, int)
        From one cell of a window to the next.
    ceil_mode : bool
        Keep a last window that hangs over the end, unless it would start in the padding; also the only one, larger
        than the padded input by less than the stride.
    return_indices : False, True or "compact"
        True: also the winners' places in the H * W cells of their image. "compact": their places within the
        window, row by row, in one byte; a kernel of at most 255 cells.
    ties : {"first", "split", "all"}
        Only checked: what `max_pool2d_backward` does with equal maxima. Values and indices do not depend on it.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Names the axes of `x` and of the results.
    out : ndarray, optional
        Where to write the values.

    Returns
    -------
    ndarray or (ndarray, ndarray)
        Values of shape (N, C, OH, OW) and dtype of `x`, where OH is floor (or ceil) of
        ``(H + top + bottom - dilation * (KH - 1) - 1) / stride``, plus 1. With indices on request, int64 or uint8
        in the same shape.

    Raises
    ------
    TypeError
        If `x` has another dtype, or a size is not an integer.
    ValueError
        If a size is out of range, the windows do not fit, or `out` does not.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> x = np.array([[[[1.0, 5.0, 2.0, 2.0], [3.0, 4.0, 0.0, 2.0]]]])
    >>> F.max_pool2d(x, 2, return_indices=True)
    (array([[[[5., 2.]]]]), array([[[[1, 2]]]]))
    """
    return _max_pool(
        "max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, ties, data_format, out
    )


@_overloaded
def max_pool3d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool | str = False,
    *,
    ties: str = "first",
    data_format: str = "NCDHW",
    out: Array | None = None,
) -> Array | tuple[Array, Array]:
    """Take the largest value of each window of a volume.

    As `max_pool2d` with three spatial axes.

    Parameters
    ----------
    x : ndarray of float32, float64 or integers, shape (N, C, D, H, W)
    kernel_size, stride, padding, dilation, ceil_mode, return_indices, ties, out
        See `max_pool2d`.
    data_format : {"NCDHW", "NDHWC", "DHWCN"}
        Names the axes of `x` and of the results.

    Returns
    -------
    ndarray or (ndarray, ndarray)
        Shape (N, C, OD, OH, OW), dtype of `x`; with indices (into D * H * W) on request.

    Raises
    ------
    TypeError, ValueError
        See `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.max_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2)
    array([[[[[7.]]]]])
    """
    return _max_pool(
        "max_pool3d", 3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, ties, data_format, out
    )
