"""Find out what lies at a path, and read it."""

import errno
import os
import stat
from pathlib import Path

from pycnn.data import _arrays, _cifar, _idx, _images
from pycnn.data._dataset import Dataset
from pycnn.io._files import path_name

_ACCEPTED = (
    "MNIST-style IDX files (train-images-idx3-ubyte[.gz], ...), CIFAR-10 or CIFAR-100 batches (python or "
    "binary), sub-folders of images (one a class), an .npz file with x_train, y_train, x_test, y_test, or a "
    "CIFAR .tar.gz"
)


def load(
    path: str | os.PathLike[str],
    *,
    data_format: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
) -> Dataset:
    """Load a data set from disk, whichever of the usual kinds it is.

    ==========================  ==========================================================================
    at `path`                   read as
    ==========================  ==========================================================================
    folder with IDX files       ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-...``, with
                                or without ``.gz``, in it or in ``raw``, ``MNIST/raw``, ``FashionMNIST/raw``
    folder with CIFAR batches   python version (``data_batch_1`` to ``5``, ``test_batch``; ``train``,
                                ``test``) or binary version (``.bin``), in it or in ``cifar-10-batches-py``
                                and so on. CIFAR-100 with its 100 fine classes. Never unpickled.
    ``.tar.gz`` or ``.tgz``     the same, as downloaded; nothing is written to disk
    ``.npz``                    ``x_train, y_train, x_test, y_test`` and perhaps ``classes`` (text)
    folder of folders           images, one sub-folder a class; in ``train`` and ``test`` (or ``val``,
                                ``valid``, ``validation``) sub-folders if both are there, else every fifth
                                image of a class is the test part (see `held_back`)
    ==========================  ==========================================================================

    Arrays of an ``.npz`` have shape (N, H, W), (N, C, H, W) or (N, H, W, C): of four axes, the channels are
    the last if that axis is shorter than axis 1, otherwise axis 1. Integers that fit 0 to 255 become uint8,
    bool becomes 0 and 255, everything else float32; labels are integers of shape (N,) or (N, 1).

    Image files give uint8: grey if all of them are grey, else RGB (see `read_image`). Files without an image
    suffix and hidden files are passed over.

    Parameters
    ----------
    path : str or path-like
    data_format : {"NCHW", "NHWC"}, optional
        The order of four axes in an ``.npz``, where the rule above would go wrong.
    image_size : int or (H, W), optional
        Resize image files to that size; without it they must all have the same. Only for a folder of images.
    channels : {1, 3}, optional
        Convert image files to grey or RGB. Only for a folder of images.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        Nothing of that kind there; or a file that is empty, truncated, longer than it says, or not of its
        format. The message names the file and the rule. No memory is set aside for what a file only claims
        to hold. Also `image_size` or `channels` where there is no folder of images.
    ImportError
        A folder of images without Pillow.
    OSError
        A file is missing, a directory, a pipe, or not readable.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.zeros((3, 8, 8), np.uint8), np.array([0, 1, 0])
    >>> np.savez("small.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    >>> load("small.npz").x_train.shape
    (3, 1, 8, 8)
    """
    name = path_name("load", path)
    if data_format is not None and data_format not in _arrays.FORMATS:
        raise ValueError(f"load: data_format must be 'NCHW' or 'NHWC', got {data_format!r}")
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    _images.check_size("load: image_size", size)
    if channels is not None:
        _images.check_channels("load", channels)
    mode = os.stat(name).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "Not an ordinary file or directory", name)
    folder = Path(name)
    loader = None
    if stat.S_ISDIR(mode):
        loader = _idx.find(folder) or _cifar.find(folder)
        images = None if loader else _images.find(folder, size, channels)
        if images:
            return images()
        if loader is None:
            raise ValueError(f"load: {name}: no data set found; expected {_ACCEPTED}")
    for option, value in (("image_size", image_size), ("channels", channels)):
        if value is not None:
            raise ValueError(f"load: {name}: {option} goes with a folder of images only, got {value}")
    return loader() if loader else _load_file(name, data_format)


def is_image_folder(path: str | os.PathLike[str]) -> bool:
    """Whether `load` would read image files there."""
    folder = Path(path)
    if not folder.is_dir() or _idx.find(folder) or _cifar.find(folder):
        return False
    return _images.find(folder, None, None) is not None


def _load_file(name: str, data_format: str | None) -> Dataset:
    if name.lower().endswith(".npz"):
        return _arrays.load(Path(name), data_format)
    if name.lower().endswith((".tar.gz", ".tgz")):
        return _cifar.load_archive(name)
    raise ValueError(f"load: {name}: not a data set; expected a folder or file with {_ACCEPTED}")
