"""One case of the oracle comparison, and what its arrays are filled with."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

Call = tuple[tuple[Any, ...], dict[str, Any]]

CHANNELS_FIRST = {3: "NCL", 4: "NCHW", 5: "NCDHW"}
FORMATS = {1: ("NCL", "NLC", "LCN"), 2: ("NCHW", "NHWC", "HWCN"), 3: ("NCDHW", "NDHWC", "DHWCN")}
FLOATS = (np.float32, np.float64)

#: Widths around the multiples of 4, 8, 16, 24 and 48 lanes, where a vector loop hands over to its tail.
WIDTHS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40, 47, 48, 49, 57, 63, 64, 65, 70)
CHANNELS = (1, 3, 8, 17, 33)


@dataclass(frozen=True)
class Case:
    """Arguments of one call: `build` makes them from a generator; `exact` results must match bit for bit."""

    label: str
    build: Callable[[np.random.Generator], Call]
    exact: bool = False

    def arguments(self) -> Call:
        """The same arrays at every call and in every order of tests."""
        return self.build(np.random.default_rng(zlib.crc32(self.label.encode())))

    def __str__(self) -> str:
        return self.label


def fill(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, kind: str = "normal") -> np.ndarray:
    """Values of one kind; rounded to float32 first, so that both dtypes see the same numbers."""
    if np.dtype(dtype).kind in "iu":
        low, high = max(np.iinfo(dtype).min, -3), 4
        values = rng.integers(low, high, size=shape).astype(dtype)
        if kind == "extremes" and values.size:
            values.flat[:: max(values.size // 5, 1)] = np.iinfo(dtype).min
            values.flat[1 :: max(values.size // 3, 1)] = np.iinfo(dtype).max
        return values
    if kind in ("small integers", "ties"):
        return rng.integers(-3, 4, size=shape).astype(dtype)
    if kind == "zeros":
        return np.where(rng.random(shape) < 0.5, -0.0, 0.0).astype(dtype)
    values = np.asarray(rng.standard_normal(shape)).astype(np.float32).astype(dtype)
    if kind == "offset":
        return values + dtype(100.0)
    if kind == "tail":
        return values * dtype(0.25) - dtype(12.0)
    if kind == "denormal":
        return values * dtype(np.finfo(dtype).tiny / 64)
    specials = {
        "nan": [np.nan],
        "inf": [np.inf, -np.inf],
        "-inf": [-np.inf],
        "mixed": [np.nan, np.inf, -np.inf],
    }
    if kind in specials and values.size:
        share = 0.6 if kind in ("-inf", "mixed") else 0.1
        chosen = rng.random(shape) < share
        chosen.flat[0] = True
        values[chosen] = rng.choice(specials[kind], size=int(chosen.sum()))
    elif kind not in ("normal", *specials):
        raise ValueError(f"unknown kind {kind!r}")
    return values


def to_format(x: np.ndarray, data_format: str) -> np.ndarray:
    """C-contiguous copy of x (N, C, *space) in the order of `data_format`."""
    order = CHANNELS_FIRST[len(data_format)]
    return np.ascontiguousarray(np.transpose(x, [order.index(axis) for axis in data_format]))


def from_format(x: np.ndarray, data_format: str) -> np.ndarray:
    """View of x in the order (N, C, *space)."""
    return np.transpose(x, [data_format.index(axis) for axis in CHANNELS_FIRST[len(data_format)]])


def shape_to_format(shape: tuple[int, ...], data_format: str) -> tuple[int, ...]:
    """`shape` (N, C, *space) in the order of `data_format`."""
    order = CHANNELS_FIRST[len(data_format)]
    return tuple(shape[order.index(axis)] for axis in data_format)


def add_cases(
    table: dict[str, list[Case]],
    name: str,
    label: str,
    build: Any,
    exact: bool = False,
    dtypes: Any = FLOATS,
    **options: Any,
) -> None:
    """Append to the cases of `name` one of each dtype."""
    for dtype in dtypes:
        made = partial(build, dtype=dtype, **options)
        table.setdefault(name, []).append(Case(f"{label}-{np.dtype(dtype)}", made, exact))
