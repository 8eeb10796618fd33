"""Compare backward with central differences of forward, in float64."""

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.nn import Module

__all__ = ["GradcheckReport", "GradcheckRow", "gradcheck"]


@dataclass(frozen=True)
class GradcheckRow:
    """What the check found for one array.

    Attributes
    ----------
    name : str
        "input 0", ..., or the name of a parameter.
    shape : tuple of int
    checked : int
        How many values were compared.
    max_absolute : float
        Largest ``|backward - difference|``.
    max_relative : float
        Largest of the same divided by the larger of both, among values that are not all but 0.
    worst : tuple of int
        Index of the value that is farthest beyond (or nearest to) the tolerance.
    backward, difference : float
        Both results at `worst`.
    ok : bool
        Whether every value is within the tolerance.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    max_absolute: float
    max_relative: float
    worst: tuple[int, ...]
    backward: float
    difference: float
    ok: bool


@dataclass(frozen=True)
class GradcheckReport:
    """What the check found, one row an array; true when all of them agree, and prints as a table."""

    rows: tuple[GradcheckRow, ...]

    @property
    def ok(self) -> bool:
        """Whether every gradient agrees."""
        return all(row.ok for row in self.rows)

    @property
    def max_absolute(self) -> float:
        """Largest absolute error of all rows."""
        return max((row.max_absolute for row in self.rows), default=0.0)

    @property
    def max_relative(self) -> float:
        """Largest relative error of all rows."""
        return max((row.max_relative for row in self.rows), default=0.0)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        width = max([len(row.name) for row in self.rows] + [len("array")])
        lines = [f"{'array':{width}}  {'checked':>8}  {'absolute':>9}  {'relative':>9}"]
        for row in self.rows:
            line = f"{row.name:{width}}  {row.checked:8}  {row.max_absolute:9.2e}  {row.max_relative:9.2e}"
            if not row.ok:
                line += f"  WRONG at {row.worst}: backward {row.backward:.6g}, difference {row.difference:.6g}"
            lines.append(line)
        return "\n".join(lines)


def gradcheck(
    function: Module | Callable[..., Any],
    *inputs: Any,
    backward: Callable[..., Any] | None = None,
    eps: float = 1e-6,
    atol: float = 1e-7,
    rtol: float = 1e-5,
    samples: int | None = None,
    rng: np.random.Generator | int | None = 0,
    raise_exception: bool = True,
) -> GradcheckReport:
    """Compare gradients with central differences ``(f(x + eps) - f(x - eps)) / (2 eps)``.

    The function is made a number by a product with a random array g; then g is the gradient that arrives at
    its output.

    Parameters
    ----------
    function : Module or callable
        A module (a layer, a whole network, a loss), of which a float64 copy in ``train()`` mode is checked:
        the inputs and every parameter. Or a function ``forward(*inputs)``, together with `backward`.
    *inputs : ndarray
        Arrays of floats are turned into float64 and checked; others (labels, indices) are passed on.
    backward : callable, optional
        For a function: ``backward(grad_output, *inputs)`` returns a gradient or a tuple of them, in the order
        of the inputs. None in the tuple, and inputs behind its end, are not checked; nor are gradients of
        optional arguments that were left out. A `backward` without the last inputs among its arguments (that
        of ``conv2d`` has no bias) is called without them.
    eps : float
        Half the distance of the two points.
    atol, rtol : float
        A value passes when ``|backward - difference| <= atol + rtol * |difference|``.
    samples : int, optional
        Compare only so many values of each array, drawn at random.
    rng : Generator, int or None
        Source of g and of the samples.
    raise_exception : bool
        False: return the report of a failed check as well.

    Returns
    -------
    GradcheckReport
        The largest errors of each array; true when all agree.

    Raises
    ------
    AssertionError
        When a gradient is wrong; the message is the report.

    Notes
    -----
    Random generators below the module (`Dropout`) are set back before every forward pass, so that all passes
    draw the same mask. Batch normalisation uses the statistics of the batch; the running ones of the copy are
    dropped. The function has to be smooth between the two points: keep inputs of ReLU and the two largest
    values of a max-pooling window further apart than `eps`, which random inputs nearly always are.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F, gradcheck, nn
    >>> rng = np.random.default_rng(0)
    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3, rng=rng), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3, rng=rng))
    >>> report = gradcheck(net, rng.normal(size=(2, 1, 6, 6)))
    >>> report.ok, [row.name for row in report.rows]
    (True, ['input 0', '0.weight', '0.bias', '3.weight', '3.bias'])
    >>> bool(gradcheck(F.relu, rng.normal(size=5), backward=F.relu_backward))
    True
    """
    if not (isinstance(function, Module) or callable(function)):
        raise TypeError(f"gradcheck: function must be a Module or a callable, got {type(function).__name__}")
    _check_backward(function, backward)
    for name, limit in (("eps", eps), ("atol", atol), ("rtol", rtol)):
        if _args.number("gradcheck", name, limit) < 0 or (name == "eps" and limit == 0):
            raise ValueError(f"gradcheck: {name} must be positive, got {limit}")
    if samples is not None:
        samples = _args.index("gradcheck", "samples", samples, 1)
    rng = np.random.default_rng(rng)
    arrays = [_prepared(x) for x in inputs]
    run = _ModuleRun(function, arrays) if isinstance(function, Module) else _FunctionRun(function, backward, arrays)
    before = [x.copy() for x in arrays]
    output = np.asarray(run.forward())
    grad_output = rng.normal(size=output.shape)
    gradients = list(run.gradients(grad_output if output.ndim else grad_output[()]))
    if not all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(arrays, before)):
        raise AssertionError("gradcheck: forward or backward wrote into an input")

    def value() -> float:
        return float(np.sum(np.asarray(run.forward()) * grad_output))

    rows = tuple(_row(name, x, grad, value, (eps, atol, rtol), samples, rng) for name, x, grad in gradients)
    report = GradcheckReport(rows)
    if raise_exception and not report.ok:
        raise AssertionError(f"gradcheck: backward and differences disagree\n{report}")
    return report


def _check_backward(function: Any, backward: Any) -> None:
    name = getattr(function, "__name__", type(function).__name__)
    if isinstance(function, Module):
        if backward is not None:
            raise TypeError(f"gradcheck: backward must be left out for a module, which has its own, got {backward!r}")
    elif backward is None:
        raise TypeError(f"gradcheck: backward must be given for a function, as in gradcheck({name}, x, backward=...)")
    elif not callable(backward):
        raise TypeError(f"gradcheck: backward must be a callable, got {backward!r}")


class _FunctionRun:
    """A pair of functions with their inputs."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any] | None, inputs: list[Array]) -> None:
        assert backward is not None
        self._forward, self._backward, self._inputs = forward, backward, inputs

    def forward(self) -> Any:
        return self._forward(*self._inputs)

    def gradients(self, grad_output: Any) -> Iterator[tuple[str, Array, Any]]:
        """Yield name, array and gradient of all that is to be checked."""
        taken = self._inputs[: _taken(self._forward, self._backward, len(self._inputs))]
        grads = self._backward(grad_output, *taken)
        if isinstance(grads, tuple):
            grads = grads[: len(self._inputs)] + tuple(g for g in self._further(grads) if g is not None)
        yield from _input_gradients(self._inputs, grads)

    def _further(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the gradients that belong to no argument of the forward function."""
        try:
            count = len(inspect.signature(self._forward).parameters)
        except (TypeError, ValueError):  # not written in Python
            count = 0
        return grads[max(count, len(self._inputs)) :]


def _taken(forward: Callable[..., Any], backward: Callable[..., Any], count: int) -> int:
    """Return how many of `count` inputs `backward` takes: one that continues otherwise than `forward` ends there."""
    try:
        names = list(inspect.signature(forward).parameters)[:count]
        others = list(inspect.signature(backward).parameters.values())[1:]
    except (TypeError, ValueError):  # not written in Python
        return count
    known = {parameter.name for parameter in others}
    for index, (name, other) in enumerate(zip(names, others)):
        if name != other.name:
            return index if index and name not in known and other.default is not other.empty else count
    return count


class _ModuleRun:
    """A float64 copy of a module with its inputs; every forward pass starts from the same random state."""

    def __init__(self, module: Module, inputs: list[Array]) -> None:
        self._module = copy.deepcopy(module).to(np.float64).train()
        self._module.zero_grad()
        self._states = self._module.rng_states()
        self._inputs = inputs

    def forward(self) -> Any:
        self._module.load_rng_states(self._states)
        return self._module(*self._inputs)

    def gradients(self, grad_output: Any) -> Iterator[tuple[str, Array, Any]]:
        """Yield name, array and gradient of all that is to be checked."""
        yield from _input_gradients(self._inputs, self._module.backward(grad_output))
        for name, parameter in self._module.named_parameters():
            grad = np.zeros_like(parameter.data) if parameter.grad is None else parameter.grad
            yield name, parameter.data, grad


def _prepared(x: Any) -> Array:
    values = np.asarray(x)
    return np.array(values, np.float64 if values.dtype.kind == "f" else values.dtype, order="C")


def _input_gradients(inputs: list[Array], grads: Any) -> Iterator[tuple[str, Array, Any]]:
    several = grads if isinstance(grads, tuple) else (grads,)
    if len(several) > len(inputs):
        raise ValueError(f"gradcheck: backward returned {len(several)} gradients for {len(inputs)} inputs")
    for index, (x, grad) in enumerate(zip(inputs, several)):
        if grad is not None and x.dtype.kind == "f":
            yield f"input {index}", x, grad


def _row(
    name: str,
    x: Array,
    grad: Any,
    value: Callable[[], float],
    limits: tuple[float, float, float],
    samples: int | None,
    rng: np.random.Generator,
) -> GradcheckRow:
    """Compare the gradient of one array, which is changed in place and set back."""
    eps, atol, rtol = limits
    analytic = np.asarray(grad)
    if analytic.shape != x.shape:
        raise AssertionError(f"gradcheck: the gradient of {name} has shape {analytic.shape}, not {x.shape}")
    positions = np.arange(x.size)
    if samples is not None and samples < x.size:
        positions = np.sort(rng.choice(x.size, samples, replace=False))
    flat = x.reshape(-1)
    numeric = np.empty(len(positions))
    for i, position in enumerate(positions):
        old = flat[position]
        flat[position] = old + eps
        above = value()
        flat[position] = old - eps
        numeric[i] = (above - value()) / (2 * eps)
        flat[position] = old
    found = analytic.reshape(-1)[positions]
    error = np.abs(found - numeric)
    larger = np.maximum(np.abs(found), np.abs(numeric))
    relative = np.divide(error, larger, out=np.zeros_like(error), where=larger > atol)
    beyond = error - (atol + rtol * np.abs(numeric))
    if not len(positions):
        return GradcheckRow(name, x.shape, 0, 0.0, 0.0, (), 0.0, 0.0, True)
    worst = int(np.argmax(beyond))  # a NaN counts as the largest
    index = tuple(int(i) for i in np.unravel_index(positions[worst], x.shape))
    return GradcheckRow(
        name,
        x.shape,
        len(positions),
        float(error.max()),
        float(relative.max()),
        index,
        float(found[worst]),
        float(numeric[worst]),
        bool((beyond <= 0).all()),
    )
