"""Initial values of parameters. Every function fills a `Parameter` (or an array) in place and returns it.

Sources: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010
(xavier); He et al., "Delving deep into rectifiers", 2015 (kaiming).
"""

import math
from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np

from . import _check
from ._types import Array, Rng, Shape
from .parameter import Parameter

Target = TypeVar("Target", Parameter, Array)
Mode = Literal["fan_in", "fan_out"]

__all__ = [
    "constant",
    "fans",
    "gain",
    "get",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "ones",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]


def fans(shape: Shape) -> tuple[int, int]:
    """Return (fan-in, fan-out) of a weight: how many values one output sums up, and one input feeds.

    Parameters
    ----------
    shape : tuple of int
        (F, C, ...), as of a convolution or a linear layer.

    Returns
    -------
    (fan_in, fan_out) : tuple of int

    Examples
    --------
    >>> fans((16, 3, 5, 5))
    (75, 400)
    """
    if len(shape) < 2:
        raise ValueError(f"fans: a weight has at least two axes, got shape {shape}")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def gain(nonlinearity: str, a: float = 0.0) -> float:
    """Return the factor that keeps the variance through a nonlinearity, PyTorch's ``calculate_gain``.

    Parameters
    ----------
    nonlinearity : {"linear", "conv", "sigmoid", "tanh", "relu", "leaky_relu"}
    a : float
        Negative slope of "leaky_relu".

    Returns
    -------
    float

    Examples
    --------
    >>> gain("leaky_relu", 1.0)
    1.0
    """
    factors = {
        "linear": 1.0,
        "conv": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + a * a)),
    }
    return factors[_check.choice("gain", "nonlinearity", nonlinearity, factors)]


def uniform(target: Target, low: float = 0.0, high: float = 1.0, *, rng: Rng = None) -> Target:
    """Fill with values uniform in [low, high).

    Parameters
    ----------
    target : Parameter or ndarray
    low, high : float
    rng : numpy.random.Generator, int or None
        A generator, a seed, or the system.

    Returns
    -------
    Parameter or ndarray
        `target`, filled.

    Examples
    --------
    >>> from pycnn import nn
    >>> p = nn.init.uniform(nn.Parameter([[0.0, 0.0]]), -1, 1, rng=0)
    >>> bool((abs(p.data) <= 1).all())
    True
    """
    low, high = _check.real("uniform", "low", low), _check.real("uniform", "high", high)
    if low > high:
        raise ValueError(f"uniform: low must be <= high, got {low} and {high}")
    generator = _check.generator("uniform", rng)
    return _fill(target, lambda shape: generator.uniform(low, high, shape))


def normal(target: Target, mean: float = 0.0, std: float = 1.0, *, rng: Rng = None) -> Target:
    """Fill with normally distributed values.

    Parameters
    ----------
    target : Parameter or ndarray
    mean, std : float
    rng : numpy.random.Generator, int or None
        A generator, a seed, or the system.

    Returns
    -------
    Parameter or ndarray
        `target`, filled.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> p = nn.init.normal(np.zeros((50, 50)), std=2.0, rng=0)
    >>> round(float(p.std()))
    2
    """
    mean, std = _check.real("normal", "mean", mean), _check.real("normal", "std", std, 0)
    generator = _check.generator("normal", rng)
    return _fill(target, lambda shape: generator.normal(mean, std, shape))


def constant(target: Target, value: float) -> Target:
    """Fill with one value.

    Parameters
    ----------
    target : Parameter or ndarray
    value : float

    Returns
    -------
    Parameter or ndarray
        `target`, filled.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> p = nn.init.constant(np.zeros(2), 3.0)
    >>> p.tolist()
    [3.0, 3.0]
    """
    value = _check.real("constant", "value", value)
    return _fill(target, lambda shape: np.full(shape, value))


def zeros(target: Target) -> Target:
    """Fill with 0.

    Parameters
    ----------
    target : Parameter or ndarray

    Returns
    -------
    Parameter or ndarray
        `target`, filled.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> p = nn.init.zeros(np.ones(2))
    >>> p.tolist()
    [0.0, 0.0]
    """
    return constant(target, 0.0)


