"""Element-wise activations, forward and backward.

All take float32 or float64 arrays of any shape and strides. exp, tanh and the normal distribution come from vectorised
polynomials that are right to a few units in the last place over the whole range; nothing overflows on the way. NaN
gives NaN, except where a gradient is decided by a comparison alone.
"""

from typing import Any

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.functional._layout import lay_out
from pycnn.kernels import activation as _kernels


def _forward(fn: str, op: int, x: Any, out: Any, a: float = 0.0) -> Array:
    x = _args.float_array(fn, "x", x)
    flat, y, target, (source,) = lay_out(fn, out, x)
    _kernels.forward(op, source, flat, a)
    return _args.finish(y, target)


def _backward(fn: str, op: int, grad_output: Any, x: Any, out: Any, a: float = 0.0) -> Array:
    x = _args.float_array(fn, "x", x)
    grad_output = _args.float_array(fn, "grad_output", grad_output, x.dtype)
    _args.check_shape(fn, "grad_output", grad_output, x.shape)
    flat, dx, target, (delta, source) = lay_out(fn, out, grad_output, x)
    _kernels.backward(op, delta, source, flat, a)
    return _args.finish(dx, target)


def relu(x: Any, *, out: Array | None = None) -> Array:
    """Rectify: max(x, 0), NaN where x is NaN.

    Parameters
    ----------
    x : ndarray of float32 or float64, any shape
    out : ndarray, optional
        Where to write; shape and dtype of `x`. May be `x` itself.

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
    return _forward("relu", _kernels.RELU, x, out)


def relu_backward(grad_output: Any, x: Any, *, out: Array | None = None) -> Array:
    """Gradient of `relu`: grad_output where x > 0 or NaN, 0 elsewhere, also at 0.

    Parameters
    ----------
    grad_output, x : ndarray of float32 or float64, one shape
        The gradient that arrives, and what the forward pass was given.
    out : ndarray, optional
        Where to write; may be `grad_output` or `x`.

    Returns
    -------
    ndarray
        Shape and dtype of `x`.

    Raises
    ------
    TypeError
        If an argument is not a float32 or float64 array, or the dtypes differ.
    ValueError
        If the shapes differ or `out` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.relu_backward(np.array([5.0, 5.0, 5.0]), np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 5.])
    """
    return _backward("relu_backward", _kernels.RELU, grad_output, x, out)


def leaky_relu(x: Any, negative_slope: float = 0.01, *, out: Array | None = None) -> Array:
    """Return x where x > 0 and ``negative_slope * x`` elsewhere.

    Parameters
    ----------
    x : ndarray of float32 or float64, any shape
    negative_slope : float
        Finite.
    out : ndarray, optional
        Where to write; may be `x` itself.

    Returns
    -------
    ndarray
        Shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        As `relu`; also if `negative_slope` is not a finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.leaky_relu(np.array([-2.0, 3.0]), 0.5)
    array([-1.,  3.])
    """
    slope = _args.number("leaky_relu", "negative_slope", negative_slope)
    return _forward("leaky_relu", _kernels.LEAKY_RELU, x, out, slope)


def leaky_relu_backward(grad_output: Any, x: Any, negative_slope: float = 0.01, *, out: Array | None = None) -> Array:
    """Gradient of `leaky_relu`: grad_output where x > 0, ``negative_slope * grad_output`` elsewhere.

    Parameters, results and errors are those of `relu_backward` and `leaky_relu`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.leaky_relu_backward(np.array([4.0, 4.0]), np.array([-2.0, 3.0]), 0.5)
    array([2., 4.])
    """
    slope = _args.number("leaky_relu_backward", "negative_slope", negative_slope)
    return _backward("leaky_relu_backward", _kernels.LEAKY_RELU, grad_output, x, out, slope)


def sigmoid(x: Any, *, out: Array | None = None) -> Array:
    """Logistic function ``1 / (1 + exp(-x))``.

    Parameters, results and errors are those of `relu`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return _forward("sigmoid", _kernels.SIGMOID, x, out)


def sigmoid_backward(grad_output: Any, x: Any, *, out: Array | None = None) -> Array:
    """Gradient of `sigmoid`: ``grad_output * s(x) * s(-x)``; `x` is what the forward pass was given.

    Parameters, results and errors are those of `relu_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.sigmoid_backward(np.array([4.0]), np.array([0.0]))
    array([1.])
    """
    return _backward("sigmoid_backward", _kernels.SIGMOID, grad_output, x, out)


