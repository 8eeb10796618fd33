"""The same pyramid with scipy.ndimage, for the tests and the benchmark."""

import numpy as np
from scipy import ndimage

Array = np.ndarray


def pyramid(image: Array, levels: int = 4, sigma: float = 1.0) -> list[Array]:
    edges = []
    for level in range(levels):
        blurred = ndimage.gaussian_filter(image, sigma, mode="constant")
        dx, dy = (ndimage.sobel(blurred, axis, mode="constant") for axis in (1, 0))
        edges.append(np.sqrt(dx * dx + dy * dy))
        if level + 1 < levels:
            # Faster than maximum_filter, which would compute the windows in between too.
            height, width = (size // 2 * 2 for size in blurred.shape)
            rows = np.maximum(blurred[0:height:2, :width], blurred[1:height:2, :width])
            image = np.maximum(rows[:, ::2], rows[:, 1::2])
    return edges
