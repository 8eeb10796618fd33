"""CHECKS: every backward with its forward as a function of named arrays, for central differences."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from case import shape_to_format

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Check:
    """`forward` makes an array of named arrays, `backward` the gradients of some of them.

    The arrays hold distinct multiples of `spacing`, in random order, on both sides of 0 or (`positive`) above 0.4.
    """

    backward_name: str
    label: str
    shapes: dict[str, tuple[int, ...]]
    forward: Callable[[ModuleType, Arrays], Any]
    backward: Callable[[ModuleType, Any, Arrays], dict[str, Any]]
    positive: tuple[str, ...] = ()
    spacing: float = 0.02

    def __str__(self) -> str:
        return f"{self.backward_name}-{self.label}"


CHECKS: list[Check] = []


def call(library: ModuleType, name: str, *args: Any, **options: Any) -> Any:
    return getattr(library, name)(*args, **options)


def weighted(base: str, label: str, x: tuple[int, ...], weight: tuple[int, ...], bias: int, **options: Any) -> None:
    """Functions of x, weight and bias that return three gradients."""

    def forward(library: ModuleType, a: Arrays) -> Any:
        return call(library, base, a["x"], a["weight"], a["bias"], **options)

    def backward(library: ModuleType, g: Any, a: Arrays) -> dict[str, Any]:
        grads = call(library, f"{base}_backward", g, a["x"], a["weight"], **options)
        return dict(zip(("x", "weight", "bias"), grads, strict=True))

    shapes = {"x": x, "weight": weight, "bias": (bias,)}
    CHECKS.append(Check(f"{base}_backward", label, shapes, forward, backward))


EVERYTHING = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (2, 1), "groups": 2}
weighted("conv1d", "plain", (2, 2, 9), (3, 2, 3), 3, stride=2, padding=1)
weighted("conv1d", "groups", (1, 4, 8), (2, 2, 2), 2, dilation=3, groups=2, padding=((2, 1),))
weighted("conv1d", "NLC", (2, 7, 2), (3, 2, 4), 3, padding="same", data_format="NLC")
weighted("conv2d", "plain", (2, 2, 4, 5), (3, 2, 3, 2), 3)
weighted("conv2d", "everything", (1, 4, 6, 5), (2, 2, 2, 3), 2, **EVERYTHING)
weighted("conv2d", "same, strided", (1, 2, 5, 6), (2, 2, 3, 4), 2, stride=2, padding="same_lower")
weighted("conv2d", "depthwise", (1, 3, 5, 6), (6, 1, 3, 3), 6, groups=3, padding=1)
weighted("conv2d", "HWCN", (4, 5, 2, 2), (3, 2, 3, 3), 3, padding=1, data_format="HWCN")
weighted("conv2d", "NHWC", (1, 4, 9, 2), (3, 2, 1, 1), 3, data_format="NHWC")
weighted("conv3d", "plain", (1, 2, 3, 3, 4), (2, 2, 2, 2, 3), 2, stride=(1, 1, 2), padding=1)
weighted("conv3d", "groups", (1, 2, 3, 4, 4), (2, 1, 2, 1, 2), 2, groups=2, dilation=(1, 2, 2), data_format="NCDHW")
weighted("conv_transpose2d", "plain", (2, 2, 3, 3), (2, 3, 3, 2), 3)
weighted("conv_transpose2d", "everything", (1, 4, 3, 4), (4, 2, 3, 2), 4, output_padding=(1, 0), **EVERYTHING)
weighted("conv_transpose2d", "NHWC", (1, 3, 3, 2), (2, 2, 4, 4), 2, stride=2, padding=1, data_format="NHWC")
weighted("linear", "matrix", (4, 7), (3, 7), 3)
weighted("linear", "3 axes", (2, 3, 5), (4, 5), 4)
weighted("linear", "vector", (5,), (4, 5), 4)


POOLS: list[tuple[int, tuple[int, ...], dict[str, Any]]] = [
    (1, (2, 2, 9), {"kernel_size": 3, "stride": 2, "padding": 1}),
    (1, (1, 3, 8), {"kernel_size": 2, "dilation": 3, "stride": 1}),
    (2, (2, 2, 4, 6), {"kernel_size": 2}),
    (2, (1, 2, 5, 6), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    (2, (1, 2, 5, 6), {"kernel_size": (2, 3), "stride": 1, "padding": ((1, 0), (0, 2)), "dilation": (2, 1)}),
    (2, (1, 2, 7, 5), {"kernel_size": 3, "stride": 2, "padding": "same"}),
    (2, (1, 1, 1, 1), {"kernel_size": 1}),
    (3, (1, 2, 3, 4, 4), {"kernel_size": 2, "stride": (1, 2, 2)}),
    (3, (1, 1, 3, 4, 5), {"kernel_size": (2, 3, 2), "stride": 2, "padding": 1, "ceil_mode": True}),
]
ORDERS = {1: ("NCL", "NLC", "LCN"), 2: ("NCHW", "NHWC", "HWCN"), 3: ("NCDHW", "NDHWC", "DHWCN")}


def max_pool(label: str, dims: int, shape: tuple[int, ...], how: Any, options: dict[str, Any]) -> None:
    name = f"max_pool{dims}d"

    def forward(library: ModuleType, a: Arrays) -> Any:
        return call(library, name, a["x"], **options)

    def backward(library: ModuleType, g: Any, a: Arrays) -> dict[str, Any]:
        more = {"x": a["x"], "ties": how} if how in ("split", "all") else {}
        indices = None if more else call(library, name, a["x"], return_indices=how, **options)[1]
        return {"x": call(library, f"{name}_backward", g, indices, shape, **options, **more)}

    CHECKS.append(Check(f"{name}_backward", f"{label}-{how}", {"x": shape}, forward, backward))


def avg_pool(label: str, dims: int, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    name = f"avg_pool{dims}d"

    def forward(library: ModuleType, a: Arrays) -> Any:
        return call(library, name, a["x"], **options)

    def backward(library: ModuleType, g: Any, a: Arrays) -> dict[str, Any]:
        return {"x": call(library, f"{name}_backward", g, shape, **options)}

    CHECKS.append(Check(f"{name}_backward", label, {"x": shape}, forward, backward))


for _number, (_dims, _shape, _options) in enumerate(POOLS):
    _format = ORDERS[_dims][_number % 3]
    _ordered = shape_to_format(_shape, _format)
    for _how in (True, "compact", "split", "all"):
        max_pool(f"{_number}-{_format}", _dims, _ordered, _how, {**_options, "data_format": _format})
    _extra: dict[str, Any] = [{}, {"count_include_pad": False}, {"divisor_override": 3}][_number % 3]
    avg_pool(f"{_number}-{_format}", _dims, _ordered, {**_options, **_extra, "data_format": _format})


def from_x(
    backward_name: str,
    label: str,
    shape: tuple[int, ...],
    forward: Callable[[ModuleType, Any], Any],
    backward: Callable[[ModuleType, Any, Any], Any],
    positive: bool = False,
    spacing: float = 0.02,
) -> None:
    """Functions of x alone."""
    CHECKS.append(
        Check(
            backward_name,
            label,
            {"x": shape},
            lambda library, a: forward(library, a["x"]),
            lambda library, g, a: {"x": backward(library, g, a["x"])},
            ("x",) if positive else (),
            spacing,
        )
    )


def plain(name: str, label: str, shape: tuple[int, ...], positive: bool = False, **options: Any) -> None:
    """Functions whose backward takes (grad_output, x, options)."""
    from_x(
        f"{name}_backward",
        label,
        shape,
        lambda library, x: call(library, name, x, **options),
        lambda library, g, x: call(library, f"{name}_backward", g, x, **options),
        positive,
        0.16 if len(shape) == 1 else 0.02,
    )


plain("lp_pool2d", "p 2", (1, 2, 5, 6), norm_type=2, kernel_size=3, stride=2, padding=1)
plain("lp_pool2d", "p 3", (1, 5, 6, 2), norm_type=3, kernel_size=2, dilation=2, stride=1, data_format="NHWC")
plain("lp_pool2d", "p 1", (1, 1, 4, 4), norm_type=1, kernel_size=(1, 2), ceil_mode=True)
plain("lp_pool2d", "p 0.5", (1, 1, 4, 4), True, norm_type=0.5, kernel_size=2)
plain("lp_pool2d", "p 1.7", (1, 1, 5, 5), True, norm_type=1.7, kernel_size=3, stride=2, padding="same")
for _size in (1, 2, 3, 6):
    _shape = ((2, 5, 2, 2), (2, 2, 2, 5), (2, 2, 5, 2))[_size % 3]
    _format = ("NCHW", "NHWC", "HWCN")[_size % 3]
    plain("local_response_norm", f"{_size}", _shape, size=_size, alpha=0.9, beta=0.6, k=1.2, data_format=_format)
for _name in ("relu", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hardswish"):
    plain(_name, "default", (60,))
plain("leaky_relu", "slope", (60,), negative_slope=0.3)
plain("gelu", "tanh", (60,), approximate="tanh")
for _name in ("softmax", "log_softmax"):
    for _dim in (-1, 0, 1):
        from_x(
            f"{_name}_backward",
            f"dim {_dim}",
            (3, 4, 5),
            lambda library, x, name=_name, dim=_dim: call(library, name, x, dim),
            lambda library, g, x, name=_name, dim=_dim: call(
                library, f"{name}_backward", g, call(library, name, x, dim), dim
            ),
            spacing=0.05,
        )
for _size in ((2, 3), 1, (None, 7)):
    from_x(
        "adaptive_avg_pool2d_backward",
        f"{_size}",
        (2, 2, 5, 4),
        lambda library, x, size=_size: call(library, "adaptive_avg_pool2d", x, size),
        lambda library, g, x, size=_size: call(library, "adaptive_avg_pool2d_backward", g, x.shape, size),
    )
    from_x(
        "adaptive_max_pool2d_backward",
        f"{_size}",
        (2, 5, 4, 2),
        lambda library, x, size=_size: call(library, "adaptive_max_pool2d", x, size, data_format="NHWC"),
        lambda library, g, x, size=_size: call(
            library,
            "adaptive_max_pool2d_backward",
            g,
            call(library, "adaptive_max_pool2d", x, size, True, data_format="NHWC")[1],
            x.shape,
            size,
            data_format="NHWC",
        ),
    )

PLACES = np.array([[[[0, 3], [9, 15]], [[5, 2], [8, 13]]]])
for _format in ("NCHW", "NHWC", "HWCN"):
    _order = {"NCHW": (0, 1, 2, 3), "NHWC": (0, 2, 3, 1), "HWCN": (2, 3, 1, 0)}[_format]
    _places = np.ascontiguousarray(PLACES.transpose(_order))
    from_x(
        "max_unpool2d_backward",
        _format,
        _places.shape,
        lambda library, x, i=_places, f=_format: call(library, "max_unpool2d", x, i, 2, data_format=f),
        lambda library, g, x, i=_places, f=_format: call(library, "max_unpool2d_backward", g, i, 2, data_format=f),
    )

MASK = np.random.default_rng(0).random((6, 7)) < 0.6
from_x(
    "dropout_backward",
    "mask",
    (6, 7),
    lambda library, x: call(library, "dropout", x, 0.4, mask=MASK),
    lambda library, g, x: call(library, "dropout_backward", g, MASK, 0.4),
)


def batch_norm(label: str, shape: tuple[int, ...], channels: int, keep: bool, **options: Any) -> None:
    """`keep`: backward gets the statistics that forward returned."""
    mean, var = np.linspace(-0.2, 0.3, channels), np.linspace(0.5, 1.5, channels)
    running = (None, None) if options.get("training") else (mean, var)

    def forward(library: ModuleType, a: Arrays) -> Any:
        return call(library, "batch_norm", a["x"], *running, a["weight"], a["bias"], **options)

    def backward(library: ModuleType, g: Any, a: Arrays) -> dict[str, Any]:
        more = {}
        if keep:
            more["stats"] = call(library, "batch_norm", a["x"], *running, return_stats=True, **options)[1:]
        grads = call(library, "batch_norm_backward", g, a["x"], *running, a["weight"], **options, **more)
        return dict(zip(("x", "weight", "bias"), grads, strict=True))

    shapes = {"x": shape, "weight": (channels,), "bias": (channels,)}
    CHECKS.append(Check("batch_norm_backward", label, shapes, forward, backward))


for _training in (True, False):
    for _keep in (True, False):
        _label = f"training {_training}, stats {_keep}"
        batch_norm(f"{_label}, NCHW", (3, 2, 2, 4), 2, _keep, training=_training)
        batch_norm(f"{_label}, NHWC", (2, 2, 3, 3), 3, _keep, training=_training, data_format="NHWC", eps=1e-2)
        batch_norm(f"{_label}, HWCN", (2, 3, 2, 3), 2, _keep, training=_training, data_format="HWCN")
batch_norm("two axes", (9, 3), 3, False, training=True)


def loss(name: str, label: str, shape: tuple[int, ...], *target: Any, **options: Any) -> None:
    from_x(
        f"{name}_backward",
        label,
        shape,
        lambda library, x: call(library, name, x, *target, **options),
        lambda library, g, x: call(library, f"{name}_backward", g, x, *target, **options),
        spacing=0.05,
    )


_labels = np.array([2, 0, 3, 1, 2])
_weights, _picture = np.array([0.5, 1.0, 2.0, 0.7]), np.arange(12).reshape(2, 3, 2) % 4
_probability = np.linspace(0.0, 1.0, 12).reshape(3, 4)
for _reduction in ("mean", "sum", "none"):
    loss("cross_entropy", _reduction, (5, 4), _labels, reduction=_reduction)
    loss("cross_entropy", f"{_reduction}, 4 axes", (2, 4, 3, 2), _picture, _weights, _reduction, 0.1, ignore_index=1)
    loss("mse_loss", _reduction, (3, 4), _probability, reduction=_reduction)
    loss("binary_cross_entropy_with_logits", _reduction, (3, 4), _probability, reduction=_reduction)
    loss(
        "binary_cross_entropy_with_logits",
        f"{_reduction}, weights",
        (3, 4),
        _probability,
        _weights,
        _reduction,
        _weights[::-1].copy(),
    )
