"""The sheet on which `pycnn.plot` draws: rows of grids with signs between them.

Widths are measured from the text itself, so nothing overlaps whatever the numbers are. One unit is one cell.
Colours mean the same in all pictures: blue flows forward, orange (or, where negative, violet) flows backward,
green are weights.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

INK, FAINT, PAPER = "#22303c", "#8b98a5", "#ffffff"
FORWARD, BACKWARD = "#2f6fb3", "#d96a1d"
WINDOWS = ("#c2185b", "#00897b", "#6a3fb5", "#b8860b", "#3f51b5", "#7a5230", "#2e7d32", "#ad3f17", "#455a64")
# role: (colour of the largest positive value, colour of the largest negative one)
ROLES = {
    "value": ("#4d94d6", "#9aa5b1"),
    "delta": ("#f08a3c", "#8f74c9"),
    "weight": ("#4fb38a", "#d9708f"),
    "mask": ("#46535f", "#46535f"),
    "count": ("#e0b23c", "#e0b23c"),
}
UNIT = 0.46  # inches a cell
BODY, SMALL, HEADING = 10.0, 9.0, 11.5  # points


@dataclass(frozen=True)
class Outline:
    """A coloured frame around some cells of a grid."""

    row: float
    col: float
    height: float
    width: float
    colour: str
    inset: float = 0.06
    dashed: bool = False


@dataclass(frozen=True)
class Grid:
    """A matrix with its values in its cells.

    `ghosts` marks cells that are padding; `labels` replaces the numbers; `note` stands below. `numbers=False`
    draws the colours only, and `limit` is the value that gets the full colour (the largest by default).
    """

    values: Array
    title: str = ""
    role: str = "value"
    note: str = ""
    outlines: Sequence[Outline] = ()
    ghosts: Array | None = None
    labels: Sequence[Sequence[str]] | None = None
    row_names: Sequence[str] = ()
    col_names: Sequence[str] = ()
    cell: float = 1.0
    numbers: bool = True
    limit: float | None = None
    title_colour: str = INK

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the cells alone."""
        return self.values.shape[1] * self.cell, self.values.shape[0] * self.cell


@dataclass(frozen=True)
class Sign:
    """A mark between two grids: an arrow for "->" and "<-", the text itself otherwise."""

    text: str
    over: str = ""
    colour: str = INK
    under: str = ""


@dataclass(frozen=True)
class Words:
    """Lines of text in a row of the sheet."""

    text: str
    colour: str = INK
    size: float = BODY
    align: str = "left"


@dataclass(frozen=True)
class Row:
    """Things that stand side by side, with a heading over them."""

    items: "Sequence[Item]"
    heading: str = ""
    gap: float = 0.75
    indent: float = 0.0


Item = Grid | Sign | Words


def need_matplotlib() -> None:
    """Raise ImportError, naming the extra, when matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "pycnn[train]"') from error


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> float:
    """Width of the longest line in units."""
    from matplotlib.textpath import TextPath

    lines = [line for line in text.split("\n") if line.strip()]
    widths = [TextPath((0, 0), line, size=size).get_extents().width for line in lines]
    return float(max(widths, default=0.0)) / 72 / UNIT


def text_height(text: str, size: float) -> float:
    """Height of the lines in units; 0 for no text."""
    return 0.0 if not text else (text.count("\n") + 1) * size * 1.35 / 72 / UNIT


def number_text(value: float) -> str:
    """Write 2.0 as 2, 0.125 as 0.12, with a true minus sign."""
    if not np.isfinite(value):
        return str(value)
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text.replace("-", "\u2212")


def shade(values: Array, role: str, limit: float | None = None) -> Array:
    """RGB of each cell: white at 0, the role's colours at plus and minus `limit` (the largest by default)."""
    from matplotlib.colors import to_rgb

    finite = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = limit or float(np.abs(finite).max(initial=0.0)) or 1.0
    share = np.clip(np.abs(finite) / top, 0.0, 1.0)[..., None]
    plus, minus = (np.array(to_rgb(colour)) for colour in ROLES[role])
    return np.asarray(1.0 - share * (1.0 - np.where(finite[..., None] >= 0, plus, minus)))


