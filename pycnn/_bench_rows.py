"""What is measured: the rows of the benchmarks, their arrays and their amounts of work.

A row is one convolution, one pooling or one training step with all its sizes. `pycnn bench` and the comparison with
other libraries in ``benchmarks/`` share these definitions.
"""

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
KINDS = ("forward", "input", "weight", "pool", "train")
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Conv:
    """A convolution, forward or one of its gradients: ``kind`` is "forward", "input" or "weight"."""

    kind: str
    batch: int
    channels: int
    size: int
    filters: int
    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    dtype: str = "float32"

    @property
    def name(self) -> str:
        """What the tables call the sizes, as ``64@56-64 3x3 n16``."""
        k = self.kernel
        extras = [f"s{self.stride}"] if self.stride > 1 else []
        extras += [f"d{self.dilation}"] if self.dilation > 1 else []
        if self.groups > 1:
            extras.append("dw" if self.groups == self.channels else f"g{self.groups}")
        return " ".join([f"{self.channels}@{self.size}-{self.filters}", f"{k}x{k}", *extras, f"n{self.batch}"])

    @property
    def output_size(self) -> int:
        """Height and width of the output."""
        return _windows(self.size, self.kernel, self.stride, self.padding, self.dilation)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the input "x", the weights "w" and the output's gradient "dy"."""
        return {
            "x": (self.batch, self.channels, self.size, self.size),
            "w": (self.filters, self.channels // self.groups, self.kernel, self.kernel),
            "dy": (self.batch, self.filters, self.output_size, self.output_size),
        }

    @property
    def flops(self) -> int:
        """Operations of the direct sum, two a multiply-add: the same for the output and either gradient."""
        taps = self.channels // self.groups * self.kernel**2
        return 2 * self.batch * self.filters * self.output_size**2 * taps

    @property
    def bytes(self) -> int:
        """Bytes of input, weights and output, each moved once."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values()) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Pool:
    """A pooling, ``op`` "max", "avg" or "global" (average over the plane); ``kind`` is "pool".

    ``way`` is "forward", "backward", or "indices": the forward pass that also records which cell won.
    """

    op: str
    way: str
    batch: int
    channels: int
    size: int
    kernel: int
    stride: int
    padding: int = 0
    dtype: str = "float32"
    kind: str = "pool"

    @property
    def name(self) -> str:
        """What the tables call it, as ``max 64@112 3x3 s2 n16 backward``."""
        window = [] if self.op == "global" else [f"{self.kernel}x{self.kernel}", f"s{self.stride}"]
        return " ".join([self.op, f"{self.channels}@{self.size}", *window, f"n{self.batch}", self.way])

    @property
    def output_size(self) -> int:
        """Height and width of the output."""
        return _windows(self.size, self.kernel, self.stride, self.padding, 1)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the input "x" and the output's gradient "dy"."""
        return {
            "x": (self.batch, self.channels, self.size, self.size),
            "dy": (self.batch, self.channels, self.output_size, self.output_size),
        }

    @property
    def flops(self) -> int:
        """Comparisons or additions, one a tap."""
        return int(np.prod(self.shapes["dy"])) * self.kernel**2

    @property
    def bytes(self) -> int:
        """Bytes of input and output, each moved once; a winner counts one byte."""
        winners = self.op == "max" and self.way != "forward"
        cells = {name: int(np.prod(shape)) for name, shape in self.shapes.items()}
        return sum(cells.values()) * np.dtype(self.dtype).itemsize + winners * cells["dy"]


@dataclass(frozen=True)
class Step:
    """A training step of a bundled network: forward, cross-entropy, backward, SGD with momentum.

    With ``images`` it is a whole epoch over so many: shuffling, taking and normalising the batches as well.
    """

    network: str
    batch: int
    channels: int
    size: int
    images: int = 0
    dtype: str = "float32"
    kind: str = "train"

    @property
    def name(self) -> str:
        """What the tables call it, as ``lenet 1@28 n128``."""
        epoch = f" epoch of {self.images}" if self.images else ""
        return f"{self.network} {self.channels}@{self.size} n{self.batch}{epoch}"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of the images "x"; the labels come from `arrays` too."""
        return {"x": (self.images or self.batch, self.channels, self.size, self.size)}

    @property
    def flops(self) -> int:
        """Three times the operations of the forward pass: output, and both gradients."""
        from pycnn import models

        net = models.build(self.network, in_channels=self.channels, input_size=self.size, rng=0)
        return 6 * net.summary((self.images or self.batch, self.channels, self.size, self.size)).multiply_adds

    @property
    def bytes(self) -> int:
        """0: what a network has to move depends on how it is cut into layers."""
        return 0


Row: TypeAlias = Conv | Pool | Step


def _windows(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def identifier(row: Row) -> str:
    """Return the name that is unique among all rows: ``forward/64@56-64 3x3 n16/float32``."""
    return f"{row.kind}/{row.name}/{row.dtype}"


# The rows ------------------------------------------------------------------------------------------------------

# batches, channels, size, filters, kernel, then what differs from stride 1, padding 0, dilation 1, groups 1
_Shape: TypeAlias = tuple[tuple[int, ...], int, int, int, int, dict[str, int]]
_CONVS: tuple[_Shape, ...] = (
    ((1, 16), 3, 224, 64, 7, {"stride": 2, "padding": 3}),
    ((1, 16), 64, 56, 64, 3, {"padding": 1}),
    ((1, 16), 128, 28, 128, 3, {"padding": 1}),
    ((1, 16), 256, 14, 256, 3, {"padding": 1}),
    ((1, 16), 512, 7, 512, 3, {"padding": 1}),
    ((1,), 64, 224, 64, 3, {"padding": 1}),
    ((1,), 256, 56, 64, 1, {}),
    ((16,), 64, 56, 256, 1, {}),
    ((16,), 512, 7, 2048, 1, {}),
    ((16,), 128, 56, 128, 3, {"stride": 2, "padding": 1}),
    ((1, 16), 144, 56, 144, 3, {"padding": 1, "groups": 144}),
    ((16,), 256, 28, 256, 3, {"padding": 1, "groups": 32}),
    ((64,), 1, 28, 32, 3, {"padding": 1}),
    ((64,), 32, 28, 64, 3, {"padding": 1}),
    ((64,), 6, 14, 16, 5, {}),
    ((128,), 32, 32, 32, 3, {"padding": 1}),
)
_CONVS_DOUBLE: tuple[_Shape, ...] = (
    ((16,), 64, 56, 64, 3, {"padding": 1}),
    ((16,), 64, 56, 256, 1, {}),
    ((16,), 128, 56, 128, 3, {"stride": 2, "padding": 1}),
    ((64,), 32, 28, 64, 3, {"padding": 1}),
)
# Rules are tuned on no row in particular: these have the sizes that the rows above leave out.
_CONVS_MORE: tuple[_Shape, ...] = (
    ((1, 32), 24, 33, 48, 3, {"padding": 1}),
    ((4,), 48, 112, 48, 3, {"padding": 1}),
    ((32,), 96, 13, 160, 3, {"padding": 1}),
    ((1, 4), 160, 17, 160, 3, {"padding": 1}),
    ((4,), 16, 112, 16, 3, {"padding": 1}),
    ((32,), 32, 17, 16, 3, {}),
    ((4,), 96, 33, 96, 3, {"padding": 2, "dilation": 2}),
    ((4,), 48, 33, 96, 5, {"padding": 2}),
    ((1, 32), 96, 17, 24, 1, {}),
    ((4,), 256, 28, 512, 1, {"stride": 2}),
    ((32,), 160, 7, 960, 1, {}),
    ((4,), 24, 112, 24, 3, {"padding": 1, "stride": 2, "groups": 24}),
    ((4,), 240, 13, 240, 5, {"padding": 2, "groups": 240}),
    ((4,), 96, 33, 96, 3, {"padding": 1, "groups": 4}),
    ((1,), 3, 112, 24, 3, {"padding": 1, "stride": 2}),
)
# op, batches, channels, size, kernel, stride, padding
_POOLS = (
    ("max", (1, 16), 64, 112, 3, 2, 1),
    ("max", (16,), 64, 56, 2, 2, 0),
    ("max", (64,), 32, 28, 2, 2, 0),
    ("avg", (16,), 64, 56, 2, 2, 0),
    ("avg", (16,), 192, 35, 3, 1, 1),
    ("global", (16,), 2048, 7, 7, 1, 0),
)
_POOLS_MORE = (
    ("max", (4,), 24, 33, 3, 2, 0),
    ("max", (4,), 96, 13, 5, 1, 2),
    ("max", (1,), 48, 112, 2, 2, 0),
    ("avg", (4,), 160, 17, 5, 3, 0),
    ("avg", (32,), 48, 13, 3, 2, 1),
    ("global", (1,), 960, 13, 13, 1, 0),
)


def _convs(shapes: Iterable[_Shape], dtype: str) -> list[Row]:
    return [
        Conv(kind, batch, channels, size, filters, kernel, dtype=dtype, **rest)
        for kind in ("forward", "input", "weight")
        for batches, channels, size, filters, kernel, rest in shapes
        for batch in batches
    ]


def _pools(more: bool) -> list[Row]:
    rows: list[Row] = [
        Pool(op, way, batch, channels, size, kernel, stride, padding)
        for way in ("forward", "backward")
        for op, batches, channels, size, kernel, stride, padding in (_POOLS_MORE if more else _POOLS)
        for batch in batches
    ]
    if more:
        rows += [
            Pool("max", "indices", n, c, s, k, t, p) for op, ns, c, s, k, t, p in _POOLS if op == "max" for n in ns
        ]
    return rows


def rows(*, more: bool = False) -> list[Row]:
    """Return the rows in the order of the tables; with ``more`` those with other sizes instead."""
    if more:
        return _convs(_CONVS_MORE, "float32") + _pools(True)
    steps: list[Row] = [Step("lenet", 128, 1, 28), Step("vgg-small", 128, 1, 28), Step("resnet20", 128, 3, 32)]
    return _convs(_CONVS, "float32") + _convs(_CONVS_DOUBLE, "float64") + _pools(False) + steps


# Whole epochs, as long as a few steps: seconds each.
EPOCHS: tuple[Step, ...] = (
    Step("lenet", 128, 1, 28, 12800),
    Step("vgg-small", 128, 1, 28, 2560),
    Step("resnet20", 128, 3, 32, 1280),
)
# One small row of each kind, for a look whether everything works.
QUICK: tuple[Row, ...] = (
    Conv("forward", 2, 8, 12, 16, 3, padding=1),
    Conv("input", 2, 8, 12, 16, 3, padding=1),
    Conv("weight", 2, 8, 12, 16, 3, padding=1),
    Conv("forward", 2, 8, 12, 16, 3, padding=1, dtype="float64"),
    Pool("max", "forward", 2, 8, 12, 2, 2),
    Pool("max", "backward", 2, 8, 12, 2, 2),
    Step("lenet", 8, 1, 28),
)


def select(
    candidates: Iterable[Row], *, pattern: str | None = None, kinds: Iterable[str] = (), dtypes: Iterable[str] = ()
) -> list[Row]:
    """Return the rows of these kinds and types (all by default) whose `identifier` the regular expression finds.

    Raises
    ------
    ValueError
        Unknown kind or type, a pattern that is no regular expression, or nothing selected.
    """
    kinds, dtypes = tuple(kinds), tuple(dtypes)
    for given, known, what in ((kinds, KINDS, "kind"), (dtypes, DTYPES, "dtype")):
        for word in given:
            if word not in known:
                raise ValueError(f"{what} must be one of {', '.join(known)}, got {word!r}")
    try:
        finds = re.compile(pattern or "", re.IGNORECASE).search
    except re.error as error:
        raise ValueError(f"rows must be a regular expression, got {pattern!r}: {error}") from None
    chosen = [
        row
        for row in candidates
        if (not kinds or row.kind in kinds) and (not dtypes or row.dtype in dtypes) and finds(identifier(row))
    ]
    if not chosen:
        raise ValueError("no row is selected")
    return chosen


def arrays(row: Row) -> dict[str, Array]:
    """Return the arrays that the row needs, the same at every call.

    Normal numbers; the weights are scaled so that outputs are near 1. A training step has "labels" besides, and the
    images of an epoch are bytes, as files have them.
    """
    rng = np.random.default_rng(zlib.crc32(repr(sorted(row.shapes.items())).encode()))
    dtype = np.dtype(row.dtype).type
    found: dict[str, Array] = {}
    for name, shape in row.shapes.items():
        found[name] = rng.standard_normal(shape, dtype=dtype)
        if name == "w":
            found[name] *= dtype(np.prod(shape[1:]) ** -0.5)
    if isinstance(row, Step):
        if row.images:
            found["x"] = rng.integers(0, 256, row.shapes["x"], dtype=np.uint8)
        found["labels"] = rng.integers(0, 10, len(found["x"]))
    return found


def find(name: str) -> Row:
    """Return the row with this `identifier`; ValueError where there is none."""
    for row in (*rows(), *rows(more=True), *EPOCHS, *QUICK):
        if identifier(row) == name:
            return row
    raise ValueError(f"no row is called {name!r}")
