"""Learning rates by step. They are public as `pycnn.optim`."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pycnn.functional import _args


@dataclass
class Schedule:
    """Base class: a learning rate for each step, counted from 0.

    A schedule has no position of its own: ``optimizer.lr = schedule(step)`` before each ``optimizer.step()``,
    so a run that is resumed needs its step only. ``state_dict`` holds the arguments, to be compared or
    stored.

    Parameters
    ----------
    lr : float
        The largest learning rate.

    Examples
    --------
    >>> from pycnn import optim
    >>> schedule = optim.StepLR(0.1, step_size=2)
    >>> isinstance(schedule, optim.Schedule), schedule(0)
    (True, 0.1)
    """

    lr: float

    def __post_init__(self) -> None:
        self._check()

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step.

        Parameters
        ----------
        step : int
            >= 0. Steps behind the last one get its rate.

        Returns
        -------
        float
        """
        return self._rate(_args.index(type(self).__name__, "step", step, 0))

    def state_dict(self) -> dict[str, float | int | str]:
        """Return the arguments and the name of the schedule."""
        return {"schedule": type(self).__name__, **asdict(self)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the arguments; ValueError and no change for another schedule or unknown arguments."""
        name = f"{type(self).__name__}.load_state_dict"
        expected = {"schedule", *(field.name for field in fields(self))}
        if not isinstance(state, Mapping) or set(state) != expected:
            raise ValueError(f"{name}: expects the keys {sorted(expected)}, got {state!r}")
        if state["schedule"] != type(self).__name__:
            raise ValueError(f"{name}: this is the state of a {state['schedule']}")
        checked = type(self)(**{key: value for key, value in state.items() if key != "schedule"})
        vars(self).update(vars(checked))

    def _check(self) -> None:
        self.lr = rate(type(self).__name__, "lr", self.lr)

    def _rate(self, step: int) -> float:
        raise NotImplementedError


@dataclass
class ConstantLR(Schedule):
    """The same learning rate at every step.

    Parameters
    ----------
    lr : float

    Examples
    --------
    >>> from pycnn import optim
    >>> optim.ConstantLR(0.1)(1000)
    0.1
    """

    def _rate(self, step: int) -> float:
        return self.lr


@dataclass
class StepLR(Schedule):
    """The learning rate times `gamma` after every `step_size` steps.

    Parameters
    ----------
    lr : float
        Rate at the start.
    step_size : int
    gamma : float

    Examples
    --------
    >>> from pycnn import optim
    >>> schedule = optim.StepLR(1.0, step_size=10, gamma=0.5)
    >>> schedule(9), schedule(10), schedule(20)
    (1.0, 0.5, 0.25)
    """

    step_size: int
    gamma: float = 0.1

    def _check(self) -> None:
        super()._check()
        self.step_size = _args.index("StepLR", "step_size", self.step_size, 1)
        self.gamma = rate("StepLR", "gamma", self.gamma)

    def _rate(self, step: int) -> float:
        return float(self.lr * self.gamma ** (step // self.step_size))


@dataclass
class CosineLR(Schedule):
    """Half a cosine wave from `lr` down to `final_lr`, after a linear warm-up.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, without the restarts.

    Parameters
    ----------
    lr : float
        The largest rate.
    total_steps : int
        Steps with the warm-up.
    warmup_steps : int
        Steps in which the rate rises to `lr`; the first one has ``lr / warmup_steps``.
    final_lr : float

    Examples
    --------
    >>> from pycnn import optim
    >>> schedule = optim.CosineLR(1.0, total_steps=12, warmup_steps=2)
    >>> [round(schedule(step), 3) for step in (0, 1, 2, 7, 12)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    total_steps: int
    warmup_steps: int = 0
    final_lr: float = 0.0

    def _check(self) -> None:
        super()._check()
        self.total_steps = _args.index("CosineLR", "total_steps", self.total_steps, 1)
        self.warmup_steps = _args.index("CosineLR", "warmup_steps", self.warmup_steps, 0)
        self.final_lr = rate("CosineLR", "final_lr", self.final_lr)
        if self.warmup_steps >= self.total_steps:
            raise ValueError(
                f"CosineLR: warmup_steps must be < total_steps={self.total_steps}, got {self.warmup_steps}"
            )

    def _rate(self, step: int) -> float:
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        done = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        return _cosine(self.lr, self.final_lr, done)


@dataclass
class OneCycleLR(Schedule):
    """Up from ``lr / div_factor`` to `lr` and down to nearly nothing, both along half a cosine wave.

    Smith and Topin, "Super-convergence", 2018, in PyTorch's form with two phases; momentum stays as it is.

    Parameters
    ----------
    lr : float
        The largest rate.
    total_steps : int
        At least 2.
    pct_start : float
        Share of the steps that go up, in [0, 1].
    div_factor : float
        First rate: ``lr / div_factor``.
    final_div_factor : float
        Last rate: the first one divided by this.

    Examples
    --------
    >>> from pycnn import optim
    >>> schedule = optim.OneCycleLR(1.0, total_steps=100)
    >>> [round(schedule(step), 3) for step in (0, 29, 99)]
    [0.04, 1.0, 0.0]
    """

    total_steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def _check(self) -> None:
        super()._check()
        self.total_steps = _args.index("OneCycleLR", "total_steps", self.total_steps, 2)
        self.pct_start = rate("OneCycleLR", "pct_start", self.pct_start)
        if self.pct_start > 1:
            raise ValueError(f"OneCycleLR: pct_start must be in [0, 1], got {self.pct_start}")
        for name in ("div_factor", "final_div_factor"):
            value = rate("OneCycleLR", name, getattr(self, name))
            if value == 0:
                raise ValueError(f"OneCycleLR: {name} must be > 0, got {value}")
            setattr(self, name, value)

    def _rate(self, step: int) -> float:
        first, peak, last = (
            self.lr / self.div_factor,
            self.pct_start * self.total_steps - 1,
            self.total_steps - 1,
        )
        step = min(step, last)
        if step <= peak:
            return _cosine(first, self.lr, step / peak if peak else 1.0)
        return _cosine(self.lr, first / self.final_div_factor, (step - peak) / (last - peak))


def rate(owner: str, name: str, value: Any) -> float:
    """Return `value` as a finite float >= 0."""
    number = _args.number(owner, name, value)
    if number < 0:
        raise ValueError(f"{owner}: {name} must be >= 0, got {value!r}")
    return number


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))