def blank(width: float, height: float) -> "tuple[Figure, Axes]":
    """Return a figure of `width` x `height` units and its axes: origin at the top left, y downward."""
    need_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * UNIT, height * UNIT), facecolor=PAPER)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    return figure, axes


def draw_grid(axes: "Axes", grid: Grid, x: float, y: float) -> None:
    """Draw the cells with their values and all that stands around them; (x, y) is the top left."""
    from matplotlib.patches import Rectangle

    colours = shade(grid.values, grid.role, grid.limit)
    if not grid.numbers and grid.labels is None:
        _draw_picture(axes, colours, x, y, grid)
        return
    for r, c in np.ndindex(grid.values.shape):
        ghost = grid.ghosts is not None and bool(grid.ghosts[r, c])
        left, top = x + c * grid.cell, y + r * grid.cell
        face = "#f1f3f5" if ghost else tuple(colours[r, c])
        axes.add_patch(Rectangle((left, top), grid.cell, grid.cell, facecolor=face, edgecolor="#c9d1d9", lw=0.8))
        text = number_text(float(grid.values[r, c])) if grid.labels is None else grid.labels[r][c]
        room = min(1.0, 0.8 * grid.cell / max(text_width(text, BODY), 1e-6))
        dark = not ghost and float(colours[r, c] @ np.array([0.3, 0.59, 0.11])) < 0.5
        ink = FAINT if ghost else PAPER if dark else INK
        axes.text(
            left + grid.cell / 2,
            top + grid.cell / 2,
            text,
            color=ink,
            fontsize=BODY * room,
            ha="center",
            va="center_baseline",
        )
    _draw_surroundings(axes, grid, x, y)


def _draw_picture(axes: "Axes", colours: Array, x: float, y: float, grid: Grid) -> None:
    """Draw the colours only: one image, however many cells."""
    width, height = grid.size
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(colours, extent=(x, x + width, y + height, y), interpolation="nearest", aspect="auto")
    axes.set(xlim=limits[0], ylim=limits[1])
    _draw_surroundings(axes, grid, x, y)


def _draw_surroundings(axes: "Axes", grid: Grid, x: float, y: float) -> None:
    """Draw what lies over and around the cells."""
    from matplotlib.patches import Rectangle

    width, height = grid.size
    axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=FAINT, lw=1.0))
    for mark in grid.outlines:
        axes.add_patch(_outline_patch(mark, x, y, grid.cell))
    above = 0.18 + (0.42 if grid.col_names else 0.0)
    axes.text(
        x + width / 2,
        y - above,
        grid.title,
        color=grid.title_colour,
        fontsize=SMALL,
        ha="center",
        va="bottom",
    )
    axes.text(x + width / 2, y + height + 0.2, grid.note, color=INK, fontsize=SMALL, ha="center", va="top")
    for r, name in enumerate(grid.row_names):
        axes.text(
            x - 0.15,
            y + (r + 0.5) * grid.cell,
            name,
            color=FAINT,
            fontsize=SMALL - 1,
            ha="right",
            va="center",
        )
    for c, name in enumerate(grid.col_names):
        axes.text(
            x + (c + 0.5) * grid.cell,
            y - 0.12,
            name,
            color=FAINT,
            fontsize=SMALL - 1,
            ha="center",
            va="bottom",
        )


def _outline_patch(mark: Outline, x: float, y: float, cell: float) -> Any:
    from matplotlib.patches import FancyBboxPatch

    inset = mark.inset
    return FancyBboxPatch(
        (x + mark.col * cell + inset, y + mark.row * cell + inset),
        mark.width * cell - 2 * inset,
        mark.height * cell - 2 * inset,
        boxstyle="round,pad=0,rounding_size=0.14",
        fill=False,
        edgecolor=mark.colour,
        lw=2.2,
        linestyle=(0, (2.2, 1.3)) if mark.dashed else "-",
    )


