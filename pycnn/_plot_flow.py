"""The gradient's way back through a whole network, layer by layer. See `pycnn.plot`."""

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pycnn._plot_board import (
    BACKWARD,
    FAINT,
    FORWARD,
    HEADING,
    INK,
    SMALL,
    Array,
    Grid,
    Item,
    Row,
    Sign,
    as_image,
    as_matrix,
    blank,
    draw_grid,
    number_text,
    sheet,
    total,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAP, GAP, COLUMN = 1.55, 0.2, 2.75  # units: side of a map, space between two, width of a layer's column


class Step(NamedTuple):
    """One layer's share of a pass through a network.

    Attributes
    ----------
    name : str
        The layer as it prints itself.
    activation : ndarray
        What the layer put out.
    delta : ndarray
        Gradient of the loss by that output, of the same shape.
    """

    name: str
    activation: Array
    delta: Array


def _layers(module: Any) -> Iterator[Any]:
    """Yield the layers of nested Sequentials in their order; any other module counts as one layer."""
    from pycnn import nn

    if not isinstance(module, nn.Sequential):
        yield module
        return
    for child in module.children():
        yield from _layers(child)


def trace_gradients(net: Any, x: Array, grad_output: Any) -> list[Step]:
    """Run a network forward and backward and keep what passes between its layers.

    Parameters
    ----------
    net : pycnn.nn.Module
        Best a `Sequential`: its layers become one step each. It is not changed, a copy does the work.
    x : ndarray
        A batch.
    grad_output : ndarray or callable
        The gradient at the network's output, or a function that takes the output and returns it.

    Returns
    -------
    list of Step
        The input first, then every layer.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> from pycnn.plot import trace_gradients
    >>> net = nn.Sequential(nn.ReLU(), nn.AvgPool2d(2))
    >>> x = np.array([[[[1.0, -2.0], [3.0, 6.0]]]])
    >>> for step in trace_gradients(net, x, np.full((1, 1, 1, 1), 8.0)):
    ...     print(step.name, step.delta.ravel())
    input [2. 0. 2. 2.]
    ReLU() [2. 2. 2. 2.]
    AvgPool2d(kernel_size=2, stride=2, padding=0) [8.]
    """
    layers = list(_layers(copy.deepcopy(net).train()))
    activations = [x]
    for layer in layers:
        activations.append(layer(activations[-1]))
    deltas = [grad_output(activations[-1]) if callable(grad_output) else grad_output]
    for layer in reversed(layers):
        deltas.append(layer.backward(deltas[-1]))
    names = ["input", *(repr(layer) for layer in layers)]
    return [Step(*step) for step in zip(names, activations, deltas[::-1])]


def draw_layers(net: Any, x: Any, grad_output: Any) -> "Figure":
    """Draw a small network on one small image with every number in its cell: values forward, deltas backward.

    Parameters
    ----------
    net : pycnn.nn.Module
        Layers that keep a single channel.
    x : array (H, W)
    grad_output : array
        The deltas at the output, of its shape without batch and channel.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from pycnn import nn
    >>> from pycnn.plot import draw_layers
    >>> figure = draw_layers(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), [[-1, 2], [3, 1]], [[5]])
    """
    image = as_image(as_matrix("draw_layers", "x", x))
    dy = as_image(as_matrix("draw_layers", "grad_output", grad_output))
    steps = trace_gradients(net, image, dy)
    forward: list[Item] = []
    backward: list[Item] = []
    limit = max(float(np.abs(step.delta).max()) for step in steps)
    for step in steps:
        name = step.name.split("(")[0]
        if forward:
            forward.append(Sign("->", name, FORWARD))
            backward.append(Sign("<-", name, BACKWARD))
        forward.append(Grid(step.activation[0, 0]))
        backward.append(Grid(step.delta[0, 0], role="delta", note=total(step.delta), limit=limit))
    return sheet([Row(forward, "Values go forward"), Row(backward, "Deltas come back")])


def _maps(values: Array, channels: int) -> list[Array]:
    """Split one sample (C, H, W) into the maps to draw; a vector is one column of cells."""
    if values.ndim == 3:
        return list(values[:channels])
    return [values.reshape(-1, 1)]


def _stack(
    axes: "Axes",
    values: Array,
    role: str,
    x: float,
    y: float,
    channels: int,
    names: Sequence[str],
    height: float,
) -> None:
    """Draw the maps of one sample below each other, all on one scale, in the middle of `height`."""
    maps = _maps(values, channels)
    limit = float(np.abs(values).max()) or 1.0
    if values.ndim != 3:
        cell = min(height / len(maps[0]), 0.85)
        numbers = cell > 0.5
        short = [[number_text(round(float(value), 1 if abs(value) >= 1 else 2))] for (value,) in maps[0]]
        grid = Grid(
            maps[0],
            role=role,
            cell=cell,
            labels=short if numbers else None,
            numbers=numbers,
            limit=limit,
            row_names=names if numbers and len(names) == len(maps[0]) else (),
        )
        draw_grid(axes, grid, x + (MAP - cell) / 2, y + (height - cell * len(maps[0])) / 2)
        return
    top = y + (height - len(maps) * (MAP + GAP) + GAP) / 2
    for number, plane in enumerate(maps):
        side = MAP / max(plane.shape)
        at = x + (MAP - side * plane.shape[1]) / 2
        draw_grid(
            axes,
            Grid(plane, role=role, cell=side, numbers=False, limit=limit),
            at,
            top + number * (MAP + GAP),
        )


def _arrow(axes: "Axes", start: float, stop: float, y: float, colour: str) -> None:
    from matplotlib.patches import FancyArrowPatch

    style = "simple,head_width=7,head_length=7,tail_width=2"
    axes.add_patch(FancyArrowPatch((start, y), (stop, y), arrowstyle=style, color=colour, lw=0, mutation_scale=1))


def _left_out(values: Array, channels: int) -> str:
    """Return a line that says how many of the maps are drawn, where it is not all of them."""
    return f"\n{channels} of {len(values)} maps" if values.ndim == 3 and len(values) > channels else ""


def _shape_text(values: Array) -> str:
    return " × ".join(str(n) for n in values.shape)


def draw_gradient_flow(
    net: Any,
    x: Array,
    grad_output: Any,
    *,
    sample: int = 0,
    channels: int = 4,
    class_names: Sequence[str] = (),
) -> "Figure":
    """Draw what flows through a network for one sample: activations forward above, deltas backward below.

    Parameters
    ----------
    net, x, grad_output
        As in `trace_gradients`; images are (N, C, H, W).
    sample : int
        Which of the batch is drawn.
    channels : int
        At most so many maps of a layer are drawn, and the picture says of how many; each layer has a colour scale of
        its own.
    class_names : sequence of str
        Names of the outputs.

    Returns
    -------
    matplotlib.figure.Figure
        Under the deltas stand their Euclidean norm and the share of exact zeros: ReLU and max pooling stop
        most of the gradient, and a cell that is 0 there learns nothing from this sample.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> from pycnn.plot import draw_gradient_flow
    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3, rng=0))
    >>> figure = draw_gradient_flow(net, np.ones((1, 1, 4, 4), np.float32), lambda y: np.ones_like(y))
    """
    steps = trace_gradients(net, x, grad_output)
    steps = [step for step in steps if not step.name.startswith(("Flatten", "Identity"))]
    shown = max(len(_maps(step.activation[sample], channels)) for step in steps)
    height = max(shown * (MAP + GAP), 4.5)
    figure, axes = blank(len(steps) * COLUMN + 0.4, 2 * height + 5.0)
    tops = (2.2, 2.2 + height + 1.5)
    look: dict[str, Any] = {"fontsize": HEADING, "weight": "bold", "va": "top"}
    axes.text(0.5, 0.3, "Forward: activations", color=FORWARD, **look)
    axes.text(0.5, tops[1] - 1.1, "Backward: deltas", color=BACKWARD, **look)
    for number, step in enumerate(steps):
        left = 0.8 + number * COLUMN
        activation, delta = step.activation[sample], step.delta[sample]
        name = f"{step.name.split('(')[0]}\n{_shape_text(activation)}{_left_out(activation, channels)}"
        axes.text(left + MAP / 2, tops[0] - 0.25, name, fontsize=SMALL, color=INK, ha="center", va="bottom")
        _stack(axes, activation, "value", left, tops[0], channels, class_names, height)
        _stack(axes, delta, "delta", left, tops[1], channels, class_names, height)
        told = f"norm {np.linalg.norm(delta):.2g}\n{(delta == 0).mean():.0%} zero"
        under = (left + MAP / 2, tops[1] + height + 0.1)
        axes.text(*under, told, fontsize=SMALL - 1, color=FAINT, ha="center", va="top")
        if number:
            _arrow(axes, left - 0.95, left - 0.25, tops[0] + height / 2, FORWARD)
            _arrow(axes, left - 0.25, left - 0.95, tops[1] + height / 2, BACKWARD)
    return figure
