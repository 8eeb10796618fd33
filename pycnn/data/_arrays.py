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
        parts = {name: _images(name, arrays[name], channels_last) for name in ("x_train", "x_test")}
        labels = {name: arrays[name].reshape(-1).astype(np.int64) for name in ("y_train", "y_test")}
        highest = max(int(y.max()) for y in labels.values())
        if highest >= MAX_CLASSES:
            raise ValueError(f"labels must be below {MAX_CLASSES}, got {highest}")
        if "classes" in arrays:
            classes = tuple(str(name) for name in arrays["classes"].tolist())
        else:
            classes = default_classes(path.stem, highest + 1)
        return Dataset(**parts, **labels, classes=classes, name=path.stem)


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


def _images(name: str, x: npt.NDArray[Any], channels_last: bool) -> npt.NDArray[Any]:
    """As uint8 or float32 (N, C, H, W): bool becomes 0 and 255, wider integers uint8 where they fit."""
    if x.dtype == bool:
        x = x.astype(np.uint8) * np.uint8(255)
    elif x.dtype.kind in "iu" and x.min() >= 0 and x.max() <= 255:
        x = x.astype(np.uint8, copy=False)
    else:
        with np.errstate(over="ignore"):  # an infinity is refused by Dataset
            x = x.astype(np.float32, copy=False)
    if x.ndim == 3:
        return x[:, None]
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if channels_last else x
