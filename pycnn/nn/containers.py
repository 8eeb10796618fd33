"""`Sequential`: layers one after the other."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from . import _check, _fused
from ._types import Array, Shape
from .layer import Layer, one_shape
from .module import Module
from .summary import Tracer, Value


class Sequential(Layer):
    """A network whose layers run one after the other.

    Parameters
    ----------
    *layers : Module
        The layers, named "0", "1", ...; or one mapping of names to layers.

    Raises
    ------
    TypeError
        For something that is not a `Module`.
    ValueError
        For a layer that is there twice: it keeps what its backward needs, so every place needs a layer of its
        own.

    Notes
    -----
    What ``forward`` raises names the layer: ``Sequential: layer 3 (Linear): ...``.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> net = nn.Sequential(
    ...     nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)
    ... )
    >>> net
    Sequential(
      (0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (1): ReLU()
      (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
      (3): Flatten(start_dim=1, end_dim=-1)
      (4): Linear(in_features=64, out_features=10, bias=True)
    )
    >>> y = net(np.ones((2, 1, 8, 8), np.float32))
    >>> net.backward(np.ones_like(y)).shape
    (2, 1, 8, 8)
    >>> net.output_shape((2, 1, 9, 9))
    (2, 10)
    >>> net.output_shape((2, 1, 28, 28))
    Traceback (most recent call last):
        ...
    ValueError: Sequential: layer 4 (Linear): expects 64 features, got 784
    """

    def __init__(self, *layers: Module | Mapping[str, Module]) -> None:
        self._layers: dict[str, Module] = {}
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named: Iterable[tuple[str, Any]] = layers[0].items()
        else:
            named = ((str(index), layer) for index, layer in enumerate(layers))
        for name, layer in named:
            self._add(name, layer)

    def append(self, layer: Module) -> Self:
        """Add a layer at the end, under the next number as its name."""
        self._add(str(len(self._layers)), layer)
        return self

    def _add(self, name: str, layer: Module) -> None:
        where = f"Sequential: layer {name}"
        if not isinstance(layer, Module):
            raise TypeError(f"{where} must be a Module, got {type(layer).__name__}")
        if not isinstance(name, str) or not name or "." in name or name in self._layers:
            raise ValueError(f"{where}: a name is a new string without dots, got {name!r}")
        check_new(where, {id(part): key for key, part in self.named_modules()}, layer)
        self._layers[name] = layer

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers.values())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...
    def __getitem__(self, index: int | slice) -> "Module | Sequential":
        """Return a layer, or for a slice a network of these very layers under the same names."""
        items = list(self._layers.items())
        if isinstance(index, slice):
            return Sequential(dict(items[index]))
        number = _check.integer("Sequential", "index", index)
        if not -len(items) <= number < len(items):
            raise IndexError(f"Sequential: index must be below the number of layers, {len(items)}, got {number}")
        return items[number][1]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the layers with their names."""
        yield from self._layers.items()

    def output_shape(self, *input_shapes: Shape) -> Any:
        """Return the output's shape; a ValueError names the layer that the shape does not fit."""
        shape = one_shape(self, input_shapes)
        for name, layer in self._layers.items():
            with naming(f"Sequential: layer {name}", layer):
                shape = layer.output_shape(shape)
        return shape

    def _forward(self, x: Array, training: bool) -> tuple[Any, Any]:
        for name, layer, relu in _fused.steps(self._layers.items()):
            with naming(f"Sequential: layer {name}", layer):
                x = layer(x) if relu is None else _fused.forward(layer, relu, x)
        return x if self._layers else _check.array("Sequential", x), None

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        check_training("Sequential: layer", self._layers.items())
        layers = list(self._layers.items())
        start = 0
        if not needs_input_grad:  # then nothing in front of the first parameter needs a gradient either
            while start < len(layers) and next(layers[start][1].parameters(), None) is None:
                drop_kept(layers[start][1])
                start += 1
        grad: Array | None = grad_output
        for index, (_, layer, relu) in reversed(list(enumerate(_fused.steps(layers[start:])))):
            needs = needs_input_grad or index > 0
            if relu is None:
                grad = layer.backward(grad, needs_input_grad=needs)
            else:
                grad = _fused.backward(layer, relu, grad, needs)
        return grad

    def _trace(self, tracer: Tracer, name: str, inputs: list[Value]) -> list[Value]:
        for key, layer in self._layers.items():
            with naming(f"Sequential: layer {key}", layer):
                inputs = layer._trace(tracer, f"{name}.{key}" if name else key, inputs)
        return inputs


class naming:
    """Context that puts the place in the network in front of the message of a ValueError or TypeError.

    A class because `contextlib.contextmanager` costs more than a small layer.
    """

    __slots__ = ("layer", "where")

    def __init__(self, where: str, layer: Module) -> None:
        self.where, self.layer = where, layer

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is ValueError or kind is TypeError:
            own = type(self.layer).__name__
            raise kind(f"{self.where} ({own}): {str(error).removeprefix(own + ': ')}") from error


def check_new(where: str, have: Mapping[int, str], layer: Module) -> None:
    """Raise ValueError when a module of `layer` is in the network already, whose ids and names are `have`."""
    for module in layer.modules():
        if id(module) in have:
            other = repr(have[id(module)]) if have[id(module)] else "the network itself"
            raise ValueError(
                f"{where} ({type(module).__name__}) is the same object as {other}: a layer keeps what "
                "its backward needs, so give each place a layer of its own"
            )


def check_training(where: str, parts: Iterable[tuple[str, Module]]) -> None:
    """Raise RuntimeError when a part is in ``eval()`` mode, before any part has changed a gradient."""
    for name, part in parts:
        if not part.training:
            raise RuntimeError(
                f"{where} {name} ({type(part).__name__}) is in eval() mode and kept nothing for backward"
            )


def drop_kept(module: Module) -> None:
    """Drop what a module and those below it kept for a backward that will not come."""
    for part in module.modules():
        part._saved = None
