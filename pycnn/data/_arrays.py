"""A data set in one ``.npz`` file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pycnn.data._dataset import MAX_CLASSES, Dataset, default_classes
from pycnn.io import _npz
from pycnn.io._files import describing, open_regular

_NEEDED = ("x_train", "y_train", "x_test", "y_test")
FORMATS = ("NCHW", "NHWC")


def load(path: Path, data_format: str | None) -> Dataset:
    """Read the four arrays, and ``classes`` if it is there."""
    with describing("load", str(path)), open_regular(str(path)) as file:
        arrays = _npz.read(file, kinds="biufU", only=(*_NEEDED, "classes"), check=_check)
        channels_last = _channels_last(arrays["x_train"].shape, data_format)
        x_train, x_test = _images([arrays["x_train"], arrays["x_test"]], channels_last)
        y_train, y_test = (arrays[name].reshape(-1).astype(np.int64) for name in ("y_train", "y_test"))
        highest = int(max(y_train.max(), y_test.max()))
        if highest >= MAX_CLASSES:
            raise ValueError(f"labels must be below {MAX_CLASSES}, got {highest}")
        if "classes" in arrays:
            classes = tuple(str(name) for name in arrays["classes"].tolist())
        else:
            classes = default_classes(path.stem, highest + 1)
        return Dataset(x_train, y_train, x_test, y_test, classes, path.stem)


def _check(headers: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
    missing = [name for name in _NEEDED if name not in headers]
    if missing:
        raise ValueError(f"must hold {', '.join(_NEEDED)}; lacks {', '.join(missing)}")
    for part in ("train", "test"):
        shape, kind = headers[f"x_{part}"]
        if len(shape) not in (3, 4) or 0 in shape or kind.kind == "U":
            raise ValueError(f"x_{part} must be numbers of shape (N, H, W), (N, C, H, W) or (N, H, W, C) "
                             f"without a 0, got {kind} {shape}")  # fmt: skip
        labels, kind = headers[f"y_{part}"]
        if labels not in ((shape[0],), (shape[0], 1)) or kind.kind not in "iu":
            raise ValueError(f"y_{part} must be integers of shape ({shape[0]},), got {kind} {labels}")
    if headers["x_train"][0][1:] != headers["x_test"][0][1:]:
        raise ValueError(
            f"x_train and x_test must have images of one shape, got {headers['x_train'][0][1:]} "
            f"and {headers['x_test'][0][1:]}"
        )
    if "classes" in headers and (len(headers["classes"][0]) != 1 or headers["classes"][1].kind != "U"):
        raise ValueError("classes must be a row of text")


def _channels_last(shape: tuple[int, ...], data_format: str | None) -> bool:
    """Whether the channels are the last axis: as told, or where axis 3 is shorter than axis 1."""
    if data_format is not None or len(shape) == 3:
        return data_format == "NHWC" and len(shape) == 4
    return shape[3] < shape[1]


def _images(parts: list[npt.NDArray[Any]], channels_last: bool) -> list[npt.NDArray[Any]]:
    """Both parts as (N, C, H, W) of one type: bool becomes 0 and 255, integers uint8 if all of them fit."""
    if all(x.dtype == bool for x in parts):
        parts = [x.astype(np.uint8) * np.uint8(255) for x in parts]
    fit = all(x.dtype.kind in "iu" and x.min() >= 0 and x.max() <= 255 for x in parts)
    with np.errstate(over="ignore"):  # what becomes infinite is refused by Dataset
        parts = [x.astype(np.uint8 if fit else np.float32, copy=False) for x in parts]
    axes = [x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2) if channels_last else x for x in parts]
    return [np.ascontiguousarray(x) for x in axes]
