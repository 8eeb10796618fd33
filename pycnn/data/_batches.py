"""From a data set to batches a network can take: standardising, augmenting, drawing."""

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[Any]
Augmentation = Callable[[Images, np.random.Generator], Images]

_CHUNK = 512


def channel_stats(x: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, for `normalize`.

    Parameters
    ----------
    x : ndarray of real numbers, shape (N, C, H, W)
        The training images (never the test images).

    Returns
    -------
    mean, std : tuples of C floats
        Summed in float64 in a fixed order. A channel that is constant gets std 1.

    Examples
    --------
    >>> channel_stats(np.array([[[[0, 2]]], [[[4, 2]]]], np.uint8))
    ((2.0,), (1.4142135623730951,))
    """
    _check_images("channel_stats", x)
    if 0 in x.shape:
        raise ValueError(f"channel_stats: x must not be empty, got {x.shape}")
    count = x.size // x.shape[1]
    chunks = [x[begin : begin + _CHUNK] for begin in range(0, len(x), _CHUNK)]
    mean = sum(chunk.sum(axis=(0, 2, 3), dtype=np.float64) for chunk in chunks) / count
    centre = np.asarray(mean)[:, None, None]
    variance = sum(np.square(chunk - centre).sum(axis=(0, 2, 3)) for chunk in chunks) / count
    std = np.sqrt(variance)
    return tuple(np.asarray(mean).tolist()), tuple(np.where(std > 0, std, 1.0).tolist())


def normalize(
    x: Images, mean: tuple[float, ...], std: tuple[float, ...], dtype: npt.DTypeLike = np.float32
) -> npt.NDArray[Any]:
    """``(x - mean) / std`` channel by channel, as a new array of `dtype`.

    Parameters
    ----------
    x : ndarray of real numbers, shape (N, C, H, W)
    mean, std : sequences of C floats
        From `channel_stats` of the training images; std > 0.
    dtype : float32 or float64

    Returns
    -------
    ndarray, shape of x, C-contiguous

    Examples
    --------
    >>> normalize(np.array([[[[0, 4]]]], np.uint8), (2.0,), (2.0,))
    array([[[[-1.,  1.]]]], dtype=float32)
    """
    _check_images("normalize", x)
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise TypeError(f"normalize: dtype must be float32 or float64, got {kind}")
    centre, scale = (np.asarray(value, kind).reshape(-1, 1, 1) for value in (mean, std))
    if len(centre) != x.shape[1] or len(scale) != x.shape[1]:
        raise ValueError(
            f"normalize: mean and std must have {x.shape[1]} values, one a channel, got {len(centre)} and {len(scale)}"
        )
    if not (np.isfinite(centre).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError(f"normalize: mean must be finite and std finite and > 0, got {mean} and {std}")
    y = np.empty(x.shape, kind)
    np.subtract(x, centre, out=y, casting="same_kind")
    y /= scale
    return y


def keep(x: Images, rng: np.random.Generator) -> Images:
    """Leave the images as they are."""
    return x


def shift(x: Images, rng: np.random.Generator) -> Images:
    """Move each image by up to an eighth of its height and width (at least one pixel); zeros move in.

    The same as padding with zeros and cropping at a random place.
    """
    n, c, h, w = x.shape
    down, right = max(1, h // 8), max(1, w // 8)
    padded = np.zeros((n, c, h + 2 * down, w + 2 * right), x.dtype)
    padded[:, :, down : down + h, right : right + w] = x
    top = rng.integers(0, 2 * down, n, endpoint=True)
    left = rng.integers(0, 2 * right, n, endpoint=True)
    # All windows as a view, from which one gather takes a window of each image.
    windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), axis=(2, 3))
    y: Images = windows[np.arange(n), :, top, left]
    return y


def flip(x: Images, rng: np.random.Generator) -> Images:
    """Mirror each image left to right with probability one half."""
    y = x.copy()
    chosen = rng.random(len(x)) < 0.5
    y[chosen] = x[chosen, :, :, ::-1]
    return y


def flip_shift(x: Images, rng: np.random.Generator) -> Images:
    """`flip`, then `shift`."""
    return shift(flip(x, rng), rng)


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": keep,
    "shift": shift,
    "flip": flip,
    "flip-shift": flip_shift,
}
"""Augmentations by name. Each takes images (N, C, H, W) and a generator, changes neither type, shape nor its
input, and draws all its random numbers from the generator."""


def batches(
    x: Images,
    y: npt.NDArray[Any],
    batch_size: int,
    *,
    shuffle: bool = True,
    rng: np.random.Generator | int | None = None,
    augment: str | Augmentation | None = None,
    drop_last: bool = False,
    start: int = 0,
) -> Iterator[tuple[Images, npt.NDArray[Any]]]:
    """Go once through a set in batches.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
    y : ndarray, shape (N, ...)
        Labels, or anything else that belongs to the images.
    batch_size : int
        At least 1. The last batch may be smaller, unless `drop_last`.
    shuffle : bool
        Draw a new order; otherwise the order of the set.
    rng : numpy.random.Generator, int or None
        Where the random numbers come from: a generator, a seed, or the system. Equal states give equal
        batches, bit for bit. The order is drawn at the first batch, each augmentation at its batch.
    augment : str, callable or None
        A name in `AUGMENTATIONS` or a function like those.
    drop_last : bool
        Leave out a last batch smaller than `batch_size`.
    start : int
        Skip that many batches, with the random numbers they would have drawn: what follows is what would
        have followed. This is how a run resumes inside an epoch.

    Yields
    ------
    (x_batch, y_batch)
        New C-contiguous arrays of the types of x and y; without shuffling and augmentation they may be
        views.

    Raises
    ------
    ValueError
        Empty set, lengths that differ, batch_size < 1, start < 0, unknown augmentation. Raised by the call
        itself, before the first batch is asked for.
    TypeError
        x not an array of images, batch_size not an integer.

    Examples
    --------
    >>> x, y = np.zeros((5, 1, 2, 2), np.uint8), np.arange(5)
    >>> [labels.tolist() for _, labels in batches(x, y, 2, shuffle=False)]
    [[0, 1], [2, 3], [4]]
    """
    _check_images("batches", x)
    if not isinstance(y, np.ndarray) or y.ndim < 1:
        raise TypeError(f"batches: y must be an array of labels, got {type(y).__name__}")
    if len(x) == 0:
        raise ValueError("batches: x must not be empty, got 0 images")
    if len(x) != len(y):
        raise ValueError(f"batches: x and y must have the same length, got {len(x)} and {len(y)}")
    size, skipped = _integer("batch_size", batch_size, 1), _integer("start", start, 0)
    change = _augmentation(augment)
    generator = np.random.default_rng(rng)
    stop = len(x) - len(x) % size if drop_last else len(x)

    def draw() -> Iterator[tuple[Images, npt.NDArray[Any]]]:
        order = generator.permutation(len(x)) if shuffle else None
        for number, begin in enumerate(range(0, stop, size)):
            rows: Any = slice(begin, min(begin + size, stop))
            if order is not None:
                rows = order[rows]
            if number >= skipped:
                yield change(x[rows], generator), y[rows]
            elif change is not keep:
                change(x[rows], generator)

    return draw()


def _augmentation(augment: str | Augmentation | None) -> Augmentation:
    if augment is None:
        return keep
    if callable(augment):
        return augment
    if augment not in AUGMENTATIONS:
        raise ValueError(f"batches: augment must be one of {', '.join(AUGMENTATIONS)}, got {augment!r}")
    return AUGMENTATIONS[augment]


def _integer(name: str, value: int, least: int) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"batches: {name} must be an integer, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"batches: {name} must be an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"batches: {name} must be >= {least}, got {number}")
    return number


def _check_images(function: str, x: object) -> None:
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "uif":
        kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(f"{function}: x must be an array of real numbers, got {kind}")
    if x.ndim != 4:
        raise ValueError(f"{function}: x must have shape (N, C, H, W), got {x.shape}")
