"""The edges of images at several sizes."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from featurepyramid._levels import Levels

__all__ = ["Pyramid"]

Array = np.ndarray


class Pyramid:
    """A feature pyramid for grey images of one size.

    Parameters
    ----------
    shape : pair of int
        Height and width of the images.
    levels : int
        How many sizes; each level has half the height and width of the one before, rounded down.
    sigma : float
        Deviation of the Gaussian, in pixels of each level.

    Examples
    --------
    >>> pyramid = Pyramid((480, 640), levels=4)
    >>> [edges.shape for edges in pyramid(np.zeros((480, 640), np.float32))]
    [(480, 640), (240, 320), (120, 160), (60, 80)]
    """

    def __init__(self, shape: tuple[int, int], levels: int = 4, sigma: float = 1.0) -> None:
        self._levels = Levels(*shape, levels, sigma)
        self._parts = []
        for height, width in self._levels.shapes():
            begin = self._parts[-1][0].stop if self._parts else 0
            self._parts.append((slice(begin, begin + height * width), (height, width)))
        self._threads = threading.local()

    def __call__(self, image: Array) -> list[Array]:
        """Return the strength of edges on each level of a float32 image, the largest first."""
        flat = np.empty(self._levels.size, np.float32)
        if not hasattr(self._threads, "scratch"):
            self._threads.scratch = self._levels.scratch()
        self._levels.compute(image, flat, self._threads.scratch)
        return [flat[part].reshape(shape) for part, shape in self._parts]

    def stream(self, images: Iterable[Array], threads: int) -> Iterator[list[Array]]:
        """Yield the edges of each image, in order, computed by so many threads, the calling one among them.

        A few images for each thread are under way at a time, so a stream may be endless.
        """
        under_way: deque[Future] = deque()
        with ThreadPoolExecutor(max(1, threads - 1)) as helpers:
            for image in images:
                if sum(not future.done() for future in under_way) < 2 * (threads - 1):
                    under_way.append(helpers.submit(self, image))
                else:
                    under_way.append(Future())
                    under_way[-1].set_result(self(image))
                while under_way and (under_way[0].done() or len(under_way) > 4 * threads):
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