def _item_size(item: "Item") -> tuple[float, float, float, float]:
    """Width, and height above, within and below the middle part, of one thing in a row."""
    if isinstance(item, Grid):
        width, height = item.size
        names = max((text_width(name, SMALL - 1) + 0.2 for name in item.row_names), default=0.0)
        words = max(text_width(item.title, SMALL), text_width(item.note, SMALL))
        above = text_height(item.title, SMALL) + 0.22 + (0.42 if item.col_names else 0.0)
        return max(width + 2 * names, words), above, height, text_height(item.note, SMALL) + 0.22
    if isinstance(item, Sign):
        words = max(text_width(item.over, SMALL), text_width(item.under, SMALL))
        over, under = (text_height(text, SMALL) for text in (item.over, item.under))
        arrow = item.text in ("->", "<-")
        width = max(words + 0.2, 1.5) if arrow else max(words, text_width(item.text, HEADING + 3))
        return width, 0.0, 2 * max(over, under) + 0.6, 0.0
    return text_width(item.text, item.size), 0.0, text_height(item.text, item.size), 0.0


def _draw_sign(axes: "Axes", sign: Sign, x: float, y: float, width: float) -> None:
    from matplotlib.patches import FancyArrowPatch

    middle = x + width / 2
    if sign.text in ("->", "<-"):
        ends = [(x + 0.05, y), (x + width - 0.05, y)]
        start, stop = ends if sign.text == "->" else ends[::-1]
        style = "simple,head_width=9,head_length=9,tail_width=2.6"
        axes.add_patch(FancyArrowPatch(start, stop, arrowstyle=style, color=sign.colour, lw=0, mutation_scale=1))
    else:
        size = 2.2 * HEADING if sign.text == "\u22c6" else HEADING + 3  # the star is a small sign
        axes.text(middle, y, sign.text, color=sign.colour, fontsize=size, ha="center", va="center")
    axes.text(middle, y - 0.3, sign.over, color=sign.colour, fontsize=SMALL, ha="center", va="bottom")
    axes.text(middle, y + 0.3, sign.under, color=sign.colour, fontsize=SMALL, ha="center", va="top")


def sheet(rows: Sequence[Row], margin: float = 0.5, row_gap: float = 0.55) -> "Figure":
    """Draw the rows one below the other."""
    need_matplotlib()
    sizes = [[_item_size(item) for item in row.items] for row in rows]
    extents = []
    for row, row_sizes in zip(rows, sizes, strict=True):
        width = row.indent + sum(s[0] for s in row_sizes) + row.gap * (len(row_sizes) - 1)
        heading = text_height(row.heading, HEADING) + 0.25 if row.heading else 0.0
        above, middle, below = (max(s[i] for s in row_sizes) for i in (1, 2, 3))
        extents.append((max(width, text_width(row.heading, HEADING)), heading, above, middle, below))
    height = sum(sum(e[1:]) for e in extents) + row_gap * (len(rows) - 1)
    figure, axes = blank(max(e[0] for e in extents) + 2 * margin, height + 2 * margin)
    y = margin
    for row, row_sizes, (_, heading, above, middle, below) in zip(rows, sizes, extents, strict=True):
        axes.text(margin, y, row.heading, color=INK, fontsize=HEADING, weight="bold", ha="left", va="top")
        x, centre = margin + row.indent, y + heading + above + middle / 2
        for item, size in zip(row.items, row_sizes, strict=True):
            _draw_item(axes, item, x, centre, size[0])
            x += size[0] + row.gap
        y += heading + above + middle + below + row_gap
    return figure


def _draw_item(axes: "Axes", item: "Item", x: float, centre: float, width: float) -> None:
    if isinstance(item, Grid):
        draw_grid(axes, item, x + (width - item.size[0]) / 2, centre - item.size[1] / 2)
    elif isinstance(item, Sign):
        _draw_sign(axes, item, x, centre, width)
    else:
        axes.text(
            x,
            centre,
            item.text,
            color=item.colour,
            fontsize=item.size,
            ha="left",
            va="center",
            linespacing=1.35,
        )


def as_matrix(fn: str, name: str, values: Any) -> Array:
    """Return `values` as a float64 matrix; ValueError when they are none."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{fn}: {name} must be a matrix with at least one cell, got shape {array.shape}")
    return array


def as_image(plane: Array) -> Array:
    """Return the matrix as a batch of one image with one channel."""
    return plane[None, None]


def total(values: Array) -> str:
    """Write the sum of the values."""
    return f"sum {number_text(float(values.sum()))}"
