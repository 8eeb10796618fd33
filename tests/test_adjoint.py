"""Backward is the adjoint of forward: <f(x), g> = <x, f*(g)> for everything that is linear in x.

No oracle is needed: the identity holds for any x and g, up to rounding. Each side is a sum over all products x * w * g;
rounding moves it by a few u * sqrt(number of terms) times the sum of their absolute values.
"""

import zlib
from typing import Any

import cases_conv
import cases_pool
import numpy as np
import pytest
from case import FORMATS, fill, shape_to_format, to_format
from tolerances import unit

from pycnn import functional

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def function(name: str) -> Any:
    found = getattr(functional, name, None)
    if found is None:
        pytest.skip(f"pycnn.functional has no {name}")
    return found


def inner(a: Any, b: Any) -> float:
    """Inner product, in float64."""
    return float(np.sum(np.asarray(a, dtype=np.float64) * np.asarray(b, dtype=np.float64)))


def assert_same(left: float, right: float, magnitude: float, terms: int, dtype: Any) -> None:
    assert abs(left - right) <= 8.0 * unit(dtype) * (np.sqrt(terms) + 1.0) * magnitude + 1e-300, (left, right)


def generator(label: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(label.encode()))


CONV = [spec for specs in cases_conv.SPECS.values() for spec in specs if spec.kind in ("normal", "small integers")]


@DTYPES
@pytest.mark.parametrize("spec", CONV, ids=lambda s: f"{s.dims}d-{s.label}")
def test_conv(spec: cases_conv.Conv, dtype: Any) -> None:
    """In x, in the weight and in the bias."""
    forward, backward = function(f"conv{spec.dims}d"), function(f"conv{spec.dims}d_backward")
    rng = generator(spec.label)
    x, weight, _ = cases_conv.arrays(rng, spec, dtype)
    data_format = FORMATS[spec.dims][len(spec.label) % 3]
    x = to_format(x, data_format)
    options = {**spec.options, "data_format": data_format}
    y = forward(x, weight, **options)
    g = fill(rng, y.shape, dtype)
    dx, dweight, dbias = backward(g, x, weight, **options)
    magnitude = inner(forward(abs(x), abs(weight), **options), abs(g))
    terms = x.size + weight.size + g.size
    assert_same(inner(y, g), inner(x, dx), magnitude, terms, dtype)
    assert_same(inner(y, g), inner(weight, dweight), magnitude, terms, dtype)
    bias = fill(rng, (spec.f,), dtype)
    constant = forward(np.zeros_like(x), weight, bias, **options)
    assert_same(inner(constant, g), inner(bias, dbias), inner(abs(constant), abs(g)), g.size, dtype)


PLANAR = [spec for spec in CONV if spec.dims == 2 and not isinstance(spec.options.get("padding"), str)]


@DTYPES
@pytest.mark.parametrize("spec", PLANAR, ids=lambda s: s.label)
def test_transposed_convolution_is_the_adjoint_of_convolution(spec: cases_conv.Conv, dtype: Any) -> None:
    """The rows a strided convolution leaves over come back as output_padding."""
    transposed, forward = function("conv_transpose2d"), function("conv2d")
    rng = generator(spec.label)
    x, weight, _ = cases_conv.arrays(rng, spec, dtype)
    y = forward(x, weight, **spec.options)
    g = fill(rng, y.shape, dtype)
    shrunk = transposed(g, weight, **spec.options).shape
    left = tuple(full - got for full, got in zip(x.shape[2:], shrunk[2:], strict=True))
    back = transposed(g, weight, output_padding=left, **spec.options)
    magnitude = inner(forward(abs(x), abs(weight), **spec.options), abs(g))
    assert_same(inner(y, g), inner(x, back), magnitude, x.size + weight.size + g.size, dtype)


