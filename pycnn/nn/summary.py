"""What a network is made of and what it costs, layer by layer, without running it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._types import Shape

if TYPE_CHECKING:
    from .module import Module


@dataclass(frozen=True)
class Row:
    """One layer of a `Summary`.

    Attributes
    ----------
    name : str
        Dotted name, as in ``state_dict``.
    type : str
        Class of the layer.
    input_shapes : tuple of tuple of int
        Shape of each input.
    output_shape : tuple of int
        Shape of the (first) output.
    parameters : int
        Number of learnable values.
    multiply_adds : int
        Products that convolution and matrix multiplication sum up in one forward pass over the whole batch.
    parameter_bytes : int
        Memory of the parameters.
    kept_bytes : int
        Memory that stays in use from forward to backward because of this layer. An array that two layers keep
        is counted at the first of them.
    """

    name: str
    type: str
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    parameters: int
    multiply_adds: int
    parameter_bytes: int
    kept_bytes: int


@dataclass(frozen=True)
class Summary:
    """A network's layers with shapes and costs; prints as a table.

    Attributes
    ----------
    name : str
        Class of the network.
    rows : tuple of Row
        One row a layer, in the order in which they run.

    Examples
    --------
    >>> from pycnn import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    ...                     nn.Linear(128, 10))
    >>> table = net.summary((1, 1, 8, 8))
    >>> print(table)
    Sequential
    layer  type       output shape  parameters  multiply-adds  kept for backward
    ----------------------------------------------------------------------------
    0      Conv2d     (1, 8, 8, 8)          80          4,608              256 B
    1      ReLU       (1, 8, 8, 8)           0              0            2.0 KiB
    2      MaxPool2d  (1, 8, 4, 4)           0              0              128 B
    3      Flatten    (1, 128)               0              0                0 B
    4      Linear     (1, 10)            1,290          1,280              512 B
    ----------------------------------------------------------------------------
    total                                1,370          5,888            2.9 KiB
    memory of the parameters: 5.4 KiB
    >>> table.parameters, table.rows[4].multiply_adds
    (1370, 1280)
    """

    name: str
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """Number of learnable values."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass over the batch."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def parameter_bytes(self) -> int:
        """Memory of the parameters in bytes."""
        return sum(row.parameter_bytes for row in self.rows)

    @property
    def kept_bytes(self) -> int:
        """Memory kept from forward to backward in ``train()`` mode, in bytes."""
        return sum(row.kept_bytes for row in self.rows)

    def __str__(self) -> str:
        head = ("layer", "type", "output shape", "parameters", "multiply-adds", "kept for backward")
        body = [
            (
                row.name,
                row.type,
                str(row.output_shape),
                f"{row.parameters:,}",
                f"{row.multiply_adds:,}",
                format_bytes(row.kept_bytes),
            )
            for row in self.rows
        ]
        total = (
            "total",
            "",
            "",
            f"{self.parameters:,}",
            f"{self.multiply_adds:,}",
            format_bytes(self.kept_bytes),
        )
        widths = [max(len(line[i]) for line in (head, *body, total)) for i in range(len(head))]
        lines = [
            "  ".join(
                cell.ljust(width) if i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in (head, *body, total)
        ]
        rule = "-" * len(lines[0])
        memory = f"memory of the parameters: {format_bytes(self.parameter_bytes)}"
        return "\n".join([self.name, lines[0], rule, *lines[1:-1], rule, lines[-1], memory])


def format_bytes(count: int) -> str:
    """Return a number of bytes in the unit that keeps it short.

    Examples
    --------
    >>> format_bytes(512), format_bytes(2048), format_bytes(3 * 2**30)
    ('512 B', '2.0 KiB', '3.0 GiB')
    """
    if count < 1024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, 4)
    return f"{count / 1024**power:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"


class Value(NamedTuple):
    """An array of the traced network: its shape, and which memory holds it (a view shares its source's)."""

    shape: Shape
    memory: int


class Tracer:
    """Follows shapes through a network and writes a row a layer."""

    def __init__(self, itemsize: int) -> None:
        self.rows: list[Row] = []
        self._itemsize = itemsize
        self._memories = 0
        self._kept: set[int] = set()

    def new(self, shape: Shape) -> Value:
        """Return a value in memory of its own."""
        self._memories += 1
        return Value(shape, self._memories)

    def leaf(self, module: "Module", name: str, inputs: list[Value]) -> list[Value]:
        """Write the row of a layer and return its outputs."""
        shapes = [value.shape for value in inputs]
        outputs = [self.new(shape) for shape in _shapes(module.output_shape(*shapes))]
        what, extra = module._kept(*shapes)
        if "view" in what:
            outputs[0] = Value(outputs[0].shape, inputs[0].memory)
        kept = extra + sum(
            self._keep(value) for key, value in (("input", inputs[0]), ("output", outputs[0])) if key in what
        )
        parameters = list(module.parameters())
        self.rows.append(
            Row(
                name,
                type(module).__name__,
                tuple(shapes),
                outputs[0].shape,
                sum(p.size for p in parameters),
                module.multiply_adds(*shapes),
                sum(p.data.nbytes for p in parameters),
                kept,
            )
        )
        return outputs

    def _keep(self, value: Value) -> int:
        if value.memory in self._kept:
            return 0
        self._kept.add(value.memory)
        return int(np.prod(value.shape, dtype=object)) * self._itemsize


def summarize(module: "Module", input_shapes: Sequence[Shape], dtype: np.dtype[Any]) -> Summary:
    """Trace `module` for these inputs."""
    tracer = Tracer(dtype.itemsize)
    module._trace(tracer, "", [tracer.new(tuple(shape)) for shape in input_shapes])
    return Summary(type(module).__name__, tuple(tracer.rows))


def _shapes(result: Any) -> list[Shape]:
    """Return the shapes of all outputs, from one shape or a tuple of them."""
    return list(result) if result and isinstance(result[0], tuple) else [result]