def tanh(x: Any, *, out: Array | None = None) -> Array:
    """Hyperbolic tangent.

    Parameters, results and errors are those of `relu`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.tanh(np.array([-1000.0, 0.0, 1000.0]))
    array([-1.,  0.,  1.])
    """
    return _forward("tanh", _kernels.TANH, x, out)


def tanh_backward(grad_output: Any, x: Any, *, out: Array | None = None) -> Array:
    """Gradient of `tanh`: ``grad_output / cosh(x)**2``; `x` is what the forward pass was given.

    Parameters, results and errors are those of `relu_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.tanh_backward(np.array([3.0]), np.array([0.0]))
    array([3.])
    """
    return _backward("tanh_backward", _kernels.TANH, grad_output, x, out)


def silu(x: Any, *, out: Array | None = None) -> Array:
    """Sigmoid linear unit, also called swish: ``x * sigmoid(x)``. -inf gives NaN, as in PyTorch.

    Parameters, results and errors are those of `relu`.
    Source: Elfwing, Uchibe and Doya, arXiv 1702.03118.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.silu(np.array([-1000.0, 0.0, 1000.0]))
    array([  -0.,    0., 1000.])
    """
    return _forward("silu", _kernels.SILU, x, out)


def silu_backward(grad_output: Any, x: Any, *, out: Array | None = None) -> Array:
    """Gradient of `silu`: ``grad_output * s(x) * (1 + x * s(-x))`` with s the sigmoid.

    Parameters, results and errors are those of `relu_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.silu_backward(np.array([2.0]), np.array([0.0]))
    array([1.])
    """
    return _backward("silu_backward", _kernels.SILU, grad_output, x, out)


_GELUS = {"none": _kernels.GELU, "tanh": _kernels.GELU_TANH}


def gelu(x: Any, approximate: str = "none", *, out: Array | None = None) -> Array:
    """Gaussian error linear unit: ``x * Phi(x)``, Phi the normal distribution function. -inf gives NaN, as in PyTorch.

    Parameters
    ----------
    x : ndarray of float32 or float64, any shape
    approximate : {"none", "tanh"}
        "tanh" takes ``(1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2`` for Phi.
    out : ndarray, optional
        Where to write; may be `x` itself.

    Returns
    -------
    ndarray
        Shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        As `relu`; also if `approximate` is neither of the two.

    Notes
    -----
    Source: Hendrycks and Gimpel, arXiv 1606.08415.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    _args.choice("gelu", "approximate", approximate, ("none", "tanh"))
    return _forward("gelu", _GELUS[approximate], x, out)


def gelu_backward(grad_output: Any, x: Any, approximate: str = "none", *, out: Array | None = None) -> Array:
    """Gradient of `gelu`: ``grad_output * (Phi(x) + x * Phi'(x))``.

    Parameters, results and errors are those of `relu_backward` and `gelu`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.gelu_backward(np.array([2.0]), np.array([0.0]))
    array([1.])
    """
    _args.choice("gelu_backward", "approximate", approximate, ("none", "tanh"))
    return _backward("gelu_backward", _GELUS[approximate], grad_output, x, out)


def hardswish(x: Any, *, out: Array | None = None) -> Array:
    """Piecewise swish: ``x * min(max(x + 3, 0), 6) / 6``.

    Parameters, results and errors are those of `relu`.
    Source: Howard et al., Searching for MobileNetV3, arXiv 1905.02244.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.hardswish(np.array([-3.0, 0.0, 3.0]))
    array([-0.,  0.,  3.])
    """
    return _forward("hardswish", _kernels.HARDSWISH, x, out)


def hardswish_backward(grad_output: Any, x: Any, *, out: Array | None = None) -> Array:
    """Gradient of `hardswish`: grad_output times 0 for x <= -3, 1 for x >= 3, ``x / 3 + 1 / 2`` between.

    Parameters, results and errors are those of `relu_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.hardswish_backward(np.array([2.0, 2.0, 2.0]), np.array([-3.0, 0.0, 3.0]))
    array([0., 1., 2.])
    """
    return _backward("hardswish_backward", _kernels.HARDSWISH, grad_output, x, out)
