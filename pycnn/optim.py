"""Optimisers, schedules of the learning rate, and gradient clipping; formulas and results are PyTorch's.

Examples
--------
>>> import numpy as np
>>> from pycnn import nn, optim
>>> net, loss = nn.Linear(2, 2, rng=0), nn.CrossEntropyLoss()
>>> opt = optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
>>> x, labels = np.eye(2, dtype=np.float32), np.array([1, 0])
>>> values = []
>>> for _ in range(20):
...     values.append(float(loss(net(x), labels)))
...     opt.zero_grad()
...     _ = net.backward(loss.backward(), needs_input_grad=False)
...     opt.step()
>>> values[-1] < 0.1 < values[0]
True
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from pycnn._clipping import clip_grad_norm, clip_grad_value
from pycnn._schedules import ConstantLR, CosineLR, OneCycleLR, Schedule, StepLR, rate
from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.kernels import update as _kernels
from pycnn.nn import Parameter

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adam",
    "AdamW",
    "ConstantLR",
    "CosineLR",
    "OneCycleLR",
    "Optimizer",
    "Schedule",
    "StepLR",
    "clip_grad_norm",
    "clip_grad_value",
    "make_optimizer",
    "make_schedule",
]


class Optimizer:
    """Base class: parameters and their state arrays.

    Parameters
    ----------
    params : iterable of Parameter
    lr : float
        At least 0.
    weight_decay : float
    decay_1d : bool
        Whether biases and other parameters of one axis decay too.
    arrays : tuple of str
        Names of the state arrays that the optimiser keeps for each parameter.

    Attributes
    ----------
    lr : float
        Learning rate of the next step; set it freely, or from a `Schedule`.

    Examples
    --------
    >>> from pycnn import nn, optim
    >>> sgd = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> isinstance(sgd, optim.Optimizer), sgd.lr
    (True, 0.1)
    """

    _options: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float,
        weight_decay: float,
        decay_1d: bool,
        arrays: tuple[str, ...],
    ) -> None:
        name = type(self).__name__
        self._params = list(params)
        if not self._params:
            raise ValueError(f"{name}: params is empty")
        for param in self._params:
            if not isinstance(param, Parameter):
                raise TypeError(f"{name}: params must be Parameters, got {type(param).__name__}")
        if len({id(param) for param in self._params}) != len(self._params):
            raise ValueError(f"{name}: a parameter is there twice")
        self.lr = lr
        self.weight_decay = rate(name, "weight_decay", weight_decay)
        self.decay_1d = _args.flag(name, "decay_1d", decay_1d)
        self._steps = [0] * len(self._params)
        self._state = {key: [np.zeros(param.shape, param.dtype) for param in self._params] for key in arrays}

    @property
    def lr(self) -> float:
        """Learning rate, finite and >= 0."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = rate(type(self).__name__, "lr", value)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for param in self._params:
            param.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient, in place.

        Raises
        ------
        ValueError
            When a gradient has not the shape and type of its parameter; nothing is changed.
        """
        name = type(self).__name__
        for index, param in enumerate(self._params):
            grad = param.grad
            if grad is not None and (grad.shape != param.shape or grad.dtype != param.dtype):
                raise ValueError(
                    f"{name}: the gradient of parameter {index} must be {param.dtype} of shape "
                    f"{param.shape}, got {grad.dtype} of shape {grad.shape}"
                )
            if any(arrays[index].dtype != param.dtype for arrays in self._state.values()):
                raise ValueError(
                    f"{name}: parameter {index} is {param.dtype} now; make a new optimiser after Module.to"
                )
        for index, param in enumerate(self._params):
            if param.grad is not None:
                self._steps[index] += 1
                decay = self.weight_decay if self.decay_1d or param.data.ndim > 1 else 0.0
                data = param.data if param.data.flags.carray else param.data.copy()
                self._update(index, data, np.asarray(param.grad, order="C"), decay)
                if data is not param.data:
                    param.data[...] = data

    def state_dict(self) -> dict[str, Any]:
        """Return all that a run needs to go on bit for bit, flat: numbers, a string, and copies of arrays.

        Returns
        -------
        dict
            "optimizer" (the class), the options, and for each parameter i "step.i" and arrays such as
            "momentum_buffer.i".
        """
        state: dict[str, Any] = {"optimizer": type(self).__name__}
        state.update((name, getattr(self, name)) for name in self._options)
        state.update((f"step.{i}", count) for i, count in enumerate(self._steps))
        state.update(
            (f"{name}.{i}", array.copy()) for name, arrays in self._state.items() for i, array in enumerate(arrays)
        )
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set options and state as `state_dict` gave them; all, or nothing when something does not fit.

        Raises
        ------
        ValueError
            For the state of another optimiser or of other parameters.
        """
        name = f"{type(self).__name__}.load_state_dict"
        own = self.state_dict()
        if not isinstance(state, Mapping) or state.get("optimizer") != own["optimizer"]:
            what = state.get("optimizer") if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"{name}: expects the state of {own['optimizer']}, got {what!r}")
        if set(state) != set(own):
            wrong = sorted(set(state) ^ set(own), key=str)
            raise ValueError(
                f"{name}: missing or unexpected keys: {', '.join(map(repr, wrong[:5]))}; the parameters "
                "or the options are not the same"
            )
        arrays: dict[str, list[Array]] = {key: [] for key in self._state}
        for key, current in self._state.items():
            for i, array in enumerate(current):
                value = np.asarray(state[f"{key}.{i}"])
                if value.shape != array.shape or value.dtype.kind != "f":
                    raise ValueError(
                        f"{name}: {key}.{i} must be {array.dtype} of shape {array.shape}, "
                        f"got {value.dtype} of shape {value.shape}"
                    )
                arrays[key].append(np.array(value, array.dtype, order="C"))
        steps = [_args.index(name, f"step.{i}", state[f"step.{i}"], 0) for i in range(len(self._params))]
        # A twin with the new options, so that they are checked where they always are.
        twin = type(self)(self._params, **{key: state[key] for key in self._options})
        for key in self._options:
            setattr(self, key, getattr(twin, key))
        self._steps, self._state = steps, arrays

    def _update(self, index: int, data: Array, grad: Array, decay: float) -> None:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)}' for name in self._options)})"


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    ``g = grad + weight_decay * p;  v = momentum * v + g;  p -= lr * v``; with `nesterov`
    ``p -= lr * (g + momentum * v)``.

    Parameters
    ----------
    params : iterable of Parameter
    lr : float
        Finite and >= 0.
    momentum : float
        >= 0; 0 keeps no arrays.
    weight_decay : float
        >= 0.
    nesterov : bool
        Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013; needs
        momentum.
    decay_1d : bool
        False leaves biases and the vectors of batch normalisation out of the weight decay.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn, optim
    >>> p = nn.Parameter(np.array([1.0]))
    >>> opt = optim.SGD([p], lr=0.1)
    >>> p.grad = np.array([2.0])
    >>> opt.step()
    >>> p.data
    array([0.8])
    """

    _options = ("lr", "momentum", "weight_decay", "nesterov", "decay_1d")

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        decay_1d: bool = True,
    ) -> None:
        self.momentum = rate("SGD", "momentum", momentum)
        super().__init__(params, lr, weight_decay, decay_1d, ("momentum_buffer",) if self.momentum else ())
        self.nesterov = _args.flag("SGD", "nesterov", nesterov)
        if self.nesterov and self.momentum == 0:
            raise ValueError("SGD: nesterov needs momentum > 0, got 0")

    def _update(self, index: int, data: Array, grad: Array, decay: float) -> None:
        velocity = self._state["momentum_buffer"][index] if self.momentum else None
        _kernels.sgd(data, velocity, grad, (self.lr, self.momentum, decay, float(self.nesterov)))


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    ``m += (1 - b1) (g - m);  v = b2 v + (1 - b2) g^2;  p -= lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) +
    eps)``: Kingma and Ba, "Adam: a method for stochastic optimization", 2015.

    Parameters
    ----------
    params : iterable of Parameter
    lr : float
        Finite and >= 0.
    betas : pair of float
        b1 and b2, in [0, 1).
    eps : float
        >= 0.
    weight_decay : float
        >= 0; added to the gradient as ``weight_decay * p``.
    decay_1d : bool
        False leaves biases and the vectors of batch normalisation out of the weight decay.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn, optim
    >>> p = nn.Parameter(np.array([1.0]))
    >>> opt = optim.Adam([p], lr=0.1)
    >>> p.grad = np.array([5.0])
    >>> opt.step()
    >>> p.data.round(6)
    array([0.9])
    """

    _options = ("lr", "betas", "eps", "weight_decay", "decay_1d")
    _decoupled: ClassVar[bool] = False

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decay_1d: bool = True,
    ) -> None:
        super().__init__(params, lr, weight_decay, decay_1d, ("exp_avg", "exp_avg_sq"))
        name = type(self).__name__
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"{name}: betas must be a pair of numbers, got {betas!r}")
        self.betas = (rate(name, "betas", betas[0]), rate(name, "betas", betas[1]))
        if max(self.betas) >= 1:
            raise ValueError(f"{name}: betas must be in [0, 1), got {betas!r}")
        self.eps = rate(name, "eps", eps)

    def _update(self, index: int, data: Array, grad: Array, decay: float) -> None:
        mean, square = self._state["exp_avg"][index], self._state["exp_avg_sq"][index]
        beta1, beta2 = self.betas
        rate = self.lr / (1 - beta1 ** self._steps[index])
        root = math.sqrt(1 - beta2 ** self._steps[index])
        added, shrink = (0.0, 1 - self.lr * decay) if self._decoupled else (decay, 1.0)
        _kernels.adam(data, mean, square, grad, (rate, 1 - beta1, beta2, 1 - beta2, self.eps, root, added, shrink))


