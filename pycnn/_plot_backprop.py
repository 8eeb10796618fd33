"""Pictures of what backpropagation does: windows, masks and deltas with their numbers in the cells.

The functions that take small plain arrays compute with `pycnn.functional` and write every number into its
cell; `draw_gradient_flow` shows a whole network at work. All return a Matplotlib figure
(``figure.savefig("name.png")``; a notebook shows it by itself). Blue is what flows forward, orange and violet
are positive and negative deltas on their way back, green are weights. Needs Matplotlib:
``pip install "pycnn[train]"``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pycnn import functional as F
from pycnn._plot_board import (
    BACKWARD,
    BODY,
    FAINT,
    FORWARD,
    INK,
    PAPER,
    SMALL,
    Array,
    Grid,
    Item,
    Row,
    Sign,
    as_matrix,
    blank,
    number_text,
    sheet,
    total,
)
from pycnn._plot_convolution import (
    conv_as_matrix,
    draw_conv_backward,
    draw_conv_matrix,
    draw_im2col,
    draw_reads,
)
from pycnn._plot_flow import Step, draw_gradient_flow, draw_layers, trace_gradients
from pycnn._plot_pooling import draw_pooling, draw_shift, draw_ties

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Step",
    "conv_as_matrix",
    "draw_batch_norm",
    "draw_conv_backward",
    "draw_conv_matrix",
    "draw_gradient_flow",
    "draw_im2col",
    "draw_layers",
    "draw_linear",
    "draw_pooling",
    "draw_reads",
    "draw_shift",
    "draw_ties",
    "trace_gradients",
]


def draw_batch_norm(x: Any, grad_output: Any, weight: float = 1.0) -> "Figure":
    """Draw batch normalisation of one channel: backward, two parts of the deltas are taken away.

    Parameters
    ----------
    x : array (N,)
        The values of one channel in a batch, at least two different ones.
    grad_output : array (N,)
        The deltas that arrive.
    weight : float
        The channel's learnt scale.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        When the two differ in length or all values are the same.

    Examples
    --------
    >>> from pycnn.plot import draw_batch_norm
    >>> figure = draw_batch_norm([1, 3, 4, 5, 7], [0, 3, 2, 1, 4], 2.0)
    """
    values, dy = (np.asarray(v, dtype=np.float64).reshape(-1, 1) for v in (x, grad_output))
    if values.shape != dy.shape or values.std() == 0:
        raise ValueError("draw_batch_norm: x must have as many values as grad_output, and not all the same")
    normal, _, inv_std = F.batch_norm(values, None, None, training=True, return_stats=True)
    scale = np.array([float(weight)])
    dx = np.asarray(F.batch_norm_backward(dy, values, None, None, scale, training=True)[0])
    slope, limit = float((dy * normal).mean()), float(np.abs(dy).max())

    def column(cells: Array, title: str, note: str = "") -> Grid:
        return Grid(cells, title, "delta", note, cell=1.1, limit=limit)

    forward: list[Item] = [
        Grid(values, "x", cell=1.1),
        Sign("->", "minus the mean,\nover std", FORWARD),
        Grid(normal, "normalised", cell=1.1),
        Sign("->", f"× weight {number_text(weight)}", FORWARD),
        Grid(normal * weight, "y", cell=1.1),
    ]
    backward: list[Item] = [
        column(dy, "dy", f"mean {number_text(float(dy.mean()))}"),
        Sign("\u2212"),
        column(np.full_like(dy, dy.mean()), "its mean", "moving all x\nchanges nothing"),
        Sign("\u2212"),
        column(normal * slope, "its part along\nthe normalised x", "stretching all x\nchanges nothing"),
        Sign("->", "× weight / std", BACKWARD, f"= {number_text(float(weight * inv_std[0]))}"),
        column(dx, "dx", total(dx)),
    ]
    return sheet([Row(forward, "Forward"), Row(backward, "Backward")])


WIDE = 18.0  # units: width of the picture of a fully connected layer


def _circle(axes: "Axes", at: tuple[float, float], text: str, colour: str) -> None:
    from matplotlib.patches import Circle

    axes.add_patch(Circle(at, 0.62, facecolor=PAPER, edgecolor=colour, lw=2.2, zorder=3))
    axes.text(*at, text, color=INK, fontsize=BODY, ha="center", va="center", zorder=4)


def _edges(axes: "Axes", left: Sequence[tuple[float, float]], right: Sequence[tuple[float, float]], w: Array) -> None:
    for (i, end), (j, start) in ((a, b) for a in enumerate(right) for b in enumerate(left)):
        axes.plot([start[0], end[0]], [start[1], end[1]], color="#8cc9ae", lw=1.2 + abs(w[i, j]), zorder=1)
        share = 0.36 if j % 2 == 0 else 0.7
        at = (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
        box = {"boxstyle": "round,pad=0.2", "facecolor": PAPER, "edgecolor": "#4fb38a", "lw": 0.8}
        axes.text(*at, number_text(w[i, j]), fontsize=SMALL, ha="center", va="center", color=INK, bbox=box, zorder=2)


def _bracketed(value: float) -> str:
    text = number_text(value)
    return f"({text})" if value < 0 else text


def _neuron(axes: "Axes", at: tuple[float, float], name: str, forward: str, backward: str, side: int) -> None:
    """Draw a circle with its name, and beside it (left for side -1) what went forward and what comes back."""
    _circle(axes, at, name, FORWARD)
    align = "left" if side > 0 else "right"
    for words, up, colour, weight in ((forward, -0.3, FORWARD, "normal"), (backward, 0.4, BACKWARD, "bold")):
        axes.text(at[0] + 0.9 * side, at[1] + up, words, color=colour, ha=align, va="center", weight=weight)


def draw_linear(x: Any, weight: Any, grad_output: Any, bias: Any = None) -> "Figure":
    """Draw a fully connected layer with ReLU as a network, and the sum that each input cell gets back.

    Parameters
    ----------
    x : array (J,)
        The cells that feed the layer.
    weight : array (I, J)
    grad_output : array (I,)
        The gradient at the output of each neuron, after its ReLU.
    bias : array (I,), optional

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from pycnn.plot import draw_linear
    >>> figure = draw_linear([4, 2], [[0.5, 1], [1, -1], [0.5, 0.5]], [2, 3, 6])
    """
    w = as_matrix("draw_linear", "weight", weight)
    cells, dy = np.asarray(x, dtype=np.float64), np.asarray(grad_output, dtype=np.float64)
    sums = F.linear(cells[None], w, None if bias is None else np.asarray(bias, dtype=np.float64))
    delta = F.relu_backward(dy[None], sums)
    dx = np.asarray(F.linear_backward(delta, cells[None], w)[0])[0]
    open_ = (sums[0] > 0).astype(int)
    neurons, inputs = w.shape
    height = 2.3 * max(neurons, inputs) + 1.2
    figure, axes = blank(WIDE, height + 0.9 * inputs + 0.6)
    left = [(4.2, 0.9 + (j + 0.5) * (height - 1.2) / inputs) for j in range(inputs)]
    right = [(12.4, 0.9 + (i + 0.5) * (height - 1.2) / neurons) for i in range(neurons)]
    _edges(axes, left, right, w)
    for i, at in enumerate(right):
        told = f"sum {number_text(sums[0, i])}, so f' = {open_[i]}"
        _neuron(axes, at, f"$FC_{i + 1}$", told, f"gradient {number_text(dy[i])}", 1)
    for j, at in enumerate(left):
        _neuron(axes, at, f"$P_{j + 1}$", f"value {number_text(cells[j])}", f"gets {number_text(dx[j])}", -1)
        parts = (f"{number_text(d)}·{f}·{_bracketed(float(v))}" for d, f, v in zip(dy, open_, w[:, j]))
        line = f"grad $P_{j + 1}$  =  " + "  +  ".join(parts) + f"  =  {number_text(dx[j])}"
        at_line = (WIDE / 2, height + 0.9 * j + 0.4)
        axes.text(*at_line, line, color=BACKWARD, fontsize=BODY + 1, ha="center", va="center")
    told = "gradient · slope · weight, summed over the neurons"
    axes.text(WIDE / 2, 0.5, told, color=FAINT, fontsize=SMALL, ha="center")
    return figure
