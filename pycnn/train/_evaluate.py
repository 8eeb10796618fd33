"""Running a network over many images, and counting how often it is right."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pycnn import functional as F
from pycnn.data import normalize
from pycnn.nn import Module

Array = npt.NDArray[Any]
Stats = tuple[float, ...]

# One size for every evaluation: kernels may cut their work by the shape of the batch, and equal cuts give equal bits.
BATCH = 256


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a network does on labelled images.

    Attributes
    ----------
    labels : ndarray of int64, shape (N,)
        The right classes.
    probabilities : ndarray of float32, shape (N, classes)
        What the network makes of each image.
    loss : float
        Mean cross-entropy in nats, without label smoothing.
    """

    labels: npt.NDArray[np.int64]
    probabilities: Array
    loss: float

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The class with the highest probability, the first one of equals; shape (N,)."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def correct(self) -> int:
        """How many images got their right class."""
        return int(np.count_nonzero(self.predicted == self.labels))

    @property
    def accuracy(self) -> float:
        """Share of images that got their right class, 0 to 1."""
        return self.correct / len(self.labels)

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Counts by right class (rows) and predicted class (columns)."""
        k = self.probabilities.shape[1]
        return np.bincount(self.labels * k + self.predicted, minlength=k * k).reshape(k, k)


def predict_logits(
    model: Module, x: Array, mean: Stats, std: Stats, after_batch: Callable[[], None] | None = None
) -> Array:
    """Return the outputs of a network in evaluation mode.

    Parameters
    ----------
    model : Module
        Its mode is the same before and after.
    x : ndarray of real numbers, shape (N, C, H, W), N >= 1
        Raw images, as the training images were.
    mean, std : tuples of C floats
        From `pycnn.data.channel_stats` of the training images.
    after_batch : callable, optional
        Called after every batch; an exception of it ends the work.

    Returns
    -------
    ndarray of float32, shape (N, classes)

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, rng=0))
    >>> x = np.ones((5, 1, 2, 2), np.uint8)
    >>> predict_logits(net, x, (0.5,), (0.25,)).shape
    (5, 3)
    """
    if len(x) == 0:
        raise ValueError("predict: x must not be empty, got 0 images")
    parts = []
    with _evaluating(model):
        for begin in range(0, len(x), BATCH):
            parts.append(model(normalize(x[begin : begin + BATCH], mean, std, model.dtype)))
            if after_batch is not None:
                after_batch()
    return np.concatenate(parts)


def predict_proba(model: Module, x: Array, mean: Stats, std: Stats) -> Array:
    """Return the probability of each class, as `predict_logits` returns the outputs they are made of.

    Returns
    -------
    ndarray of float32, shape (N, classes)

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, rng=0))
    >>> p = predict_proba(net, np.ones((5, 1, 2, 2), np.uint8), (0.5,), (0.25,))
    >>> p.shape, p.sum(axis=1).round(5).tolist()
    ((5, 3), [1.0, 1.0, 1.0, 1.0, 1.0])
    """
    return F.softmax(predict_logits(model, x, mean, std))


def evaluate(
    model: Module,
    x: Array,
    y: npt.NDArray[np.int64],
    mean: Stats,
    std: Stats,
    after_batch: Callable[[], None] | None = None,
) -> Evaluation:
    """Run a network over labelled images.

    Parameters
    ----------
    model, x, mean, std, after_batch
        As `predict_logits` takes them.
    y : ndarray of int64, shape (N,)
        The right classes.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        No images, lengths that differ, a label that the network has no output for.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, rng=0))
    >>> x = np.ones((5, 1, 2, 2), np.uint8)
    >>> evaluate(net, x, np.zeros(5, np.int64), (0.5,), (0.25,)).probabilities.shape
    (5, 3)
    """
    if len(x) != len(y):
        raise ValueError(f"evaluate: x and y must have the same length, got {len(x)} and {len(y)}")
    logits = predict_logits(model, x, mean, std, after_batch)
    loss = float(F.cross_entropy(logits, y))
    return Evaluation(np.asarray(y, np.int64), F.softmax(logits), loss)


@contextlib.contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """Switch to evaluation mode for a while, each part of the network for itself."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode
