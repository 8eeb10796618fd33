"""Cases of linear, normalisation, activations and softmax."""

from functools import partial
from typing import Any

import numpy as np
from case import FLOATS, FORMATS, WIDTHS, Call, Case, add_cases, fill, to_format

from pycnn import reference

CASES: dict[str, list[Case]] = {}


add = partial(add_cases, CASES)

# linear


def _linear(
    rng: np.random.Generator,
    *,
    dtype: Any,
    lead: Any,
    sizes: Any,
    kind: str,
    bias: bool,
    backward: bool,
    **options: Any,
) -> Call:
    inputs, outputs = sizes
    x, weight = fill(rng, (*lead, inputs), dtype, kind), fill(rng, (outputs, inputs), dtype, kind)
    if backward:
        return (fill(rng, (*lead, outputs), dtype, kind), x, weight), options
    return (x, weight, fill(rng, (outputs,), dtype, kind) if bias else None), options


for _number, _width in enumerate(WIDTHS):
    for _name in ("linear", "linear_backward"):
        add(
            _name,
            f"width {_width}",
            _linear,
            exact=True,
            lead=(1 + _number % 7,),
            kind="small integers",
            sizes=(_width, WIDTHS[-1 - _number]),
            bias=_number % 2 == 0,
            backward=_name.endswith("backward"),
        )
for _lead in ((), (0,), (1,), (5,), (2, 3), (2, 3, 4), (70,)):
    for _name in ("linear", "linear_backward"):
        add(
            _name,
            f"lead {_lead}",
            _linear,
            lead=_lead,
            sizes=(19, 10),
            kind="normal",
            bias=True,
            backward=_name.endswith("backward"),
        )
add("linear", "long sum", _linear, lead=(3,), sizes=(3000, 4), kind="normal", bias=True, backward=False)
add("linear", "no inputs", _linear, lead=(3,), sizes=(0, 4), kind="normal", bias=True, backward=False)
add("linear", "NaN", _linear, lead=(3,), sizes=(17, 4), kind="nan", bias=True, backward=False)
for _needs in ((), ("input",), ("weight",), ("bias",), ("bias", "weight")):
    add(
        "linear_backward",
        f"needs {_needs}",
        _linear,
        lead=(3,),
        sizes=(7, 4),
        kind="normal",
        bias=True,
        backward=True,
        needs=_needs,
    )

# batch normalisation


def _batch_norm(
    rng: np.random.Generator,
    *,
    dtype: Any,
    shape: Any,
    data_format: str,
    kind: str,
    training: bool,
    affine: bool,
    running: bool,
    backward: bool,
    stats: bool = False,
    **options: Any,
) -> Call:
    order = {"NCHW": 1, "NHWC": -1, "HWCN": -2}[data_format]
    channels = shape[order]
    x = fill(rng, shape, dtype, kind)
    mean = fill(rng, (channels,), dtype) if running else None
    var = np.abs(fill(rng, (channels,), dtype)) + dtype(0.25) if running else None
    weight = fill(rng, (channels,), dtype) if affine else None
    options = {**options, "training": training, "data_format": data_format}
    if not backward:
        return (x, mean, var, weight, fill(rng, (channels,), dtype) if affine else None), options
    if stats:
        copies = [None if a is None else a.copy() for a in (mean, var)]
        options["stats"] = reference.batch_norm(x, *copies, return_stats=True, **options)[1:]
    return (fill(rng, shape, dtype), x, mean, var, weight), options


_SHAPES = [
    ((4, 3), "NCHW"),
    ((4, 3), "NHWC"),
    ((3, 4), "HWCN"),
    ((5, 17, 9), "NCHW"),
    ((2, 8, 5, 7), "NCHW"),
    ((2, 5, 7, 8), "NHWC"),
    ((5, 7, 33, 2), "HWCN"),
    ((2, 3, 2, 3, 4), "NCHW"),
    ((1, 33, 3, 17), "NCHW"),
    ((1, 3, 17, 33), "NHWC"),
    ((70, 1), "NCHW"),
]
for _name in ("batch_norm", "batch_norm_backward"):
    _backward = _name.endswith("backward")
    for _number, (_shape, _format) in enumerate(_SHAPES):
        for _training in (False, True):
            add(
                _name,
                f"{_shape}-{_format}-training {_training}",
                _batch_norm,
                shape=_shape,
                data_format=_format,
                kind="normal",
                training=_training,
                affine=_number % 3 != 0,
                running=not _training or _number % 2 == 0,
                backward=_backward,
                **({} if _backward else {"return_stats": _number % 2 == 0}),
            )
    for _training in (False, True):
        add(
            _name,
            f"offset-training {_training}",
            _batch_norm,
            shape=(4, 3, 5, 6),
            data_format="NCHW",
            kind="offset",
            training=_training,
            affine=True,
            running=True,
            backward=_backward,
            eps=1e-3,
        )
    add(
        _name,
        "empty batch",
        _batch_norm,
        shape=(0, 3, 5, 6),
        data_format="NCHW",
        kind="normal",
        training=False,
        affine=True,
        running=True,
        backward=_backward,
    )
