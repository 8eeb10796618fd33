"""Pictures: the report of a training run.

Everything here draws from arrays, so that it serves any network. matplotlib (``pip install "pycnn[train]"``) is
imported when something is drawn, never with the package, and without touching pyplot's state.
"""

import importlib
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

INK, MUTED, GRID = "#222222", "#777777", "#e4e4e4"
TRAIN, TEST, WRONG = "#9aa5b1", "#0b6e99", "#b3261e"
_MOST_NUMBERS = 15  # classes up to which the cells of a confusion matrix hold their count
_MOST_NAMES = 30
_LONGEST = 13  # letters of a class's name that are shown


def training_report(
    history: Mapping[str, Sequence[float | None]],
    *,
    images: Array,
    labels: Array,
    probabilities: Array,
    classes: Sequence[str],
    filters: Array | None = None,
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw a training run on one page: learning curves, confusion matrix, worst mistakes, first layer's filters.

    Parameters
    ----------
    history : mapping of str to sequence
        Columns ``loss`` and ``accuracy`` (0 to 1), and, where there was a test after each epoch, ``test_loss`` and
        ``test_accuracy``; one value an epoch, None where there is none.
    images : ndarray, shape (N, C, H, W)
        Test images, raw; C = 3 is shown in colour, else the first channel.
    labels : ndarray of integers, shape (N,)
        Their right classes.
    probabilities : ndarray, shape (N, K)
        What the network makes of them.
    classes : sequence of K str
        Names of the classes.
    filters : ndarray, shape (F, C, KH, KW), optional
        Weights of the first convolution.
    title : str
        Heading of the page.
    path : str or path-like, optional
        A ``.png`` file to write, whole or not at all.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError
        Shapes that do not fit together.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> figure = training_report(
    ...     {"loss": [2.0, 1.0], "accuracy": [0.4, 0.7]}, images=rng.random((9, 1, 8, 8)),
    ...     labels=np.arange(9) % 3, probabilities=rng.dirichlet([1, 1, 1], 9), classes="abc")
    >>> len(figure.axes)
    4
    """
    _check(images, labels, probabilities, classes, filters)
    figure = new_figure(12, 8.6)
    shown = filters is not None and len(filters) > 0
    upper = figure.add_gridspec(1, 3 if shown else 2, left=0.065, right=0.975, top=0.875, bottom=0.645, wspace=0.2)
    _curves(figure.add_subplot(upper[0]), history, "loss")
    _curves(figure.add_subplot(upper[1]), history, "accuracy")
    if shown:
        assert filters is not None
        draw_filters(figure.add_subplot(upper[2]), filters)
    # The names of the classes stand to the left of the matrix; half of the page is for it and half for the mistakes.
    longest = min(max(len(name) for name in classes), _LONGEST)
    left = max(0.065, 0.045 + 0.0062 * longest)
    lower = {"top": 0.545, "bottom": 0.125}
    axes = figure.add_subplot(figure.add_gridspec(1, 1, left=left, right=0.49, **lower)[0])
    _confusion(axes, labels, probabilities.argmax(axis=1), classes)
    axes = figure.add_subplot(figure.add_gridspec(1, 1, left=0.52, right=0.975, **lower)[0])
    _mistakes(axes, images, labels, probabilities, classes)
    figure.text(0.025, 0.955, _literal(title or "Training run"), fontsize=16, color=INK, weight="bold", va="center")
    if path is not None:
        save_figure(figure, path)
    return figure


def new_figure(width: float, height: float) -> Any:
    """Return an empty white figure of so many inches; ImportError, naming the extra, without matplotlib.

    Parameters
    ----------
    width, height : float
        Inches.

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> new_figure(3, 2).get_size_inches().tolist()
    [3.0, 2.0]
    """
    try:
        figure_type = importlib.import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise ImportError('pictures need the package matplotlib: pip install "pycnn[train]"') from error
    return figure_type(figsize=(width, height), facecolor="white")


def save_figure(figure: Any, path: str | os.PathLike[str], dpi: int = 110) -> None:
    """Write a figure as PNG, whole or not at all.

    Parameters
    ----------
    figure : matplotlib Figure
    path : str or path-like
        Ends in ``.png``.
    dpi : int
        Pixels an inch.

    Examples
    --------
    >>> import os
    >>> save_figure(new_figure(1, 1), "empty.png")
    >>> os.path.getsize("empty.png") > 0
    True
    """
    from pycnn.io import atomic_write

    with atomic_write(path) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # names in scripts that the font lacks
        figure.savefig(file, format="png", dpi=dpi, metadata={"Software": "pycnn"})


def _check(images: Array, labels: Array, probabilities: Array, classes: Sequence[str], filters: Array | None) -> None:
    n, k = len(labels), len(classes)
    if n == 0:
        raise ValueError("training_report: labels must not be empty")
    if images.ndim != 4 or len(images) != n:
        raise ValueError(f"training_report: images must have shape ({n}, C, H, W), got {images.shape}")
    if probabilities.shape != (n, k):
        raise ValueError(f"training_report: probabilities must have shape ({n}, {k}), got {probabilities.shape}")
    if labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"training_report: labels must be from 0 to {k - 1}, got {labels.min()} to {labels.max()}")
    if filters is not None and filters.ndim != 4:
        raise ValueError(f"training_report: filters must have shape (F, C, KH, KW), got {filters.shape}")


def _title(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=12, color=INK, pad=8)


def _curves(axes: Any, history: Mapping[str, Sequence[float | None]], name: str) -> None:
    """Training and test curve of one quantity, with the last values at their ends."""
    scale = 100 if name == "accuracy" else 1
    ends = []
    for key, colour, word in ((name, TRAIN, "training"), (f"test_{name}", TEST, "test")):
        values = np.array([math.nan if v is None else v for v in history.get(key, ())], float) * scale
        if np.isfinite(values).any():
            epochs = np.arange(1, len(values) + 1)
            axes.plot(epochs, values, color=colour, lw=2, marker="o" if len(values) < 3 else None, ms=4, label=word)
            ends.append(values[np.isfinite(values)])
    _title(axes, "Accuracy in %" if name == "accuracy" else "Loss (cross-entropy)")
    if ends:
        everything = np.concatenate(ends)
        if name == "accuracy":
            # The first quarter of the epochs may leave the picture below, so that the others can be told apart.
            least = min(float(values[len(values) // 4 :].min()) for values in ends)
            low = max(0.0, math.floor(least / 5) * 5 - 1)
            axes.set_ylim(low, min(100.0, everything.max()) + 0.04 * (100 - low))
        elif everything.min() > 0:
            axes.set_yscale("log")
            _plain_numbers(axes)
        axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right" if name == "accuracy" else "best")
    axes.set_xlabel("epoch", color=MUTED, fontsize=9)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(True, which="major", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9, length=0, which="both")
    axes.spines[:].set_visible(False)


def _plain_numbers(axes: Any) -> None:
    """Label a logarithmic axis with 0.02, 0.05, 0.1 instead of powers."""
    ticker = importlib.import_module("matplotlib.ticker")
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5), numticks=8))
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def draw_filters(axes: Any, filters: Array, title: str = "First layer's filters") -> None:
    """Draw filters (F, C, KH, KW) as tiles: three channels in colour, otherwise the first with blue < 0 < red.

    Parameters
    ----------
    axes : matplotlib Axes
    filters : ndarray, shape (F, C, KH, KW)
    title : str

    Examples
    --------
    >>> import numpy as np
    >>> figure = new_figure(3, 3)
    >>> draw_filters(figure.subplots(), np.random.default_rng(0).normal(size=(4, 1, 3, 3)))
    """
    most = 64
    count = min(len(filters), most)
    rows = max(1, round(math.sqrt(count * 0.6)))
    columns = -(-count // rows)
    colour = filters.shape[1] == 3
    height, width = filters.shape[2] + 1, filters.shape[3] + 1
    bound = float(np.abs(filters).max()) or 1.0
    page = np.full((rows * height - 1, columns * width - 1, *((3,) if colour else ())), 1.0 if colour else math.nan)
    for number, tile in enumerate(filters[:count]):
        top, left = number // columns * height, number % columns * width
        values = tile.transpose(1, 2, 0) / (2 * bound) + 0.5 if colour else tile[0]
        page[top : top + height - 1, left : left + width - 1] = values
    axes.imshow(page, cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest")
    note = "" if colour else f", blue < 0 < red, up to ±{bound:.2g}"
    more = f" ({count} of {len(filters)})" if count < len(filters) else ""
    _title(axes, f"{title}{more}")
    size = f"{len(filters)} of {filters.shape[2]}×{filters.shape[3]}"
    if filters.shape[1] not in (1, 3):
        size += f", channel 1 of {filters.shape[1]}"
    axes.set_xlabel(size + note, color=MUTED, fontsize=9)
    axes.set_anchor("NW")
    _bare(axes)


def _bare(axes: Any) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _confusion(axes: Any, labels: Array, predicted: Array, classes: Sequence[str]) -> None:
    """Confusion matrix: shades are shares of the row; what is off the diagonal is written in red."""
    k = len(classes)
    counts = np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # A power below 1: one mistake in a hundred can still be seen.
    axes.imshow(shares**0.5, cmap="Blues", vmin=0, vmax=1.35, interpolation="nearest", aspect="equal")
    if k <= _MOST_NUMBERS:
        size = 9 if counts.max() < 1000 else 7.5
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = INK if row == column else WRONG
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=size, color=colour)
    right = int(np.trace(counts))
    _title(axes, f"Confusion matrix: {right:,} of {len(labels):,} right")
    step = 1 if k <= _MOST_NAMES else -(-k // 10)
    ticks = np.arange(0, k, step)
    names = [_short(classes[int(i)], _LONGEST) for i in ticks]
    turned = max(map(len, names)) > 3
    axes.set_xticks(
        ticks,
        names,
        rotation=40 if turned else 0,
        ha="right" if turned else "center",
        rotation_mode="anchor" if turned else "default",
    )
    axes.set_yticks(ticks, names)
    axes.tick_params(colors=MUTED, labelsize=9 if k <= _MOST_NUMBERS else 7, length=0)
    axes.set_xlabel("predicted", color=MUTED, fontsize=9)
    axes.set_ylabel("right class", color=MUTED, fontsize=9)
    axes.set_anchor("NW")
    axes.spines[:].set_visible(False)


def _mistakes(axes: Any, images: Array, labels: Array, probabilities: Array, classes: Sequence[str]) -> None:
    """Draw the wrong answers that gave the right class the least, then such right answers."""
    predicted = probabilities.argmax(axis=1)
    chance = probabilities[np.arange(len(labels)), labels]
    order = np.lexsort((chance, predicted == labels))
    worst = order[:12]
    wrong = int(np.count_nonzero(predicted[worst] != labels[worst]))
    rest = "the least certain right answers"
    _title(
        axes, "Worst mistakes" + ("" if wrong == len(worst) else f", then {rest}") if wrong else f"No mistakes; {rest}"
    )
    columns, rows, wide, high = 4, 3, 1.5, 1.3  # a tile's lower part holds two lines of text
    for number, index in enumerate(worst):
        middle, top = (number % columns + 0.5) * wide, number // columns * high
        height, width = images.shape[2:]
        shrink = 0.95 / max(height, width)
        x0, y0 = middle - width * shrink / 2, top + 0.475 - height * shrink / 2
        axes.imshow(
            _picture(images[index]),
            cmap="gray",
            vmin=0,
            vmax=1,
            interpolation="nearest",
            extent=(x0, x0 + width * shrink, y0 + height * shrink, y0),
        )
        said, right = int(predicted[index]), int(labels[index])
        sure = f"{_short(classes[said], 11)}  {100 * probabilities[index, said]:.0f} %"
        colour = INK if said == right else WRONG
        axes.text(middle, top + 0.98, sure, ha="center", va="top", fontsize=9, color=colour)
        axes.text(
            middle, top + 1.12, f"is {_short(classes[right], 11)}", ha="center", va="top", fontsize=9, color=MUTED
        )
    axes.set_xlim(0, columns * wide)
    axes.set_ylim(rows * high, 0)
    axes.set_aspect("equal")
    axes.set_anchor("NW")
    _bare(axes)


def _picture(image: Array) -> Array:
    """(C, H, W) of any range as grey (H, W) or colour (H, W, 3) from 0 to 1."""
    shown = image.transpose(1, 2, 0).astype(float) if len(image) == 3 else image[0].astype(float)
    low, high = (0.0, 255.0) if image.dtype == np.uint8 else (float(shown.min()), float(shown.max()))
    return (shown - low) / ((high - low) or 1.0)


def _short(name: str, most: int) -> str:
    name = " ".join(name.split())
    return _literal(name if len(name) <= most else name[: most - 1] + "…")


def _literal(text: str) -> str:
    """Keep matplotlib from reading what stands between two dollar signs as a formula."""
    return text.replace("$", r"\$")