class AdamW(Adam):
    """`Adam` with the weight decay apart from the gradient: ``p *= 1 - lr * weight_decay`` before each step.

    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019. The arguments are those of `Adam`,
    with ``weight_decay=0.01``.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn, optim
    >>> optim.AdamW([nn.Parameter(np.array([1.0]))])
    AdamW(lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, decay_1d=True)
    """

    _decoupled = True

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        decay_1d: bool = True,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, decay_1d=decay_1d)


OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
SCHEDULES: dict[str, type[Schedule]] = {
    "constant": ConstantLR,
    "step": StepLR,
    "cosine": CosineLR,
    "one-cycle": OneCycleLR,
}


def make_optimizer(name: str, params: Iterable[Parameter], **options: Any) -> Optimizer:
    """Return an optimiser by name ("sgd", "adam", "adamw"); ValueError with the names for an unknown one.

    Parameters
    ----------
    name : {"sgd", "adam", "adamw"}
    params : iterable of Parameter
    **options
        Arguments of the optimiser: ``lr`` and so on.

    Returns
    -------
    Optimizer

    Examples
    --------
    >>> from pycnn import nn
    >>> type(make_optimizer("adam", nn.Linear(2, 1).parameters(), lr=0.1)).__name__
    'Adam'
    """
    return OPTIMIZERS[_args.choice("make_optimizer", "name", name, tuple(OPTIMIZERS))](params, **options)


def make_schedule(name: str, **options: Any) -> Schedule:
    """Return a schedule by name ("constant", "step", "cosine", "one-cycle"); ValueError for an unknown one.

    Parameters
    ----------
    name : {"constant", "step", "cosine", "one-cycle"}
    **options
        Arguments of the schedule.

    Returns
    -------
    Schedule

    Examples
    --------
    >>> make_schedule("constant", lr=0.1)
    ConstantLR(lr=0.1)
    """
    return SCHEDULES[_args.choice("make_schedule", "name", name, tuple(SCHEDULES))](**options)