add(
    "batch_norm",
    "momentum",
    _batch_norm,
    shape=(4, 3, 5, 6),
    data_format="NCHW",
    kind="normal",
    training=True,
    affine=True,
    running=True,
    backward=False,
    momentum=0.7,
    eps=0.1,
)
for _training in (False, True):
    add(
        "batch_norm_backward",
        f"stats-training {_training}",
        _batch_norm,
        shape=(4, 3, 5, 6),
        data_format="NCHW",
        kind="normal",
        training=_training,
        affine=True,
        running=True,
        backward=True,
        stats=True,
    )
for _needs in ((), ("input",), ("weight",), ("bias",)):
    add(
        "batch_norm_backward",
        f"needs {_needs}",
        _batch_norm,
        shape=(4, 3, 5),
        data_format="NCHW",
        kind="normal",
        training=True,
        affine=True,
        running=False,
        backward=True,
        needs=_needs,
    )

# local response normalisation


def _lrn(rng: np.random.Generator, *, dtype: Any, shape: Any, data_format: str, backward: bool, **options: Any) -> Call:
    x = to_format(fill(rng, shape, dtype), data_format)
    head = (fill(rng, x.shape, dtype), x) if backward else (x,)
    return head, {"data_format": data_format, **options}


for _name in ("local_response_norm", "local_response_norm_backward"):
    for _number, _format in enumerate(FORMATS[2] * 3):
        _size = (1, 2, 3, 4, 5, 7, 9, 40, 6)[_number]
        add(
            _name,
            f"size {_size}-{_format}",
            _lrn,
            shape=(2, (1, 8, 17)[_number // 3], 3, 4 + _number),
            size=_size,
            data_format=_format,
            backward=_name.endswith("backward"),
            alpha=0.5,
            beta=0.75,
            k=1.0,
        )
    add(
        _name,
        "other constants",
        _lrn,
        shape=(1, 6, 2, 17),
        size=3,
        data_format="NCHW",
        backward=_name.endswith("backward"),
        alpha=2.0,
        beta=1.5,
        k=2.0,
    )
    add(
        _name,
        "defaults",
        _lrn,
        shape=(1, 6, 2, 17),
        size=5,
        data_format="NCHW",
        backward=_name.endswith("backward"),
    )
    add(
        _name,
        "empty batch",
        _lrn,
        shape=(0, 6, 2, 3),
        size=5,
        data_format="NCHW",
        backward=_name.endswith("backward"),
    )

# activations


def _activation(rng: np.random.Generator, *, dtype: Any, shape: Any, kind: str, backward: bool, **options: Any) -> Call:
    x = fill(rng, shape, dtype, kind)
    if kind == "normal":
        x *= dtype(3)
    return ((fill(rng, shape, dtype), x) if backward else (x,)), options


_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "leaky_relu": [{}, {"negative_slope": 0.2}],
    "gelu": [{}, {"approximate": "tanh"}, {"approximate": "none"}],
}
for _base in ("relu", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hardswish"):
    for _name in (_base, f"{_base}_backward"):
        _backward = _name.endswith("backward")
        for _options in _OPTIONS.get(_base, [{}]):
            for _number, _width in enumerate(WIDTHS):
                add(
                    _name,
                    f"{_options}-width {_width}",
                    _activation,
                    shape=(_width,),
                    kind="normal",
                    backward=_backward,
                    dtypes=(FLOATS[_number % 2],),
                    **_options,
                )
            for _shape in ((), (0,), (0, 3, 2, 2), (2, 3, 4, 5)):
                add(
                    _name,
                    f"{_options}-{_shape}",
                    _activation,
                    shape=_shape,
                    kind="normal",
                    backward=_backward,
                    **_options,
                )
            add(_name, f"{_options}-nan", _activation, shape=(33,), kind="nan", backward=_backward, **_options)
        if _base in ("relu", "leaky_relu"):
            add(_name, "zeros", _activation, shape=(33,), kind="zeros", backward=_backward, exact=_base == "relu")
        if _base in ("relu", "leaky_relu", "sigmoid", "tanh"):
            add(_name, "inf", _activation, shape=(33,), kind="inf", backward=_backward)
        if _base in ("sigmoid", "tanh", "silu"):
            add(_name, "tail", _activation, shape=(33,), kind="tail", backward=_backward)

# softmax


def _softmax(rng: np.random.Generator, *, dtype: Any, shape: Any, kind: str, twin: str, **options: Any) -> Call:
    x = fill(rng, shape, dtype, kind)
    if not twin.endswith("_backward"):
        return (x,), options
    y = getattr(reference, twin.removesuffix("_backward"))(x, **options)
    return (fill(rng, shape, dtype), y), options


for _name in ("softmax", "softmax_backward", "log_softmax", "log_softmax_backward"):
    for _number, _width in enumerate(WIDTHS):
        add(
            _name,
            f"width {_width}",
            _softmax,
            shape=(3, _width),
            kind="normal",
            twin=_name,
            dtypes=(FLOATS[_number % 2],),
        )
    for _dim in (0, 1, 2, -1, -2, -3):
        add(_name, f"dim {_dim}", _softmax, shape=(4, 5, 6), kind="normal", twin=_name, dim=_dim)
    for _shape in ((0, 5), (1,), (2, 1)):
        add(_name, f"{_shape}", _softmax, shape=_shape, kind="normal", twin=_name)
    add(_name, "offset", _softmax, shape=(4, 19), kind="offset", twin=_name)
for _name in ("softmax", "log_softmax"):
    add(_name, "nan", _softmax, shape=(9, 5), kind="nan", twin=_name)
