"""Limits on gradients before a step; `pycnn.optim` offers them."""

import math
from collections.abc import Iterable

import numpy as np

from pycnn._schedules import rate
from pycnn.nn import Parameter


def clip_grad_norm(
    params: Iterable[Parameter], max_norm: float, norm_type: float = 2.0, *, error_if_nonfinite: bool = False
) -> float:
    """Scale all gradients so that their common norm is at most `max_norm`.

    Parameters
    ----------
    params : iterable of Parameter
        Those without a gradient are left out.
    max_norm : float
        >= 0.
    norm_type : float
        p of the p-norm, > 0; ``math.inf`` for the largest absolute value.
    error_if_nonfinite : bool
        Raise when the norm is infinite or NaN, and change nothing.

    Returns
    -------
    float
        The norm before, summed in float64.

    Raises
    ------
    FloatingPointError
        For a norm that is not finite, with `error_if_nonfinite`.

    Notes
    -----
    As PyTorch's the factor is ``max_norm / (norm + 1e-6)``, at most 1.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn, optim
    >>> p = nn.Parameter(np.zeros(2))
    >>> p.grad = np.array([3.0, 4.0])
    >>> optim.clip_grad_norm([p], 1.0)
    5.0
    >>> p.grad.round(3)
    array([0.6, 0.8])
    """
    max_norm = rate("clip_grad_norm", "max_norm", max_norm)
    if not (isinstance(norm_type, (int, float)) and norm_type > 0):
        raise ValueError(f"clip_grad_norm: norm_type must be > 0, got {norm_type!r}")
    grads = [param.grad for param in params if param.grad is not None]
    if norm_type == math.inf:
        norm = float(max((np.abs(grad).max(initial=0) for grad in grads), default=0.0))
    elif norm_type == 2:
        norm = math.sqrt(sum(float(np.square(grad, dtype=np.float64).sum()) for grad in grads))
    else:
        powers = (np.power(np.abs(grad), norm_type, dtype=np.float64) for grad in grads)
        norm = float(sum(float(power.sum()) for power in powers)) ** (1 / norm_type)
    if error_if_nonfinite and not math.isfinite(norm):
        raise FloatingPointError(f"clip_grad_norm: the norm of the gradients is {norm}")
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1:  # NaN goes on into the gradients, as in PyTorch
        for grad in grads:
            np.multiply(grad, factor, out=grad)
    return norm


def clip_grad_value(params: Iterable[Parameter], clip_value: float) -> None:
    """Limit every value of the gradients to ``[-clip_value, clip_value]``.

    Parameters
    ----------
    params : iterable of Parameter
    clip_value : float
        Positive.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn, optim
    >>> p = nn.Parameter(np.zeros(2))
    >>> p.grad = np.array([3.0, -0.5])
    >>> optim.clip_grad_value([p], 1.0)
    >>> p.grad
    array([ 1. , -0.5])
    """
    limit = rate("clip_grad_value", "clip_value", clip_value)
    for param in params:
        if param.grad is not None:
            np.clip(param.grad, -limit, limit, out=param.grad)