@DTYPES
@pytest.mark.parametrize("spec", [s for s in cases_conv.TRANSPOSED if s.kind != "nan"], ids=lambda s: s.label)
def test_conv_transpose(spec: cases_conv.Transposed, dtype: Any) -> None:
    forward, backward = function("conv_transpose2d"), function("conv_transpose2d_backward")
    rng = generator(spec.label)
    x, weight, _ = cases_conv.transposed_arrays(rng, spec, dtype)
    data_format = FORMATS[2][len(spec.label) % 3]
    x = to_format(x, data_format)
    options = {**spec.options, "data_format": data_format}
    y = forward(x, weight, **options)
    g = fill(rng, y.shape, dtype)
    dx, dweight, _ = backward(g, x, weight, **options)
    magnitude = inner(forward(abs(x), abs(weight), **options), abs(g))
    terms = x.size + weight.size + g.size
    assert_same(inner(y, g), inner(x, dx), magnitude, terms, dtype)
    assert_same(inner(y, g), inner(weight, dweight), magnitude, terms, dtype)


POOLS = [spec for specs in cases_pool.SPECS.values() for spec in specs]


@DTYPES
@pytest.mark.parametrize("spec", POOLS, ids=lambda s: f"{s.dims}d-{s.label}")
@pytest.mark.parametrize("include", [True, False])
def test_avg_pool(spec: cases_pool.Pool, dtype: Any, include: bool) -> None:
    forward, backward = function(f"avg_pool{spec.dims}d"), function(f"avg_pool{spec.dims}d_backward")
    rng = generator(spec.label)
    data_format = FORMATS[spec.dims][len(spec.label) % 3]
    options = {"kernel_size": spec.kernel, **spec.options, "count_include_pad": include, "data_format": data_format}
    x = fill(rng, shape_to_format(spec.shape, data_format), dtype)
    y = forward(x, **options)
    g = fill(rng, y.shape, dtype)
    dx = backward(g, x.shape, **options)
    assert_same(inner(y, g), inner(x, dx), inner(forward(abs(x), **options), abs(g)), x.size + g.size, dtype)


@DTYPES
@pytest.mark.parametrize("spec", POOLS, ids=lambda s: f"{s.dims}d-{s.label}")
@pytest.mark.parametrize("how", [True, "compact", "split"])
def test_max_pool(spec: cases_pool.Pool, dtype: Any, how: Any) -> None:
    """Once the winners are known, max pooling picks cells: linear. Ties that share fairly keep the identity."""
    forward, backward = function(f"max_pool{spec.dims}d"), function(f"max_pool{spec.dims}d_backward")
    rng = generator(spec.label)
    data_format = FORMATS[spec.dims][len(spec.label) % 3]
    options = {"kernel_size": spec.kernel, **spec.options, "data_format": data_format}
    x = fill(rng, shape_to_format(spec.shape, data_format), dtype, "ties")
    y, indices = forward(x, return_indices="compact" if how == "compact" else True, **options)
    g = fill(rng, y.shape, dtype)
    ties = {"x": x, "ties": "split"} if how == "split" else {}
    dx = backward(g, indices, x.shape, **options, **ties)
    assert_same(inner(y, g), inner(x, dx), inner(abs(y), abs(g)), x.size + g.size, dtype)


@DTYPES
@pytest.mark.parametrize(("shape", "size"), cases_pool.ADAPTIVE, ids=str)
def test_adaptive_pool(shape: Any, size: Any, dtype: Any) -> None:
    rng = generator(str(shape))
    x = fill(rng, shape, dtype)
    y = function("adaptive_avg_pool2d")(x, size)
    g = fill(rng, y.shape, dtype)
    dx = function("adaptive_avg_pool2d_backward")(g, x.shape, size)
    magnitude = inner(functional.adaptive_avg_pool2d(abs(x), size), abs(g))
    assert_same(inner(y, g), inner(x, dx), magnitude, x.size + g.size, dtype)
    y, indices = function("adaptive_max_pool2d")(x, size, True)
    dx = function("adaptive_max_pool2d_backward")(g, indices, x.shape, size)
    assert_same(inner(y, g), inner(x, dx), inner(abs(y), abs(g)), x.size + g.size, dtype)


