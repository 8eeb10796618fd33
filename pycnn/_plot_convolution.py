"""Pictures of convolution: its matrix, its two gradients, its readers. See `pycnn.plot`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pycnn import functional as F
from pycnn._plot_board import (
    BACKWARD,
    FORWARD,
    SMALL,
    WINDOWS,
    Array,
    Grid,
    Item,
    Outline,
    Row,
    Sign,
    Words,
    as_image,
    as_matrix,
    number_text,
    sheet,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SMALL_CELL = 0.75


def _names(letter: str, shape: tuple[int, ...]) -> list[str]:
    return [f"${letter}_{{{r}{c}}}$" for r, c in np.ndindex(*shape)]


def _frame(row: int, col: int, window: Array, colour: str) -> Outline:
    return Outline(row, col, window.shape[0], window.shape[1], colour)


def _one(row: int, col: int, colour: str) -> Outline:
    return Outline(row, col, 1, 1, colour, 0.08)


def conv_as_matrix(weight: Any, input_shape: tuple[int, int]) -> Array:
    """Return the matrix of a fully connected layer that does what the convolution with `weight` does.

    One row a window, one column a cell of the input: column j is the convolution's answer to an image that
    is 1 in cell j and 0 elsewhere. So ``conv_as_matrix(w, x.shape) @ x.ravel()`` is the convolution of x,
    flattened.

    Parameters
    ----------
    weight : array (KH, KW)
    input_shape : (H, W)

    Returns
    -------
    ndarray (OH * OW, H * W) of float64

    Examples
    --------
    >>> from pycnn.plot import conv_as_matrix
    >>> conv_as_matrix([[1, 2]], (1, 3))
    array([[1., 2., 0.],
           [0., 1., 2.]])
    """
    kernel = as_matrix("conv_as_matrix", "weight", weight)
    cells = int(np.prod(input_shape))
    units = np.eye(cells).reshape(cells, 1, *input_shape)
    return np.ascontiguousarray(F.conv2d(units, as_image(kernel)).reshape(cells, -1).T)


def _column(values: Array, title: str, role: str = "value") -> Grid:
    return Grid(values.reshape(-1, 1), title, role, cell=SMALL_CELL)


def draw_conv_matrix(x: Any, weight: Any, grad_output: Any) -> "Figure":
    """Draw a convolution as a fully connected layer, and its transposed matrix carrying the deltas back.

    Parameters
    ----------
    x : array (H, W)
    weight : array (KH, KW)
    grad_output : array (OH, OW)
        The deltas that arrive, OH = H - KH + 1.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from pycnn.plot import draw_conv_matrix
    >>> figure = draw_conv_matrix([[1, 2, 3]], [[1, 2]], [[1, -1]])
    """
    cells, kernel = as_matrix("draw_conv_matrix", "x", x), as_matrix("draw_conv_matrix", "weight", weight)
    dy = as_matrix("draw_conv_matrix", "grad_output", grad_output)
    matrix = conv_as_matrix(kernel, (cells.shape[0], cells.shape[1]))
    y = (matrix @ cells.ravel()).reshape(dy.shape)
    dx = (matrix.T @ dy.ravel()).reshape(cells.shape)
    rows, cols = _names("y", dy.shape), _names("x", cells.shape)
    row = [Outline(0, 0, 1, matrix.shape[1], WINDOWS[0], 0.05)]
    convolution: list[Item] = [
        Grid(cells, "input x", outlines=[_frame(0, 0, kernel, WINDOWS[0])]),
        Grid(kernel, "kernel w", "weight"),
        Sign("->", "slide", FORWARD),
        Grid(y, "output y", outlines=[_one(0, 0, WINDOWS[0])]),
        Words("The framed window is\nthe framed row below.", size=SMALL),
    ]
    told = "one row a window, one column a cell"
    connected: list[Item] = [
        Grid(matrix, told, "weight", "", row, row_names=rows, col_names=cols, cell=SMALL_CELL),
        *(Sign("\u00d7"), _column(cells, "x"), Sign("="), _column(y, "y")),
    ]
    turned = Grid(matrix.T, "the transposed matrix", "weight", row_names=cols, col_names=rows, cell=SMALL_CELL)
    backward: list[Item] = [
        *(turned, Sign("\u00d7"), _column(dy, "dy", "delta"), Sign("="), _column(dx, "dx", "delta")),
        *(Sign("=", "as an image", BACKWARD), Grid(dx, "dx", "delta")),
    ]
    return sheet(
        [
            Row(convolution, "As a convolution"),
            Row(connected, "The same as a fully connected layer", gap=0.55),
            Row(backward, "Its deltas go back through the transposed matrix", gap=0.55),
        ]
    )


def draw_conv_backward(x: Any, weight: Any, grad_output: Any) -> "Figure":
    """Draw both gradients of a convolution, each of them a convolution.

    Parameters
    ----------
    x : array (H, W)
    weight : array (KH, KW)
    grad_output : array (OH, OW)
        The deltas that arrive, OH = H - KH + 1.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from pycnn.plot import draw_conv_backward
    >>> figure = draw_conv_backward([[1, 2, 3]], [[1, 2]], [[1, -1]])
    """
    cells, kernel = as_matrix("draw_conv_backward", "x", x), as_matrix("draw_conv_backward", "weight", weight)
    dy = as_matrix("draw_conv_backward", "grad_output", grad_output)
    (high, wide), size = kernel.shape, cells.shape
    back = F.conv2d_backward(as_image(dy), as_image(cells), as_image(kernel))
    dx, dw = np.asarray(back[0])[0, 0], np.asarray(back[1])[0, 0]
    pads = ((high - 1, high - 1), (wide - 1, wide - 1))
    padded, ghosts = np.pad(dy, pads), np.pad(np.zeros(dy.shape, bool), pads, constant_values=True)
    r, c = (size[0] - 1) // 2, (size[1] - 1) // 2
    frame = [_frame(r, c, kernel, WINDOWS[1])]
    to_input: list[Item] = [
        Grid(padded, "deltas, padded with zeros", "delta", ghosts=ghosts, outlines=frame),
        Sign("\u22c6"),
        Grid(kernel[::-1, ::-1], "kernel turned\nby 180 degrees", "weight"),
        Sign("="),
        Grid(dx, "deltas of the input", "delta", outlines=[_one(r, c, WINDOWS[1])]),
    ]
    to_weights: list[Item] = [
        Grid(cells, "input", outlines=[_frame(0, 0, dy, WINDOWS[2])]),
        Sign("\u22c6"),
        Grid(dy, "deltas", "delta"),
        Sign("="),
        Grid(dw, "gradient of the kernel", "delta", outlines=[_one(0, 0, WINDOWS[2])]),
    ]
    return sheet([Row(to_input, "The delta goes to the input"), Row(to_weights, "The delta goes to the weights")])


def _reader(kernel: Array, size: tuple[int, int], window: tuple[int, int], delta: float, used: float) -> Grid:
    """One window over the input with its weights, and what it hands back to the cell that it reads with `used`."""
    (r, c), (high, wide) = window, kernel.shape
    cells = np.zeros(size)
    cells[r : r + high, c : c + wide] = kernel
    labels = [["" for _ in range(size[1])] for _ in range(size[0])]
    for i, j in np.ndindex(high, wide):
        labels[r + i][c + j] = number_text(float(kernel[i, j]))
    product = f"{number_text(delta)} \u00d7 {number_text(used)} = {number_text(delta * used)}"
    title = f"window ({r}, {c})\ndelta {number_text(delta)}"
    limit = float(np.abs(kernel).max())
    return Grid(cells, title, "weight", product, labels=labels, cell=SMALL_CELL, limit=limit)


def draw_reads(weight: Any, grad_output: Any, cell: tuple[int, int]) -> "Figure":
    """Draw how many windows of a convolution read each cell, and all that one cell gets from its readers.

    Parameters
    ----------
    weight : array (KH, KW)
    grad_output : array (OH, OW)
        The deltas that arrive at a convolution of an input of (OH + KH - 1, OW + KW - 1) cells.
    cell : (row, column)
        The cell whose readers are shown one by one.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from pycnn.plot import draw_reads
    >>> figure = draw_reads([[1, 2], [3, 4]], [[1, -1], [2, 3]], (1, 1))
    """
    kernel = as_matrix("draw_reads", "weight", weight)
    dy = as_matrix("draw_reads", "grad_output", grad_output)
    size = (dy.shape[0] + kernel.shape[0] - 1, dy.shape[1] + kernel.shape[1] - 1)
    if not (0 <= cell[0] < size[0] and 0 <= cell[1] < size[1]):
        raise ValueError(f"draw_reads: cell must lie in an input of {size}, got {cell}")
    nothing, ones = np.zeros((1, 1, *size)), as_image(np.ones_like(kernel))
    counts = np.asarray(F.conv2d_backward(as_image(np.ones_like(dy)), nothing, ones)[0])[0, 0]
    dx = np.asarray(F.conv2d_backward(as_image(dy), nothing, as_image(kernel))[0])[0, 0]
    here = Outline(cell[0], cell[1], 1, 1, WINDOWS[0], 0.2)
    readers: list[Item] = []
    for r, c in np.ndindex(*dy.shape):
        i, j = cell[0] - r, cell[1] - c
        if 0 <= i < kernel.shape[0] and 0 <= j < kernel.shape[1]:
            frame = _frame(r, c, kernel, WINDOWS[1 + len(readers) // 2 % (len(WINDOWS) - 1)])
            grid = _reader(kernel, size, (r, c), float(dy[r, c]), float(kernel[i, j]))
            readers += [replace(grid, outlines=[frame, here]), Sign("+")]
    answer = Words(f"= {number_text(float(dx[cell]))}", BACKWARD, 14)
    top: list[Item] = [
        Grid(counts, "how many windows read a cell", "count", outlines=[here]),
        Grid(kernel, "kernel", "weight"),
        Grid(dy, "deltas that arrive", "delta"),
        Sign("->", "each window adds\ndelta \u00d7 weight", BACKWARD),
        Grid(dx, "deltas that leave", "delta", outlines=[here]),
    ]
    return sheet([Row(top), Row([*readers[:-1], answer], "The readers of the framed cell", gap=0.5)])


def draw_im2col(x: Any, weight: Any) -> "Figure":
    """Draw the matrix that im2col copies out of the image, and the product that is then the convolution.

    Parameters
    ----------
    x : array (H, W)
    weight : array (KH, KW)

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from pycnn.plot import draw_im2col
    >>> figure = draw_im2col([[1, 2, 3]], [[1, 2]])
    """
    cells, kernel = as_matrix("draw_im2col", "x", x), as_matrix("draw_im2col", "weight", weight)
    y = F.conv2d(as_image(cells), as_image(kernel))[0, 0]
    taps = [cells[i : i + y.shape[0], j : j + y.shape[1]].ravel() for i, j in np.ndindex(*kernel.shape)]
    columns = np.stack(taps)
    centre = ((cells.shape[0] - 1) // 2, (cells.shape[1] - 1) // 2)
    place = np.zeros(cells.shape, dtype=int)
    place[centre] = 1
    copies = np.stack(
        [place[i : i + y.shape[0], j : j + y.shape[1]].ravel() for i, j in np.ndindex(*kernel.shape)]
    )  # where that cell was copied to
    marks = [Outline(r, c, 1, 1, WINDOWS[0], 0.1) for r, c in np.argwhere(copies)]
    return sheet(
        [
            Row(
                [
                    Grid(cells, "input", outlines=[Outline(*centre, 1, 1, WINDOWS[0], 0.1)]),
                    Sign("->", "im2col\ncopies", FORWARD, f"{cells.size} cells\nbecome {columns.size}"),
                    Grid(columns, "columns: one a window", outlines=marks, col_names=_names("y", y.shape)),
                ],
                "Copy",
            ),
            Row(
                [
                    Grid(kernel.reshape(1, -1), "kernel as a row", "weight", cell=0.85),
                    Sign("\u00d7"),
                    Grid(columns, "columns", cell=0.85),
                    Sign("="),
                    Grid(y.reshape(1, -1), "output as a row", cell=0.85),
                ],
                "Multiply",
                gap=0.5,
            ),
        ]
    )
