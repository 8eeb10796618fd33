"""Cases of pooling: max, average, Lp, adaptive, and unpooling."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from case import CHANNELS, FLOATS, FORMATS, WIDTHS, Call, Case, fill, shape_to_format, to_format

from pycnn import reference

INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


@dataclass(frozen=True)
class Pool:
    """One pooling; sizes in the order N, C, space."""

    label: str
    nc: tuple[int, int]
    size: tuple[int, ...]
    kernel: Any
    options: dict[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.nc, *self.size)

    @property
    def dims(self) -> int:
        return len(self.size)


def pool(label: str, nc: tuple[int, int], size: Any, kernel: Any, **options: Any) -> Pool:
    return Pool(label, nc, size, kernel, options)


TRICKY = [
    pool("plain", (2, 3), (6, 8), 2),
    pool("stride None", (2, 3), (7, 9), (2, 3), stride=None),
    pool("overlapping", (2, 3), (7, 9), 3, stride=2),
    pool("stride 1", (1, 8), (5, 17), 3, stride=1, padding=1),
    pool("stride > kernel", (2, 3), (9, 11), 2, stride=(3, 4)),
    pool("stride > image", (2, 3), (3, 4), 2, stride=9),
    pool("empty batch", (0, 3), (6, 8), 2),
    pool("no channels", (2, 0), (6, 8), 2),
    pool("1x1 image", (2, 3), (1, 1), 1),
    pool("1x1 image, padded", (2, 3), (1, 1), 3, stride=2, padding=1),
    pool("whole image", (2, 17), (5, 6), (5, 6)),
    pool("1xN and Nx1", (2, 3), (5, 9), (1, 4), stride=(2, 3)),
    pool("leftover rows", (2, 3), (8, 10), 3),
    pool("padding", (2, 3), (6, 7), 3, stride=2, padding=1),
    pool("padding > half the kernel", (2, 3), (6, 7), 3, stride=2, padding=2),
    pool("asymmetric", (2, 3), (6, 7), 3, stride=2, padding=((1, 0), (0, 2))),
    pool("asymmetric, ceil", (2, 3), (6, 7), (3, 2), stride=(2, 3), padding=((0, 2), (1, 0)), ceil_mode=True),
    pool("ceil keeps a window", (2, 3), (6, 7), 3, stride=2, ceil_mode=True),
    pool("ceil drops a window", (2, 3), (4, 5), 2, stride=3, padding=1, ceil_mode=True),
    pool("ceil, 1 cell left", (2, 3), (5, 5), 2, stride=2, ceil_mode=True),
    pool("ceil, larger than the image", (2, 3), (2, 2), 3, stride=2, ceil_mode=True),
    pool("ceil, much larger, wide", (1, 17), (3, 9), (20, 12), stride=(18, 4), ceil_mode=True),
    pool("ceil, overhangs both ends", (2, 3), (2, 6), (6, 9), stride=(5, 6), padding=((2, 1), (1, 1)), ceil_mode=True),
    pool("ceil, dilated over the end", (2, 3), (4, 5), (3, 2), stride=(3, 9), dilation=(2, 7), ceil_mode=True),
    pool("valid", (2, 3), (6, 7), 3, stride=2, padding="valid"),
    pool("same", (2, 3), (6, 7), 3, stride=2, padding="same"),
    pool("same, stride 1", (2, 3), (6, 7), (2, 4), stride=1, padding="same"),
    pool("same_lower", (2, 3), (6, 7), (2, 3), stride=(2, 1), padding="same_lower"),
    pool("same, ceil", (2, 3), (7, 8), 2, stride=3, padding="same", ceil_mode=True),
    pool("dilation", (2, 3), (9, 11), 3, stride=2, dilation=2),
    pool(
        "dilation, padding, ceil",
        (1, 3),
        (10, 12),
        (2, 3),
        stride=3,
        dilation=(3, 2),
        padding=2,
        ceil_mode=True,
    ),
    pool("lists", (1, 3), (6, 7), [2, np.int64(3)], stride=[np.int32(1), 2], padding=[1, 0]),
    pool("large kernel", (1, 2), (15, 31), (9, 13), stride=(2, 5), padding=(4, 6)),
]

ONE_D = [
    pool("plain", (2, 3), (17,), 2),
    pool("overlapping, padded", (2, 3), (16,), (3,), stride=2, padding=1),
    pool("empty batch", (0, 3), (6,), 2),
    pool("one cell", (2, 3), (1,), 1),
    pool("asymmetric, ceil", (2, 3), (9,), 3, stride=2, padding=((2, 1),), ceil_mode=True),
    pool("ceil, larger than the signal", (2, 3), (5,), 9, stride=6, padding=1, ceil_mode=True),
    pool("same_lower", (2, 3), (9,), 4, stride=3, padding="same_lower"),
    pool("dilation", (1, 17), (33,), 3, stride=1, dilation=4),
]

THREE_D = [
    pool("plain", (2, 3), (4, 5, 6), 2),
    pool("overlapping, padded", (1, 3), (4, 5, 7), 3, stride=2, padding=1),
    pool("empty batch", (0, 3), (4, 4, 4), 2),
    pool("one cell", (2, 3), (1, 1, 1), 1),
    pool(
        "asymmetric, ceil",
        (1, 3),
        (5, 4, 6),
        (3, 2, 3),
        stride=2,
        padding=((1, 0), (0, 1), (2, 1)),
        ceil_mode=True,
    ),
    pool("ceil, larger than the volume", (1, 3), (2, 3, 5), (3, 5, 3), stride=(2, 4, 2), ceil_mode=True),
    pool("same", (1, 3), (4, 5, 6), (2, 3, 2), stride=(3, 2, 1), padding="same"),
    pool("dilation", (1, 8), (5, 5, 17), 2, stride=1, dilation=(1, 2, 3)),
]

SWEEP = [
    pool(f"width {w}", (1, CHANNELS[i % 5]), (4, w), (2, min(w, 1 + i % 3)), stride=(2, 1 + i % 4))
    for i, w in enumerate(WIDTHS)
]

SPECS = {1: ONE_D, 2: TRICKY + SWEEP, 3: THREE_D}


def _windows(spec: Pool) -> dict[str, Any]:
    """Positional part that all poolings share, by name."""
    return {"kernel_size": spec.kernel, **spec.options}


def _max_forward(
    rng: np.random.Generator, *, spec: Pool, dtype: Any, data_format: str, kind: str, indices: Any
) -> Call:
    x = to_format(fill(rng, spec.shape, dtype, kind), data_format)
    return (x,), {**_windows(spec), "return_indices": indices, "data_format": data_format}


def _max_backward(
    rng: np.random.Generator, *, spec: Pool, dtype: Any, data_format: str, kind: str, indices: Any
) -> Call:
    """`indices` is True or "compact" (ties="first"), or "split" or "all"."""
    x = to_format(fill(rng, spec.shape, dtype, kind), data_format)
    options = {**_windows(spec), "data_format": data_format}
    wanted = "compact" if indices == "compact" else True
    y, places = getattr(reference, f"max_pool{spec.dims}d")(x, return_indices=wanted, **options)
    grad_output = fill(rng, y.shape, dtype, "small integers")
    if indices in ("split", "all"):
        return (grad_output, None, x.shape), {**options, "x": x, "ties": indices}
    return (grad_output, places, x.shape), options


def _avg_forward(
    rng: np.random.Generator, *, spec: Pool, dtype: Any, data_format: str, kind: str, **extra: Any
) -> Call:
    x = to_format(fill(rng, spec.shape, dtype, kind), data_format)
    return (x,), {**_windows(spec), **extra, "data_format": data_format}


def _avg_backward(
    rng: np.random.Generator, *, spec: Pool, dtype: Any, data_format: str, kind: str, **extra: Any
) -> Call:
    options = {**_windows(spec), **extra, "data_format": data_format}
    shape = shape_to_format(spec.shape, data_format)
    y = getattr(reference, f"avg_pool{spec.dims}d")(np.zeros(shape, dtype=dtype), **options)
    return (fill(rng, y.shape, dtype, kind), shape), options


def _each(dims: int, tricky_formats: int = 3) -> Any:
    """(spec, data_format, number): tricky specs in several orders of axes, the sweep in turns."""
    for number, spec in enumerate(SPECS[dims]):
        turn = [FORMATS[dims][number % 3]]
        for fmt in turn if spec.label.startswith("width") else FORMATS[dims][:tricky_formats]:
            yield number, spec, fmt


def _max_cases(dims: int) -> tuple[list[Case], list[Case]]:
    forward, backward = [], []
    kinds = ("normal", "ties", "nan", "-inf", "mixed", "zeros")
    for number, spec, fmt in _each(dims):
        for turn, dtype in enumerate(FLOATS):
            # kinds and indices take turns; every pair of them meets every pooling in one of the formats
            kind = kinds[(number + turn + 2 * FORMATS[dims].index(fmt)) % len(kinds)]
            common = {"spec": spec, "dtype": dtype, "data_format": fmt, "kind": kind}
            name = f"{spec.label}-{fmt}-{np.dtype(dtype)}-{kind}"
            for indices in (False, True, "compact"):
                forward.append(Case(f"{name}-{indices}", partial(_max_forward, **common, indices=indices), exact=True))
            for indices in (True, "compact", "split", "all"):
                # a window of three tied cells splits into thirds, which no format holds exactly
                made = partial(_max_backward, **common, indices=indices)
                backward.append(Case(f"{name}-{indices}", made, exact=indices != "split"))
    for number, dtype in enumerate(INTEGERS):
        for spec in SPECS[dims][number % 3 :: 5]:
            fmt = FORMATS[dims][number % 3]
            for kind in ("ties", "extremes"):
                made = partial(_max_forward, spec=spec, dtype=dtype, data_format=fmt, kind=kind, indices=True)
                forward.append(Case(f"{spec.label}-{fmt}-{np.dtype(dtype)}-{kind}", made, exact=True))
    return forward, backward


def _avg_cases(dims: int) -> tuple[list[Case], list[Case]]:
    forward, backward = [], []
    extras: list[dict[str, Any]] = [
        {},
        {"count_include_pad": False},
        {"divisor_override": 3},
        {"count_include_pad": True, "divisor_override": None},
    ]
    for number, spec, fmt in _each(dims):
        for turn, dtype in enumerate(FLOATS):
            extra = extras[(number + 2 * turn + FORMATS[dims].index(fmt)) % len(extras)]
            kind = ("normal", "small integers", "nan")[(number + turn) % 3]
            name = f"{spec.label}-{fmt}-{np.dtype(dtype)}-{kind}-{extra}"
            common = {"spec": spec, "dtype": dtype, "data_format": fmt, "kind": kind, **extra}
            forward.append(Case(name, partial(_avg_forward, **common)))
            backward.append(Case(name, partial(_avg_backward, **common)))
    return forward, backward


def _lp_call(
    rng: np.random.Generator, *, spec: Pool, dtype: Any, data_format: str, kind: str, p: float, backward: bool
) -> Call:
    x = to_format(fill(rng, spec.shape, dtype, kind), data_format)
    options = {**_windows(spec), "norm_type": p, "data_format": data_format}
    if not backward:
        return (x,), options
    shape = reference.lp_pool2d(x, **options).shape
    return (fill(rng, shape, dtype), x), options


def _lp_cases(backward: bool) -> list[Case]:
    result = []
    powers = (2, 1, 3, 2.5, 1.5, 4)
    for number, spec, fmt in _each(2):
        for turn, dtype in enumerate(FLOATS):
            p = powers[(number + turn) % len(powers)]
            kind = ("normal", "ties")[(number + turn + FORMATS[2].index(fmt)) % 2]
            made = partial(_lp_call, spec=spec, dtype=dtype, data_format=fmt, kind=kind, p=p, backward=backward)
            result.append(Case(f"{spec.label}-{fmt}-{np.dtype(dtype)}-{kind}-p {p}", made))
    return result


ADAPTIVE: list[tuple[tuple[int, ...], Any]] = [
    ((2, 3, 6, 8), (2, 4)),
    ((2, 3, 6, 8), 1),
    ((2, 3, 7, 9), (3, 4)),
    ((2, 3, 5, 4), (7, 9)),
    ((1, 17, 10, 13), (3, None)),
    ((1, 3, 10, 13), (None, 5)),
    ((0, 3, 5, 5), 2),
    ((2, 3, 1, 1), 3),
    ((1, 33, 4, 70), (1, 7)),
    ((2, 8, 7, 7), 7),
    ((2, 0, 7, 7), 2),
    ((1, 3, 10, 13), [np.int64(3), 2]),
]


def _adaptive_call(
    rng: np.random.Generator,
    *,
    shape: tuple[int, ...],
    size: Any,
    dtype: Any,
    data_format: str,
    kind: str,
    which: str,
) -> Call:
    x = to_format(fill(rng, shape, dtype, kind), data_format)
    if which == "avg":
        return (x, size), {"data_format": data_format}
    if which == "max":
        return (x, size), {"data_format": data_format, "return_indices": True}
    y, indices = reference.adaptive_max_pool2d(x, size, True, data_format=data_format)
    grad_output = fill(rng, y.shape, dtype, "small integers" if which == "max backward" else "normal")
    if which == "avg backward":
        return (grad_output, x.shape, size), {"data_format": data_format}
    return (grad_output, indices, x.shape, size), {"data_format": data_format}


def _adaptive_cases(which: str) -> list[Case]:
    result = []
    kinds = ("normal", "ties", "nan", "mixed") if which == "max" else ("normal",)
    for number, (shape, size) in enumerate(ADAPTIVE):
        for turn, fmt in enumerate(FORMATS[2]):
            for dtype in FLOATS if which != "max" else (*FLOATS, INTEGERS[number % len(INTEGERS)]):
                kind = kinds[(number + turn) % len(kinds)]
                made = partial(
                    _adaptive_call,
                    shape=shape,
                    size=size,
                    dtype=dtype,
                    data_format=fmt,
                    kind=kind,
                    which=which,
                )
                label = f"{shape} to {size}-{fmt}-{np.dtype(dtype)}-{kind}"
                result.append(Case(label, made, exact=which.startswith("max")))
    return result


#: Pooled shape, kernel, options, output size.
UNPOOL: list[tuple[Pool, Any]] = [
    (pool("plain", (2, 3), (6, 8), 2), None),
    (pool("odd size", (2, 3), (7, 9), 2), (7, 9)),
    (pool("strided", (1, 8), (9, 11), 2, stride=3), (9, 11)),
    (pool("padded", (2, 3), (6, 7), (3, 2), stride=2, padding=(1, 0)), (6, 7)),
    (pool("overlapping", (2, 3), (7, 9), 3, stride=2), None),
    (pool("asymmetric", (2, 3), (6, 7), 3, stride=2, padding=((1, 0), (0, 1))), (6, 7)),
    (pool("empty batch", (0, 3), (6, 8), 2), None),
    (pool("one cell", (2, 3), (1, 1), 1), None),
    (pool("many channels", (1, 33), (4, 70), 2), None),
]


def _unpool_call(
    rng: np.random.Generator,
    *,
    spec: Pool,
    size: Any,
    dtype: Any,
    data_format: str,
    repeated: bool,
    backward: bool,
) -> Call:
    """Pool random values to get places, then unpool others."""
    values = to_format(fill(rng, spec.shape, dtype), data_format)
    y, indices = reference.max_pool2d(values, return_indices=True, data_format=data_format, **_windows(spec))
    options = {**_windows(spec), "data_format": data_format, "output_size": size}
    x = fill(rng, y.shape, dtype)
    if repeated:
        indices = indices % 5
    if not backward:
        return (x, indices), options
    shape = reference.max_unpool2d(x, indices, **options).shape
    return (fill(rng, shape, dtype), indices), options


def _unpool_cases(backward: bool) -> list[Case]:
    result = []
    for number, (spec, size) in enumerate(UNPOOL):
        for fmt in FORMATS[2]:
            for turn, dtype in enumerate(FLOATS):
                repeated = (number + turn) % 2 == 1 and spec.size != (1, 1)
                made = partial(
                    _unpool_call,
                    spec=spec,
                    size=size,
                    dtype=dtype,
                    data_format=fmt,
                    repeated=repeated,
                    backward=backward,
                )
                label = f"{spec.label}-{fmt}-{np.dtype(dtype)}-{'repeated' if repeated else 'different'}"
                result.append(Case(label, made, exact=True))
    return result


CASES: dict[str, list[Case]] = {}
for _dims in SPECS:
    CASES[f"max_pool{_dims}d"], CASES[f"max_pool{_dims}d_backward"] = _max_cases(_dims)
    CASES[f"avg_pool{_dims}d"], CASES[f"avg_pool{_dims}d_backward"] = _avg_cases(_dims)
CASES["lp_pool2d"], CASES["lp_pool2d_backward"] = _lp_cases(False), _lp_cases(True)
CASES["adaptive_avg_pool2d"], CASES["adaptive_avg_pool2d_backward"] = (
    _adaptive_cases("avg"),
    _adaptive_cases("avg backward"),
)
CASES["adaptive_max_pool2d"], CASES["adaptive_max_pool2d_backward"] = (
    _adaptive_cases("max"),
    _adaptive_cases("max backward"),
)
CASES["max_unpool2d"], CASES["max_unpool2d_backward"] = _unpool_cases(False), _unpool_cases(True)