@DTYPES
@pytest.mark.parametrize("spec", [s for s, _ in cases_pool.UNPOOL], ids=lambda s: s.label)
def test_max_unpool(spec: cases_pool.Pool, dtype: Any) -> None:
    """Writing to places, and reading from them."""
    rng = generator(spec.label)
    options = {"kernel_size": spec.kernel, **spec.options}
    y, indices = function("max_pool2d")(fill(rng, spec.shape, dtype), return_indices=True, **options)
    if any(len(np.unique(plane)) < plane.size for image in indices for plane in image):
        pytest.skip("an index repeats, so the last of several cells wins: not linear")
    x = fill(rng, y.shape, dtype)
    up = function("max_unpool2d")(x, indices, **options, output_size=spec.size)
    g = fill(rng, up.shape, dtype)
    dx = function("max_unpool2d_backward")(g, indices, **options, output_size=spec.size)
    assert_same(inner(up, g), inner(x, dx), inner(abs(x), abs(dx)), x.size, dtype)


@DTYPES
@pytest.mark.parametrize("lead", [(), (0,), (5,), (3, 17)], ids=str)
def test_linear(lead: tuple[int, ...], dtype: Any) -> None:
    rng = generator(str(lead))
    x, weight = fill(rng, (*lead, 33), dtype), fill(rng, (19, 33), dtype)
    y = function("linear")(x, weight)
    g = fill(rng, y.shape, dtype)
    dx, dweight, _ = function("linear_backward")(g, x, weight)
    magnitude = inner(functional.linear(abs(x), abs(weight)), abs(g))
    assert_same(inner(y, g), inner(x, dx), magnitude, x.size + weight.size, dtype)
    assert_same(inner(y, g), inner(weight, dweight), magnitude, x.size + weight.size, dtype)


@DTYPES
@pytest.mark.parametrize(("name", "options"), [("relu", {}), ("leaky_relu", {"negative_slope": 0.2})])
def test_piecewise_linear_activations(name: str, options: dict[str, Any], dtype: Any) -> None:
    rng = generator(name)
    x, g = fill(rng, (5, 70), dtype), fill(rng, (5, 70), dtype)
    y = function(name)(x, **options)
    dx = function(f"{name}_backward")(g, x, **options)
    assert_same(inner(y, g), inner(x, dx), inner(abs(y), abs(g)), x.size, dtype)


@DTYPES
def test_dropout(dtype: Any) -> None:
    rng = generator("dropout")
    x, g = fill(rng, (5, 70), dtype), fill(rng, (5, 70), dtype)
    y, mask = function("dropout")(x, 0.3, rng=1, return_mask=True)
    dx = function("dropout_backward")(g, mask, 0.3)
    assert_same(inner(y, g), inner(x, dx), inner(abs(y), abs(g)), x.size, dtype)


@DTYPES
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC", "HWCN"])
def test_batch_norm_in_evaluation(data_format: str, dtype: Any) -> None:
    """With fixed statistics it is a scale and a shift; the shift drops out of a difference."""
    rng = generator(data_format)
    x = to_format(fill(rng, (3, 5, 4, 17), dtype), data_format)
    mean, weight = fill(rng, (5,), dtype), fill(rng, (5,), dtype)
    var = np.abs(fill(rng, (5,), dtype)) + dtype(0.5)
    g = fill(rng, x.shape, dtype)
    run, back = function("batch_norm"), function("batch_norm_backward")
    y = run(x, mean, var, weight, data_format=data_format).astype(np.float64)
    origin = run(np.zeros_like(x), mean, var, weight, data_format=data_format)
    dx, _, _ = back(g, x, mean, var, weight, data_format=data_format)
    magnitude = inner(abs(y) + 2 * abs(origin), abs(g))
    assert_same(inner(y - origin, g), inner(x, dx), magnitude, x.size, dtype)