def ones(target: Target) -> Target:
    """Fill with 1.

    Parameters
    ----------
    target : Parameter or ndarray

    Returns
    -------
    Parameter or ndarray
        `target`, filled.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> p = nn.init.ones(np.zeros(2))
    >>> p.tolist()
    [1.0, 1.0]
    """
    return constant(target, 1.0)


def kaiming_uniform(
    target: Target,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: Rng = None,
) -> Target:
    """Fill uniformly in +-gain * sqrt(3 / fan).

    Parameters
    ----------
    target : Parameter or ndarray
        A weight of at least two axes.
    a : float
        Negative slope of "leaky_relu".
    mode : {"fan_in", "fan_out"}
        Keep the variance of the outputs, or of the gradients.
    nonlinearity : str
        See `gain`.
    rng : Generator, int or None

    Returns
    -------
    Parameter or ndarray
        `target`, filled.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> p = nn.init.kaiming_uniform(np.zeros((4, 3)), rng=0)
    >>> bool((abs(p) <= 2**0.5).all())
    True
    """
    bound = math.sqrt(3.0) * gain(nonlinearity, a) / math.sqrt(_fan(target, mode))
    return uniform(target, -bound, bound, rng=rng)


def kaiming_normal(
    target: Target,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: Rng = None,
) -> Target:
    """Fill normally with standard deviation gain / sqrt(fan); arguments as for `kaiming_uniform`.

    Returns
    -------
    Parameter or ndarray
        `target`, filled.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> p = nn.init.kaiming_normal(np.zeros((200, 50)), nonlinearity="linear", rng=0)
    >>> round(float(p.std()) * 50**0.5, 1)
    1.0
    """
    return normal(target, 0.0, gain(nonlinearity, a) / math.sqrt(_fan(target, mode)), rng=rng)


def xavier_uniform(target: Target, gain: float = 1.0, *, rng: Rng = None) -> Target:
    """Fill uniformly in +-gain * sqrt(6 / (fan-in + fan-out)).

    Parameters
    ----------
    target : Parameter or ndarray
        A weight of at least two axes.
    gain : float
        See `gain`.
    rng : numpy.random.Generator, int or None
        A generator, a seed, or the system.

    Returns
    -------
    Parameter or ndarray
        `target`, filled.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> p = nn.init.xavier_uniform(np.zeros((4, 2)), rng=0)
    >>> bool((abs(p) <= 1).all())
    True
    """
    bound = gain * math.sqrt(6.0 / sum(fans(target.shape)))
    return uniform(target, -bound, bound, rng=rng)


def xavier_normal(target: Target, gain: float = 1.0, *, rng: Rng = None) -> Target:
    """Fill normally with standard deviation gain * sqrt(2 / (fan-in + fan-out)).

    Parameters
    ----------
    target : Parameter or ndarray
        A weight of at least two axes.
    gain : float
        See `gain`.
    rng : numpy.random.Generator, int or None
        A generator, a seed, or the system.

    Returns
    -------
    Parameter or ndarray
        `target`, filled.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> p = nn.init.xavier_normal(np.zeros((100, 100)), rng=0)
    >>> round(float(p.std()), 1)
    0.1
    """
    return normal(target, 0.0, gain * math.sqrt(2.0 / sum(fans(target.shape))), rng=rng)


def get(name: str) -> Callable[..., Parameter]:
    """Return an initialiser by name; ValueError with the list of names for an unknown one.

    Parameters
    ----------
    name : str

    Returns
    -------
    callable

    Examples
    --------
    >>> get("zeros") is zeros
    True
    """
    known: dict[str, Callable[..., Parameter]] = {
        "kaiming_uniform": kaiming_uniform,
        "kaiming_normal": kaiming_normal,
        "xavier_uniform": xavier_uniform,
        "xavier_normal": xavier_normal,
        "normal": normal,
        "uniform": uniform,
        "zeros": zeros,
        "ones": ones,
        "constant": constant,
    }
    return known[_check.choice("init", "name", name, known)]


def _fan(target: Parameter | Array, mode: str) -> int:
    return fans(target.shape)[("fan_in", "fan_out").index(_check.choice("init", "mode", mode, ("fan_in", "fan_out")))]


def _fill(target: Target, values: Callable[[Shape], Array]) -> Target:
    array = target.data if isinstance(target, Parameter) else target
    array[...] = values(array.shape)
    return target
