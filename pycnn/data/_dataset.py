"""What a data set is here, and the rule by which a fifth of it is held back for the test."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]

MAX_CLASSES = 65_536


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in a training and a test part.

    Parameters
    ----------
    x_train, x_test : ndarray of uint8 or float32, shape (N, C, H, W)
        Images; uint8 runs from 0 to 255. Both parts share type, C, H and W.
    y_train, y_test : ndarray of int64, shape (N,)
        The class of each image, from 0 to ``len(classes) - 1``.
    classes : tuple of str
        Names of the classes.
    name : str
        Name of the set, for reports.

    Raises
    ------
    ValueError
        Empty parts, other shapes, lengths that differ, a label out of range, a NaN or infinite pixel.
    TypeError
        Other types.

    Examples
    --------
    >>> from pycnn.data import digits
    >>> data = digits()
    >>> data.input_shape, data.num_classes
    ((1, 8, 8), 10)
    """

    x_train: Images = field(repr=False)
    y_train: Labels = field(repr=False)
    x_test: Images = field(repr=False)
    y_test: Labels = field(repr=False)
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.classes, tuple) or not all(isinstance(c, str) for c in self.classes):
            raise TypeError(f"Dataset: classes must be a tuple of str, got {self.classes!r}")
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise ValueError(f"Dataset: classes must be 1 to {MAX_CLASSES} names, got {len(self.classes)}")
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            _check_part(part, x, y, len(self.classes))
        if self.x_train.shape[1:] != self.x_test.shape[1:] or self.x_train.dtype != self.x_test.dtype:
            raise ValueError(
                f"Dataset: x_test must have images like x_train, {self.x_train.shape[1:]} of "
                f"{self.x_train.dtype}, got {self.x_test.shape[1:]} of {self.x_test.dtype}"
            )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        c, h, w = self.x_train.shape[1:]
        return c, h, w

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    def __str__(self) -> str:
        c, h, w = self.input_shape
        return (
            f"{self.name}: {len(self.x_train):,} training and {len(self.x_test):,} test images, "
            f"{c}x{h}x{w}, {self.num_classes} classes"
        )


def _check_part(part: str, x: Any, y: Any, num_classes: int) -> None:
    if not isinstance(x, np.ndarray) or x.dtype not in (np.uint8, np.float32):
        raise TypeError(f"Dataset: x_{part} must be an array of uint8 or float32, got {_kind(x)}")
    if not isinstance(y, np.ndarray) or y.dtype != np.int64:
        raise TypeError(f"Dataset: y_{part} must be an array of int64, got {_kind(y)}")
    if x.ndim != 4 or 0 in x.shape:
        raise ValueError(f"Dataset: x_{part} must have shape (N, C, H, W) without a 0, got {x.shape}")
    if y.shape != (len(x),):
        raise ValueError(f"Dataset: y_{part} must have shape ({len(x)},) as x_{part}, got {y.shape}")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"Dataset: y_{part} must hold labels from 0 to {num_classes - 1}, got {low if low < 0 else high}"
        )
    # A sum finds NaN and infinity without a mask as large as the images; float64 holds any sum of float32.
    with np.errstate(invalid="ignore"):
        finite = x.dtype == np.uint8 or bool(np.isfinite(x.sum(dtype=np.float64)))
    if not finite:
        raise ValueError(f"Dataset: x_{part} must be finite, got NaN or infinity")


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__


def held_back(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Mark the test fifth of a set that comes without one.

    In each class, in the order of the set, every fifth image is a test image (the 5th, 10th, ...); a class of
    two to four images gives its last. So each class is split alike, and the split depends on nothing but the
    order: no random numbers, no version of anything.

    Parameters
    ----------
    labels : ndarray of integers, shape (N,)

    Returns
    -------
    ndarray of bool, shape (N,)
        True for the test images.

    Examples
    --------
    >>> held_back(np.array([0, 0, 0, 0, 0, 1, 1, 2])).astype(int).tolist()
    [0, 0, 0, 0, 1, 0, 1, 0]
    """
    order = np.argsort(labels, kind="stable")
    _, first, count = np.unique(labels[order], return_index=True, return_counts=True)
    rank = np.arange(len(labels)) - np.repeat(first, count)
    size = np.repeat(count, count)
    test = np.empty(len(labels), bool)
    test[order] = (rank % 5 == 4) | ((size < 5) & (rank > 0) & (rank == size - 1))
    return test


def split(x: Images, y: Labels, classes: tuple[str, ...], name: str) -> Dataset:
    """Make a Dataset whose test part is the held-back fifth of `x` and `y`."""
    test = held_back(y)
    if not test.any():
        raise ValueError("no class has two images, so no test part can be held back")
    return Dataset(x[~test], y[~test], x[test], y[test], classes, name)


def default_classes(name: str, count: int) -> tuple[str, ...]:
    """Names of the classes of a set that does not bring them: known ones, or numbers."""
    for words, classes in _KNOWN.items():
        if all(word in name.lower() for word in words) and count <= len(classes):
            return classes
    return tuple(str(number) for number in range(count))


_KNOWN: dict[tuple[str, ...], tuple[str, ...]] = {
    ("fashion",): (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    ("cifar", "10"): (
        "airplane", "automobile", "bird", "cat", "deer",
        "dog", "frog", "horse", "ship", "truck",
    ),
}  # fmt: skip
