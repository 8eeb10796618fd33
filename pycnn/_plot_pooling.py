"""Pictures of pooling: windows and winners, ties, shifts. See `pycnn.plot`."""

from typing import TYPE_CHECKING, Any

import numpy as np

from pycnn import functional as F
from pycnn._plot_board import (
    BACKWARD,
    FORWARD,
    PAPER,
    WINDOWS,
    Array,
    Grid,
    Item,
    Outline,
    Row,
    Sign,
    as_image,
    as_matrix,
    sheet,
    total,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _windows(shape: tuple[int, ...], kernel: int, stride: int) -> list[Outline]:
    """Frames of the windows over a grid; overlapping ones are set in by different amounts."""
    overlap = stride < kernel
    frames = []
    for number, (r, c) in enumerate(np.ndindex(*shape)):
        inset = 0.05 + (0.065 * (number % 4) if overlap else 0.0)
        frames.append(Outline(r * stride, c * stride, kernel, kernel, WINDOWS[number % len(WINDOWS)], inset))
    return frames


def _cells(shape: tuple[int, ...]) -> list[Outline]:
    return [
        Outline(r, c, 1, 1, WINDOWS[number % len(WINDOWS)], 0.08) for number, (r, c) in enumerate(np.ndindex(*shape))
    ]


def _average(image: Array, delta: Array, kernel: int, step: int) -> tuple[Array, Array, list[Item]]:
    y = F.avg_pool2d(image, kernel, step)
    dx = F.avg_pool2d_backward(delta, image.shape, kernel, step)
    return y, dx, [Sign("->", f"each cell of a window\ngets 1/{kernel**2} of its delta", BACKWARD)]


def _maximum(image: Array, delta: Array, kernel: int, step: int, ties: str) -> tuple[Array, Array, list[Item]]:
    y, indices = F.max_pool2d(image, kernel, step, return_indices=True)

    def back(deltas: Array) -> Array:
        dx: Array = F.max_pool2d_backward(deltas, indices, image.shape, kernel, step, x=image, ties=ties)
        return dx

    title = "windows that a cell wins" if step < kernel else "mask: who won"
    mask = Grid(back(np.ones_like(y))[0, 0], title, "mask", limit=2.0)
    rule = Sign("->", "the winner gets\nthe whole delta", BACKWARD)
    return y, back(delta), [rule, mask, Sign("->", colour=BACKWARD)]


def draw_pooling(
    x: Any,
    grad_output: Any,
    kernel_size: int,
    stride: int | None = None,
    *,
    kind: str = "max",
    ties: str = "first",
) -> "Figure":
    """Draw one pooling forward and backward: windows, winners, deltas that arrive and deltas that leave.

    Parameters
    ----------
    x : array (H, W)
        The input; every cell gets its number.
    grad_output : array (OH, OW)
        The deltas that arrive.
    kernel_size, stride : int
        As in `pycnn.functional.max_pool2d`, without padding.
    kind : "max" or "avg"
    ties : "first", "split" or "all"
        Who gets the delta of a window with several largest cells.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        For an unknown `kind`, or shapes that do not fit together.
    ImportError
        Without Matplotlib.

    Examples
    --------
    >>> from pycnn.plot import draw_pooling
    >>> figure = draw_pooling([[1, 3], [5, 7]], [[4]], 2, kind="avg")
    """
    if kind not in ("max", "avg"):
        raise ValueError(f"draw_pooling: kind must be 'max' or 'avg', got {kind!r}")
    cells, dy = as_matrix("draw_pooling", "x", x), as_matrix("draw_pooling", "grad_output", grad_output)
    step = kernel_size if stride is None else stride
    if kind == "avg":
        y, dx, between = _average(as_image(cells), as_image(dy), kernel_size, step)
    else:
        y, dx, between = _maximum(as_image(cells), as_image(dy), kernel_size, step, ties)
    frames, ends = _windows(y.shape[2:], kernel_size, step), _cells(y.shape[2:])
    name = "average of each window" if kind == "avg" else "largest of each window"
    top, marks = float(np.abs(dy).max()), [] if step < kernel_size else frames
    output = Grid(y[0, 0], "output", outlines=ends)
    forward: list[Item] = [Grid(cells, "input", outlines=frames), Sign("->", name, FORWARD), output]
    backward: list[Item] = [
        Grid(dy, "deltas that arrive", "delta", total(dy), outlines=ends, limit=top),
        *between,
        Grid(dx[0, 0], "deltas that leave", "delta", total(dx), marks, limit=top),
    ]
    return sheet([Row(forward, "Forward"), Row(backward, "Backward")])


def draw_ties(window: Any, delta: float) -> "Figure":
    """Draw what the three policies for ties do with the delta of one window, and with the sum.

    Parameters
    ----------
    window : array (K, K)
        A window with several largest cells.
    delta : float
        What arrives for it.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from pycnn.plot import draw_ties
    >>> figure = draw_ties([[7, 7], [3, 7]], 6.0)
    """
    cells = as_matrix("draw_ties", "window", window)
    image, dy = as_image(cells), np.full((1, 1, 1, 1), float(delta))
    size = cells.shape
    y, indices = F.max_pool2d(image, size, return_indices=True)
    tied = [Outline(r, c, 1, 1, WINDOWS[0], 0.08) for r, c in np.argwhere(cells == y.item())]
    items: list[Item] = [
        Grid(cells, "window", outlines=tied, note=f"{len(tied)} cells tie"),
        Grid(dy[0, 0], "its delta", "delta"),
        Sign("->", "hand it back", BACKWARD),
    ]
    told = {"first": "the first one wins", "split": "shared evenly", "all": "each gets the whole"}
    grids = []
    for ties, words in told.items():
        dx = F.max_pool2d_backward(dy, indices, image.shape, size, x=image, ties=ties)[0, 0]
        limit = abs(float(delta))
        grids.append(Grid(dx, f'ties="{ties}"', "delta", f"{words}\n{total(dx)}", limit=limit))
    return sheet([Row([*items, *grids])])


def move_right(image: Any) -> Array:
    """Return the image (..., H, W) moved to the right by one pixel; what enters at the left is 0."""
    moved: Array = np.zeros_like(image)
    moved[..., 1:] = image[..., :-1]
    return moved


def draw_shift(image: Any, weight: Any, pools: tuple[int, ...] = (2, 4)) -> "Figure":
    """Draw what moving an image by one pixel does to its feature map, and to the map after max pooling.

    Parameters
    ----------
    image : array (H, W)
    weight : array (KH, KW)
        A kernel with odd sides; its feature map goes through a ReLU.
    pools : tuple of int
        Windows (and steps) of the max poolings that are compared.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from pycnn.plot import draw_shift
    >>> figure = draw_shift([[0, 0, 9, 0], [0, 9, 9, 0], [0, 0, 9, 0], [0, 0, 9, 0]], [[-1, 2, -1]])
    """
    plane, kernel = as_matrix("draw_shift", "image", image), as_matrix("draw_shift", "weight", weight)
    small = 4.0 / plane.shape[0]
    lines = []
    for cells in (plane, move_right(plane)):
        features = F.relu(F.conv2d(as_image(cells), as_image(kernel), padding="same"))
        lines.append([cells, features[0, 0], *(np.asarray(F.max_pool2d(features, k))[0, 0] for k in pools)])
    changes = [after - before for before, after in zip(*lines)]
    titles = ["image", "edges: conv, ReLU", *(f"max pool {k}" for k in pools)]
    tops = [max(float(a.max()), float(b.max())) for a, b in zip(*lines)]
    norms = [max(float(np.linalg.norm(line)), 1e-12) for line in lines[0]]
    shares = [float(np.linalg.norm(change)) / norm for change, norm in zip(changes, norms)]
    rows = []
    for heading, line, role in zip(("Before", "Moved by one pixel", "Change"), [*lines, changes], "vvd"):
        items: list[Item] = []
        for i, (cells, title) in enumerate(zip(line, titles)):
            cell = small * plane.shape[0] / cells.shape[0]
            note = f"{shares[i]:.0%} of the map" if role == "d" else ""
            kind = "delta" if role == "d" else "value"
            items.append(Grid(cells, title, kind, note, cell=cell, numbers=False, limit=tops[i]))
            items.append(Sign("->", colour=PAPER if role == "d" else FORWARD))
        rows.append(Row(items[:-1], heading, gap=0.35))
    return sheet(rows)
