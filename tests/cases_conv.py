"""Cases of convolution and transposed convolution."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from case import CHANNELS, FLOATS, FORMATS, WIDTHS, Call, Case, fill, to_format

from pycnn import reference


@dataclass(frozen=True)
class Conv:
    """One convolution; sizes in the order N, C, space."""

    label: str
    n: int
    c: int
    f: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    options: dict[str, Any]
    kind: str = "normal"
    bias: bool = True

    @property
    def dims(self) -> int:
        return len(self.size)


def conv(
    label: str,
    ncf: tuple[int, int, int],
    size: Any,
    kernel: Any,
    kind: str = "normal",
    bias: bool = True,
    **options: Any,
) -> Conv:
    return Conv(label, *ncf, size, kernel, options, kind, bias)


TRICKY = [
    conv("plain", (2, 3, 4), (6, 7), (3, 3), padding=1),
    conv("no bias", (2, 3, 4), (6, 7), (3, 2), bias=False),
    conv("empty batch", (0, 3, 4), (6, 7), (3, 3), padding=1),
    conv("no input channels", (2, 0, 3), (4, 5), (3, 2)),
    conv("1x1 image", (2, 3, 5), (1, 1), (1, 1)),
    conv("1x1 image, padded", (2, 3, 5), (1, 1), (3, 3), padding=1),
    conv("kernel = image", (2, 3, 5), (4, 5), (4, 5)),
    conv("stride > kernel", (2, 3, 5), (9, 11), (2, 2), stride=4),
    conv("stride > image", (2, 3, 5), (5, 4), (3, 3), stride=(7, 9)),
    conv("padding > kernel", (1, 2, 3), (4, 4), (3, 3), padding=5),
    conv("fits only through padding", (1, 2, 3), (2, 2), (4, 5), padding=(1, 2)),
    conv("dilated kernel = padded size", (1, 2, 3), (5, 7), (3, 3), padding=(1, 2), dilation=(3, 5)),
    conv("dilation 2", (2, 3, 4), (9, 12), (3, 2), padding=2, dilation=2),
    conv("dilation 3, stride 2", (1, 3, 4), (13, 15), (3, 3), padding=3, dilation=3, stride=2),
    conv("asymmetric padding", (2, 3, 4), (6, 7), (3, 3), padding=((2, 0), (1, 3))),
    conv("asymmetric, strided", (2, 3, 4), (7, 8), (3, 3), padding=((0, 1), (3, 0)), stride=(2, 3)),
    conv("valid", (2, 3, 4), (6, 7), (3, 3), padding="valid"),
    conv("same", (2, 3, 4), (6, 7), (3, 4), padding="same"),
    conv("same_lower", (2, 3, 4), (6, 7), (4, 2), padding="same_lower"),
    conv("same, strided", (2, 3, 4), (8, 9), (3, 5), padding="same", stride=(2, 3)),
    conv(
        "same_lower, strided, dilated",
        (2, 3, 4),
        (8, 9),
        (3, 2),
        padding="same_lower",
        stride=2,
        dilation=(2, 3),
    ),
    conv("same, stride > kernel", (1, 2, 2), (8, 7), (2, 1), padding="same", stride=(5, 3)),
    conv(
        "rectangular everything",
        (1, 4, 6),
        (5, 13),
        (2, 3),
        stride=(1, 2),
        padding=(1, 0),
        dilation=(2, 1),
        groups=2,
    ),
    conv("1xN kernel", (1, 3, 4), (5, 11), (1, 7), padding=(0, 3)),
    conv("Nx1 kernel", (1, 3, 4), (11, 5), (7, 1), padding=(3, 0)),
    conv("pointwise", (2, 17, 9), (5, 6), (1, 1)),
    conv("pointwise, strided", (2, 8, 9), (5, 6), (1, 1), stride=2),
    conv("depthwise", (2, 8, 8), (7, 18), (3, 3), padding=1, groups=8),
    conv("depthwise, multiplier 2", (1, 5, 10), (6, 9), (3, 3), padding=1, groups=5, stride=2),
    conv("depthwise 5x5, dilated", (1, 3, 3), (9, 21), (5, 5), padding=4, groups=3, dilation=2),
    conv("groups", (2, 6, 9), (6, 7), (3, 3), groups=3, padding=1),
    conv("groups, strided", (1, 34, 4), (6, 7), (3, 3), groups=2, stride=2),
    conv("leftover rows", (1, 2, 3), (8, 10), (3, 3), stride=3),
    conv(
        "lists and NumPy integers",
        (1, 4, 4),
        (6, 7),
        (3, 3),
        stride=[1, 2],
        padding=[np.int64(1), 0],
        dilation=np.int32(1),
        groups=np.int64(2),
    ),
    conv("large kernel", (1, 2, 3), (12, 25), (7, 11), padding=(3, 5)),
    conv("11x11, stride 4", (1, 3, 5), (27, 31), (11, 11), stride=4, padding=2),
    conv("long sum", (1, 300, 3), (4, 5), (3, 3), padding=1),
    conv("NaN", (2, 3, 4), (9, 11), (3, 3), "nan", stride=2),
    conv("infinity", (2, 3, 4), (9, 11), (2, 3), "inf"),
    conv("infinity x 0", (1, 2, 4), (6, 20), (3, 3), "inf weight"),
    conv("denormals", (1, 2, 4), (6, 20), (3, 3), "denormal"),
]

ONE_D = [
    conv("plain", (2, 3, 4), (17,), (3,), padding=1),
    conv("no bias, strided", (2, 3, 4), (16,), (4,), stride=3, bias=False),
    conv("empty batch", (0, 3, 4), (7,), (3,)),
    conv("one cell", (2, 3, 4), (1,), (1,)),
    conv("asymmetric", (1, 3, 4), (9,), (3,), padding=((3, 1),), stride=2),
    conv("same", (1, 3, 4), (9,), (4,), padding="same", stride=2),
    conv("same_lower", (1, 3, 4), (9,), (4,), padding="same_lower"),
    conv("groups, dilated", (1, 4, 6), (19,), (3,), groups=2, dilation=3, padding=(2,)),
    conv("depthwise", (2, 17, 17), (33,), (5,), groups=17, padding=2),
    conv("NaN", (2, 3, 4), (20,), (3,), "nan"),
]

THREE_D = [
    conv("plain", (2, 3, 4), (4, 5, 6), (3, 3, 3), padding=1),
    conv("no bias, strided", (1, 3, 4), (5, 6, 7), (2, 3, 1), stride=(2, 1, 3), bias=False),
    conv("empty batch", (0, 3, 4), (3, 3, 3), (3, 3, 3)),
    conv("one cell", (2, 3, 4), (1, 1, 1), (1, 1, 1)),
    conv("asymmetric", (1, 2, 3), (4, 5, 6), (3, 2, 3), padding=((1, 0), (0, 2), (2, 1)), stride=(1, 2, 2)),
    conv("same", (1, 2, 3), (4, 5, 6), (2, 3, 4), padding="same", stride=(2, 1, 3)),
    conv("same_lower", (1, 2, 3), (3, 4, 5), (2, 2, 2), padding="same_lower"),
    conv("groups, dilated", (1, 4, 6), (5, 6, 9), (2, 3, 2), groups=2, dilation=(1, 2, 3), padding=1),
    conv("depthwise", (1, 3, 6), (3, 4, 17), (3, 3, 3), groups=3, padding=1),
    conv("NaN", (1, 2, 3), (4, 5, 6), (2, 2, 2), "nan"),
]


def _sweep() -> list[Conv]:
    """Every width with changing channels, kernels and strides; small integers, so that every sum is exact."""
    result = []
    for number, width in enumerate(WIDTHS):
        c, f = CHANNELS[number % 5], CHANNELS[(number // 5 + 2 * number + 1) % 5]
        k = (1, 3, 5, 2)[number % 4]
        options = {"padding": k // 2, "stride": 1 + number % 7 // 5, "dilation": 1}
        if width == 1 and k == 2:
            options["padding"] = 1
        result.append(Conv(f"width {width}", 1, c, f, (3, width), (k, k), options, "small integers"))
    return result


def arrays(rng: np.random.Generator, spec: Conv, dtype: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """x (N, C, *space), weight, bias."""
    groups = int(spec.options.get("groups", 1))
    x_kind, w_kind = spec.kind, "small integers" if spec.kind == "small integers" else "normal"
    if spec.kind == "inf weight":
        x_kind = "normal"
    x = fill(rng, (spec.n, spec.c, *spec.size), dtype, x_kind)
    weight = fill(rng, (spec.f, spec.c // groups, *spec.kernel), dtype, w_kind)
    if spec.kind == "inf weight":
        weight[0, 0, 0, 0] = np.inf
        x[:, :, 1:3] = 0
    return x, weight, fill(rng, (spec.f,), dtype, w_kind) if spec.bias else None


def _forward(rng: np.random.Generator, *, spec: Conv, dtype: Any, data_format: str) -> Call:
    x, weight, bias = arrays(rng, spec, dtype)
    return (to_format(x, data_format), weight, bias), {**spec.options, "data_format": data_format}


def _backward(rng: np.random.Generator, *, spec: Conv, dtype: Any, data_format: str, needs: Any = None) -> Call:
    x, weight, _ = arrays(rng, spec, dtype)
    x = to_format(x, data_format)
    options = {**spec.options, "data_format": data_format}
    twin = getattr(reference, f"conv{spec.dims}d")
    with np.errstate(invalid="ignore"):
        shape = twin(x, weight, **options).shape
    grad_output = fill(rng, shape, dtype, "small integers" if spec.kind == "small integers" else "normal")
    if spec.kind == "inf weight" and needs is None:
        # a kernel may compute dx as a convolution of the padded delta, where the infinity meets padding
        needs = ("weight", "bias")
    if needs is not None:
        options["needs"] = needs
    return (grad_output, x, weight), options


def _cases(specs: list[Conv], build: Any, dims: int) -> list[Case]:
    result = []
    for number, spec in enumerate(specs):
        swept = spec.label.startswith("width")
        formats = FORMATS[dims]
        for dtype in FLOATS:
            # every tricky case in every order of axes; the long sweep takes turns
            for fmt in formats if not swept else (formats[(number + (dtype is np.float64)) % 3],):
                label = f"{spec.label}-{fmt}-{np.dtype(dtype)}"
                made = partial(build, spec=spec, dtype=dtype, data_format=fmt)
                result.append(Case(label, made, exact=spec.kind == "small integers"))
    return result


def _needs_cases(spec: Conv) -> list[Case]:
    subsets = [(), ("input",), ("weight",), ("bias",), ("input", "bias"), ["weight", "input"]]
    return [
        Case(f"needs {needs}", partial(_backward, spec=spec, dtype=np.float32, data_format="NHWC", needs=needs))
        for needs in subsets
    ]


@dataclass(frozen=True)
class Transposed:
    """One transposed convolution; weight (c, f / groups, *kernel)."""

    label: str
    n: int
    c: int
    f: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    options: dict[str, Any]
    kind: str = "normal"
    bias: bool = True


def transposed(
    label: str,
    ncf: tuple[int, int, int],
    size: Any,
    kernel: Any,
    kind: str = "normal",
    bias: bool = True,
    **options: Any,
) -> Transposed:
    return Transposed(label, *ncf, size, kernel, options, kind, bias)


TRANSPOSED = [
    transposed("plain", (2, 3, 4), (4, 5), (3, 3)),
    transposed("no bias", (2, 3, 4), (4, 5), (3, 2), bias=False),
    transposed("empty batch", (0, 3, 4), (4, 5), (3, 3)),
    transposed("no channels", (2, 0, 4), (4, 5), (3, 3)),
    transposed("one cell", (1, 3, 4), (1, 1), (4, 4), stride=2, padding=1),
    transposed("stride 2", (2, 3, 4), (4, 5), (4, 4), stride=2, padding=1),
    transposed("stride > kernel", (2, 3, 4), (4, 5), (2, 2), stride=(3, 4)),
    transposed("output padding", (1, 3, 4), (4, 5), (3, 3), stride=(2, 3), padding=1, output_padding=(1, 2)),
    transposed("output padding > padding", (1, 3, 4), (4, 5), (3, 3), stride=3, output_padding=2),
    transposed("output padding by dilation", (1, 2, 3), (4, 5), (2, 3), dilation=3, output_padding=(2, 1)),
    transposed("dilated", (1, 3, 4), (5, 6), (3, 2), dilation=(2, 3), stride=2, padding=(1, 2)),
    transposed("asymmetric", (1, 3, 4), (5, 6), (3, 4), padding=((2, 0), (1, 3)), stride=(1, 2)),
    transposed("groups", (2, 6, 4), (4, 5), (3, 3), groups=2, stride=2),
    transposed("depthwise", (1, 5, 5), (4, 5), (3, 3), groups=5, padding=1),
    transposed("valid", (1, 3, 4), (4, 5), (3, 3), padding="valid", stride=2),
    transposed("same", (1, 3, 4), (4, 5), (3, 4), padding="same", stride=2),
    transposed("same_lower", (1, 3, 4), (4, 5), (4, 3), padding="same_lower", stride=(1, 2)),
    transposed("lists", (1, 4, 4), (4, 5), (3, 3), stride=[2, np.int64(1)], padding=[1, 0], output_padding=[1, 0]),
    transposed("many channels", (1, 33, 17), (3, 9), (3, 3), stride=2, padding=1),
    transposed("NaN", (2, 3, 4), (4, 5), (3, 3), "nan", stride=2),
    *(
        transposed(
            f"width {w}",
            (1, CHANNELS[i % 5], CHANNELS[(i + 2) % 5]),
            (2, w),
            (3, 2 + i % 3),
            "small integers",
            stride=1 + i % 2,
        )
        for i, w in enumerate(WIDTHS[::2])
    ),
]


def transposed_arrays(
    rng: np.random.Generator, spec: Transposed, dtype: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """x (N, C, H, W), weight, bias."""
    kind = "small integers" if spec.kind == "small integers" else "normal"
    x = fill(rng, (spec.n, spec.c, *spec.size), dtype, spec.kind)
    weight = fill(rng, (spec.c, spec.f // spec.options.get("groups", 1), *spec.kernel), dtype, kind)
    return x, weight, fill(rng, (spec.f,), dtype, kind) if spec.bias else None


def _transposed_backward(rng: np.random.Generator, *, spec: Transposed, dtype: Any, data_format: str) -> Call:
    x, weight, _ = transposed_arrays(rng, spec, dtype)
    x = to_format(x, data_format)
    options = {**spec.options, "data_format": data_format}
    shape = reference.conv_transpose2d(x, weight, **options).shape
    kind = "small integers" if spec.kind == "small integers" else "normal"
    return (fill(rng, shape, dtype, kind), x, weight), options


def _transposed_forward(rng: np.random.Generator, *, spec: Transposed, dtype: Any, data_format: str) -> Call:
    x, weight, bias = transposed_arrays(rng, spec, dtype)
    return (to_format(x, data_format), weight, bias), {**spec.options, "data_format": data_format}


SPECS = {1: ONE_D, 2: TRICKY + _sweep(), 3: THREE_D}

CASES: dict[str, list[Case]] = {}
for _dims, _specs in SPECS.items():
    CASES[f"conv{_dims}d"] = _cases(_specs, _forward, _dims)
    CASES[f"conv{_dims}d_backward"] = _cases(_specs, _backward, _dims)
CASES["conv2d_backward"] += _needs_cases(TRICKY[0])
CASES["conv_transpose2d"] = _cases(TRANSPOSED, _transposed_forward, 2)  # type: ignore[arg-type]
CASES["conv_transpose2d_backward"] = _cases(TRANSPOSED, _transposed_backward, 2)  # type: ignore[arg-type]
