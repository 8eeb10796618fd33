"""Element-wise activations, forward and backward."""

from typing import Any

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.kernels import activation as _kernels


def relu(x: Any, *, out: Array | None = None) -> Array:
    """Rectify: max(x, 0), NaN where x is NaN.

    Parameters
    ----------
    x : ndarray of float32 or float64, any shape
    out : ndarray, optional
        Where to write; shape and dtype of `x`.

    Returns
    -------
    ndarray
        Shape and dtype of `x`.

    Raises
    ------
    TypeError
        If `x` is not a float32 or float64 array.
    ValueError
        If `out` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    x = _args.float_array("relu", "x", x)
    y, target = _args.output("relu", out, x.shape, x.dtype, (x,))
    flat = y if y.flags.c_contiguous else _args.output("relu", None, x.shape, x.dtype)[0]
    _kernels.relu(x.ravel(), flat.reshape(-1))
    if flat is not y:
        y[...] = flat
    return _args.finish(y, target)
