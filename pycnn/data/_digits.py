"""The digits that come with the package."""

import functools
from pathlib import Path

import numpy as np

from pycnn.data._dataset import Dataset, split
from pycnn.io import load


@functools.lru_cache(maxsize=1)
def digits() -> Dataset:
    """Load the bundled handwritten digits: 1,797 grey images of 8x8 pixels, 1,442 to train and 355 to test.

    The test fifth is every fifth image of each digit, in the order of the set (see `held_back`): the same at
    every run, and each digit is in it in proportion. The arrays are read-only and shared by all callers.

    Returns
    -------
    Dataset
        uint8 images of shape (N, 1, 8, 8), ink bright: the file's 0..16 stretched to 0..255, so that images
        from elsewhere compare.

    Notes
    -----
    E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository,
    1998, doi 10.24432/C50P49, CC BY 4.0; the attribution lies beside the file as ``ATTRIBUTION.txt``.

    Examples
    --------
    >>> print(digits())
    digits: 1,442 training and 355 test images, 1x8x8, 10 classes
    """
    arrays = load(Path(__file__).with_name("digits.npz"))
    x = ((arrays["x"].astype(np.uint16) * 255 + 8) // 16).astype(np.uint8)[:, None]
    data = split(x, arrays["y"].astype(np.int64), tuple("0123456789"), "digits")
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        array.setflags(write=False)
    return data
