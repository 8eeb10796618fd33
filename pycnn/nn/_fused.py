"""A batch normalisation and the ReLU behind it, run in one pass over the memory.

Both keep what they would keep alone, so that either's ``backward`` can be called by itself.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from ._types import Array
from .activation import ReLU
from .layer import kept
from .module import Module
from .norm import BatchNorm1d, BatchNorm2d

_OWN_RUNS = ("forward", "backward", "_forward", "_backward")


def fuses(first: Module, second: Module) -> bool:
    """Return whether `first` and then `second` may run as one: such layers, none of them watched or changed."""
    return (
        type(second) is ReLU
        and type(first) in (BatchNorm1d, BatchNorm2d)
        and first.training == second.training
        and not any(name in vars(layer) for layer in (first, second) for name in _OWN_RUNS)
    )


def steps(layers: Iterable[tuple[str, Module]]) -> Iterator[tuple[str, Any, Module | None]]:
    """Yield every layer with its name, and with the ReLU behind it where both run as one."""
    items = list(layers)
    index = 0
    while index < len(items):
        name, layer = items[index]
        behind = items[index + 1][1] if index + 1 < len(items) else None
        relu = behind if behind is not None and fuses(layer, behind) else None
        yield name, layer, relu
        index += 1 if relu is None else 2


def forward(norm: Any, relu: Module, x: Array) -> Array:
    """Return ``relu(norm(x))``."""
    training = norm.training
    if training:
        norm._saved = relu._saved = None
    y: Array
    y, saved = norm._normalise(x, training, True)
    if training:  # in eval() mode nothing is written: many threads may be here
        norm._saved, relu._saved = (saved,), (y,)
    return y


def backward(norm: Any, relu: Module, grad_output: Any, needs_input_grad: bool) -> Array | None:
    """Return ``norm.backward(relu.backward(grad_output))``."""
    kept(relu)
    saved = kept(norm)
    grad: Array | None
    if saved[-1] is None:
        grad = norm.backward(relu.backward(grad_output), needs_input_grad=needs_input_grad)
    else:
        grad = norm._slopes(grad_output, saved, saved[-1], needs_input_grad)
        norm._saved = relu._saved = None
    return grad
