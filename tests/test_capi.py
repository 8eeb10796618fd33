"""The interface for C and Cython: the functional API's results in memory of the caller's, a status for the rest."""

import ctypes
from collections.abc import Iterator
from typing import Any

import capi
import numpy as np
import pytest
from capi import STATUS, Array

import pycnn
from pycnn import functional as F
from pycnn.kernels import _runtime

GUARD = 4096
DTYPES = [np.float32, np.float64]
PASSES = ["conv_forward", "conv_backward_input", "conv_backward_weight"]
# N, C, size, F, kernel, stride, pad, dilation, groups
CONVS = [
    (2, 5, 9, 7, 3, 1, 1, 1, 1),
    (1, 16, 12, 16, 3, 1, 1, 1, 1),
    (3, 32, 14, 48, 3, 1, 1, 1, 1),
    (2, 8, 11, 8, 3, 2, 1, 1, 1),
    (2, 6, 10, 4, 5, 1, 2, 1, 2),
    (2, 12, 13, 12, 3, 1, 1, 1, 12),
    (2, 12, 13, 12, 3, 2, 1, 1, 12),
    (2, 4, 13, 12, 3, 1, 2, 2, 4),
    (2, 40, 7, 33, 1, 1, 0, 1, 1),
    (2, 24, 8, 9, 1, 2, 0, 1, 1),
    (1, 3, 20, 8, 7, 2, 3, 1, 1),
]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    _runtime.fail_after(0)
    _runtime.set_algorithm()


def noise(shape: tuple[int, ...], dtype: Any, layout: str = "NCHW", seed: int = 0) -> Array:
    """Return (N, C, H, W) values that lie in memory as `layout` says."""
    rng = np.random.default_rng(seed)
    if layout == "NHWC":
        n, c, h, w = shape
        return rng.standard_normal((n, h, w, c)).astype(dtype).transpose(0, 3, 1, 2)
    return rng.standard_normal(shape).astype(dtype)


def conv_case(case: tuple[int, ...], dtype: Any, layout: str = "NCHW") -> tuple[capi.Conv, dict[str, Array]]:
    n, c, size, f, k, stride, pad, dilation, groups = case
    out = (size + 2 * pad - dilation * (k - 1) - 1) // stride + 1
    arrays = {
        "x": noise((n, c, size, size), dtype, layout, 1),
        "w": noise((f, c // groups, k, k), dtype, seed=2),
        "y": noise((n, f, out, out), dtype, layout, 3),
    }
    return capi.conv(arrays["x"], arrays["w"], arrays["y"], stride, pad, dilation, groups), arrays


def call_pass(name: str, g: capi.Conv, arrays: dict[str, Array], workspace: Array | None = None) -> tuple[int, Array]:
    """Run a pass into poisoned memory; return its status and what it wrote."""
    result = {"conv_forward": "y", "conv_backward_input": "x", "conv_backward_weight": "w"}[name]
    out = np.full_like(arrays[result], np.nan)  # keeps the layout
    assert out.strides == arrays[result].strides
    operands: dict[str, list[Array | None]] = {
        "conv_forward": [arrays["x"], arrays["w"], None, out],
        "conv_backward_input": [arrays["y"], arrays["w"], None, out],
        "conv_backward_weight": [arrays["y"], arrays["x"], out],
    }
    return capi.call(name, g, operands[name], workspace), out


def expected(name: str, case: tuple[int, ...], arrays: dict[str, Array]) -> Array:
    """Return what the functional API makes of the same views."""
    numbers = case[5:]
    if name == "conv_forward":
        return F.conv2d(arrays["x"], arrays["w"], None, *numbers, out=np.empty_like(arrays["y"]))
    which = name.removeprefix("conv_backward_")
    outs = {"input": np.empty_like(arrays["x"]), "weight": np.empty_like(arrays["w"])}
    given = (outs["input"] if which == "input" else None, outs["weight"] if which == "weight" else None, None)
    dx, dw, _ = F.conv2d_backward(arrays["y"], arrays["x"], arrays["w"], *numbers, needs=(which,), out=given)
    found = dx if which == "input" else dw
    assert found is not None
    return found


def guarded(size: int) -> tuple[Array, Array]:
    """Return (workspace of `size` bytes, all the memory that it lies in); NaNs everywhere."""
    memory = np.full(size + 2 * GUARD, 0xFF, np.uint8)
    return memory[GUARD : GUARD + size], memory


def check_guard(memory: Array) -> None:
    assert (memory[:GUARD] == 0xFF).all() and (memory[-GUARD:] == 0xFF).all()


def test_the_table_is_the_one_of_the_header() -> None:
    table = capi.table()
    assert (table.abi_version, table.bytes) == (1, ctypes.sizeof(capi.Table))
    words = [table.strerror(status).decode() for status in STATUS.values()]
    assert len(set(words)) == len(STATUS) and "no status" not in " ".join(words)
    assert table.strerror(99) == table.strerror(-1) == b"no status of pycnn's"


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CONVS)
def test_convolution_gives_the_bits_of_the_functional_api(
    case: tuple[int, ...], layout: str, dtype: Any, name: str
) -> None:
    g, arrays = conv_case(case, dtype, layout)
    status, got = call_pass(name, g, arrays)
    assert status == STATUS["ok"]
    np.testing.assert_array_equal(got, expected(name, case, arrays))


@pytest.mark.parametrize("algorithm", list(_runtime.ALGORITHMS))
@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("case", CONVS)
@pytest.mark.parametrize(("dtype", "layout", "threads"), [("f", "NCHW", 1), ("d", "NHWC", 2), ("f", "NHWC", 3)])
def test_convolution_in_memory_of_the_caller(
    case: tuple[int, ...], name: str, algorithm: str, dtype: str, layout: str, threads: int
) -> None:
    _runtime.set_algorithm(algorithm)
    g, arrays = conv_case(case, dtype, layout)
    _, want = call_pass(name, g, arrays)
    with pycnn.threads(threads):
        size = capi.needed(name, g, dtype)
        workspace, memory = guarded(size)
        _runtime.fail_after(1)
        status, got = call_pass(name, g, arrays, workspace)
        assert status == STATUS["ok"], capi.table().strerror(status)
        np.testing.assert_array_equal(got, want)
        check_guard(memory)
        workspace, memory = guarded(0)
        status, _ = call_pass(name, g, arrays, workspace)
        assert status == STATUS["workspace" if size else "ok"]
        check_guard(memory)
    with pytest.raises(MemoryError):  # it has not been asked for any until now
        _runtime.empty((100_000,), np.dtype(np.float32))


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("algorithm", ["winograd2", "winograd4", ""])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_workspace_suffices_when_a_fast_sum_is_not_finite(name: str, algorithm: str, stride: int) -> None:
    _runtime.set_algorithm(algorithm)
    g, arrays = conv_case((2, 16, 12, 16, 3, stride, 1, 1, 1), np.float32)
    arrays["x"][0, 3, 4, 4] = arrays["y"][1, 2, 5, 5] = np.inf
    _, want = call_pass(name, g, arrays)
    workspace, memory = guarded(capi.needed(name, g, np.float32))
    _runtime.fail_after(1)
    status, got = call_pass(name, g, arrays, workspace)
    assert status == STATUS["ok"] and not np.isfinite(want).all()
    np.testing.assert_array_equal(got, want)
    check_guard(memory)


def test_bias_is_added_and_volumes_go_in() -> None:
    x, w = noise((1, 2, 4, 5), np.float32), noise((3, 2, 2, 2), np.float32)
    bias, y = np.array([1, 2, 3], np.float32), np.empty((1, 3, 3, 4), np.float32)
    g = capi.conv(x, w, y)
    assert capi.call("conv_forward", g, [x, w, bias, y]) == STATUS["ok"]
    np.testing.assert_array_equal(y, F.conv2d(x, w, bias))
    shapes = [(1, 2, 3, 4, 5), (3, 2, 2, 2, 2), (1, 3, 2, 3, 4)]
    volume, kernel, out = (np.random.default_rng(seed).random(shape) for seed, shape in enumerate(shapes))
    g = capi.conv(volume, kernel, out)
    g.kernel[:], g.stride[:], g.pad[:], g.dilation[:] = (2, 2, 2), (1, 1, 1), (0, 0, 0), (1, 1, 1)
    assert capi.call("conv_forward", g, [volume, kernel, None, out]) == STATUS["ok"]
    np.testing.assert_array_equal(out, F.conv3d(volume, kernel))


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("x_shape", (2, -5, 1, 9, 9), "shape"),
        ("y_shape", (3, 7, 1, 9, 9), "shape"),
        ("x_shape", (2, 5, 1, 2**31, 2**31), "shape"),
        ("kernel", (1, 0, 3), "kernel"),
        ("stride", (1, 1, 0), "stride"),
        ("dilation", (0, 1, 1), "dilation"),
        ("pad", (0, -1, 0), "padding"),
        ("groups", 0, "groups"),
        ("groups", 2, "groups"),
    ],
)
@pytest.mark.parametrize("name", PASSES)
def test_a_convolution_that_makes_no_sense_writes_nothing(name: str, field: str, value: Any, status: str) -> None:
    g, arrays = conv_case(CONVS[0], np.float32)
    if field == "groups":
        g.groups = value
    else:
        getattr(g, field)[:] = value
    found, out = call_pass(name, g, arrays)
    assert found == STATUS[status] and np.isnan(out).all()
    size = ctypes.c_size_t(7)
    assert getattr(capi.table(), f"{name}_workspace")(ctypes.byref(g), 4, size) == STATUS[status]
    assert size.value == 0


def test_a_value_has_four_or_eight_bytes() -> None:
    size = ctypes.c_size_t()
    table, conv = capi.table(), ctypes.byref(conv_case(CONVS[0], np.float32)[0])
    for name in PASSES:
        assert getattr(table, f"{name}_workspace")(conv, 2, size) == STATUS["value_bytes"]
    assert table.gemm_workspace(ctypes.byref(capi.Gemm()), 16, size) == STATUS["value_bytes"]
    assert table.pool_workspace(ctypes.byref(capi.Pool()), 0, size) == STATUS["value_bytes"]


@pytest.mark.parametrize("missing", ["x", "w", "y"])
def test_missing_arrays(missing: str) -> None:
    g, arrays = conv_case(CONVS[0], np.float32)
    for name in PASSES:
        operands = {
            "conv_forward": ["x", "w", "", "y"],
            "conv_backward_input": ["y", "w", "", "x"],
            "conv_backward_weight": ["y", "x", "w"],
        }[name]
        given = [None if which in ("", missing) else arrays[which] for which in operands]
        assert capi.call(name, g, given) == STATUS["pointer"]


def test_empty_convolutions() -> None:
    w, bias = np.ones((3, 2, 1, 1), np.float32), np.array([1, 2, 3], np.float32)
    x, y = np.ones((0, 2, 4, 4), np.float32), np.ones((0, 3, 4, 4), np.float32)
    g = capi.conv(x, w, y)
    assert capi.call("conv_forward", g, [None, w, bias, None]) == STATUS["ok"]
    assert capi.call("conv_backward_weight", g, [None, None, w]) == STATUS["ok"]
    assert not w.any()
    x, w, y = np.ones((1, 0, 4, 4), np.float32), np.ones((3, 0, 1, 1), np.float32), np.full((1, 3, 4, 4), np.nan, "f")
    g = capi.conv(x, w, y)
    assert capi.call("conv_forward", g, [None, None, bias, y]) == STATUS["ok"]
    np.testing.assert_array_equal(y, np.broadcast_to(bias.reshape(1, 3, 1, 1), y.shape))
    dx, w = np.full((1, 2, 4, 4), np.nan, "f"), np.ones((0, 2, 1, 1), np.float32)
    assert capi.call("conv_backward_input", capi.conv(dx, w, np.ones((1, 0, 4, 4), "f")), [None, None, None, dx]) == 0
    assert (dx == 0).all()


POOLS = [(2, 1, 1), (2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 3, 2), (4, 5, 0)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("kernel", "stride", "pad"), POOLS)
@pytest.mark.parametrize("threads", [1, 2])
def test_pooling_in_memory_of_the_caller(
    kernel: int, stride: int, pad: int, layout: str, dtype: Any, threads: int
) -> None:
    x = noise((2, 5, 17, 17), dtype, layout)
    size = (17 + 2 * pad - kernel) // stride + 1
    dy = noise((2, 5, size, size), dtype, layout, 1)
    codes = noise(dy.shape, np.uint8, layout)
    y, dx = np.full_like(dy, np.nan), np.full_like(x, np.nan)
    g = capi.pool(x, y, kernel, stride, pad)
    with pycnn.threads(threads):
        workspace, memory = guarded(capi.needed("pool", g, dtype))
        _runtime.fail_after(1)
        assert capi.call("max_pool_forward", g, [x, y, codes], workspace) == STATUS["ok"]
        assert capi.call("max_pool_backward", g, [dy, codes, dx], workspace) == STATUS["ok"]
        _runtime.fail_after(0)
        want, places = F.max_pool2d(x, kernel, stride, pad, return_indices="compact")
        np.testing.assert_array_equal(y, want)
        np.testing.assert_array_equal(codes, places)
        np.testing.assert_array_equal(dx, F.max_pool2d_backward(dy, places, x.shape, kernel, stride, pad))
        y[...] = dx[...] = np.nan
        _runtime.fail_after(1)
        assert capi.call("max_pool_forward", g, [x, y, None], workspace) == STATUS["ok"]
        np.testing.assert_array_equal(y, want)
        for counted in (0, 1):
            g.count_include_pad = counted
            assert capi.call("avg_pool_forward", g, [x, y], workspace) == STATUS["ok"]
            assert capi.call("avg_pool_backward", g, [dy, dx], workspace) == STATUS["ok"]
            _runtime.fail_after(0)
            numbers = (kernel, stride, pad, False, bool(counted))
            np.testing.assert_array_equal(y, F.avg_pool2d(x, *numbers))
            np.testing.assert_array_equal(dx, F.avg_pool2d_backward(dy, x.shape, *numbers))
        check_guard(memory)


def test_codes_are_checked_before_anything_is_written() -> None:
    dy, dx = np.ones((1, 2, 3, 3), np.float32), np.full((1, 2, 6, 6), np.nan, np.float32)
    codes = np.zeros(dy.shape, np.uint8)
    codes[0, 1, 2, 2] = 4
    g = capi.pool(dx, dy, 2, 2)
    assert capi.call("max_pool_backward", g, [dy, codes, dx]) == STATUS["codes"]
    assert np.isnan(dx).all()


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("kernel", (1, 16, 16), "window"),
        ("kernel", (0, 2, 2), "kernel"),
        ("stride", (1, 0, 2), "stride"),
        ("dilation", (1, 1, -1), "dilation"),
        ("pad", (0, 2, 0), "padding"),
        ("pad_after", (0, 0, -1), "padding"),
        ("x_shape", (1, 3, 1, 6, 6), "shape"),
        ("y_shape", (1, 2, 1, 4, 3), "window"),
    ],
)
def test_a_pooling_that_makes_no_sense_writes_nothing(field: str, value: Any, status: str) -> None:
    x, y = np.ones((1, 2, 6, 6), np.float32), np.full((1, 2, 3, 3), np.nan, np.float32)
    g = capi.pool(x, y, 2, 2)
    getattr(g, field)[:] = value
    assert capi.call("max_pool_forward", g, [x, y, np.zeros(y.shape, np.uint8)]) == STATUS[status]
    assert np.isnan(y).all()


def test_a_dilation_can_leave_a_window_without_a_cell() -> None:
    x, y = np.ones((1, 1, 2, 2), np.float32), np.full((1, 1, 2, 2), np.nan, np.float32)
    assert capi.call("max_pool_forward", capi.pool(x, y, 2, 1, 2, 5), [x, y, None]) == STATUS["window"]
    assert capi.call("avg_pool_forward", capi.pool(x, y, 2, 1, 2, 5), [x, y]) == STATUS["ok"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "n", "k"), [(1, 5, 9), (2, 300, 40), (7, 33, 700), (90, 65, 64), (3, 4, 0)])
@pytest.mark.parametrize("order", ["CC", "CF", "FC", "FF"])
def test_products_in_memory_of_the_caller(m: int, n: int, k: int, order: str, dtype: Any) -> None:
    rng = np.random.default_rng(m + n)
    a, b = (np.asarray(rng.random(s), dtype, order=o) for s, o in zip([(m, k), (k, n)], order, strict=True))  # type: ignore[call-overload]
    bias, c = rng.random(n).astype(dtype), np.full((m, n), np.nan, dtype)
    g = capi.gemm(a, b, c)
    workspace, memory = guarded(capi.needed("gemm", g, dtype))
    _runtime.fail_after(1)
    assert capi.call("gemm", g, [a, b, bias, c], workspace) == STATUS["ok"]
    _runtime.fail_after(0)
    exact = a.astype(np.float64) @ b.astype(np.float64) + bias
    np.testing.assert_allclose(c, exact, rtol=(k + 2) * np.finfo(dtype).eps)
    check_guard(memory)


def test_matrices_that_make_no_sense() -> None:
    a, b, c = np.ones((4, 4)), np.ones((4, 4)), np.full((4, 4), np.nan)
    g = capi.gemm(a, b, c)
    assert capi.call("gemm", g, [a, None, None, c]) == STATUS["pointer"]
    g.a_steps[:] = 8, 2
    assert capi.call("gemm", g, [a, b, None, c]) == STATUS["shape"]
    g.a_steps[:] = 4, 1
    g.k = -1
    assert capi.call("gemm", g, [a, b, None, c]) == STATUS["shape"]
    assert np.isnan(c).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_parallel_for_runs_every_piece_once(threads: int) -> None:
    wanted = min(threads, pycnn.get_num_threads())  # one on a machine with one CPU
    with pycnn.threads(threads):
        slots = capi.table().num_threads()
        seen: list[tuple[int, int]] = []
        capi.table().parallel_for(capi.PIECE(lambda _, chunk, slot: seen.append((chunk, slot))), None, 100)
    assert slots == wanted
    assert sorted(chunk for chunk, _ in seen) == list(range(100))
    assert all(0 <= slot < slots for _, slot in seen)


@pytest.mark.parametrize("name", ["conv_forward", "conv_backward_input", "conv_backward_weight", "gemm", "pool"])
def test_no_geometry_and_no_place_for_a_size(name: str) -> None:
    table = capi.table()
    size = ctypes.c_size_t(12345)
    ask = getattr(table, f"{name}_workspace")
    assert ask(None, 4, size) == STATUS["pointer"]
    geometry = {"gemm": capi.Gemm, "pool": capi.Pool}.get(name, capi.Conv)()
    assert ask(ctypes.byref(geometry), 4, None) == STATUS["pointer"]
    for passing in {"pool": ["max_pool_forward", "max_pool_backward"]}.get(name, [name]):
        arrays = [None] * (4 if name in ("gemm", "conv_forward", "conv_backward_input") else 3)
        assert getattr(table, f"{passing}_f32")(None, *arrays, None, 0) == STATUS["pointer"]


def test_a_thread_limits_its_own_calls() -> None:
    table = capi.table()
    with pycnn.threads(4):  # a limit of this thread too
        before = table.limit_threads(1)
        assert (before, table.num_threads(), _runtime.num_threads()) == (4, 1, 1)
        assert table.limit_threads(before) == 1
        assert table.num_threads() == _runtime.num_threads()


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(("channels", "kernel", "stride"), [(33, 7, 1), (41, 5, 1), (1025, 1, 1), (115, 3, 2)])
def test_blocks_of_channels_need_not_be_alike(channels: int, kernel: int, stride: int, backward: bool) -> None:
    rng = np.random.default_rng(0)
    shapes = [(1, 8, 8, channels), (channels, 8, kernel, kernel) if backward else (8, channels, kernel, kernel)]
    x, w = (rng.integers(-3, 4, shape).astype(np.float32) for shape in shapes)
    x = x.transpose(0, 3, 1, 2)
    pad = kernel // 2
    if backward:
        dx = np.zeros((1, 8, (8 - 1) * stride + 1, (8 - 1) * stride + 1), np.float32)
        last, plain = (
            F.conv2d_backward(dy, dx, w, stride, pad, needs=("input",))[0] for dy in (x, np.ascontiguousarray(x))
        )
    else:
        last, plain = (F.conv2d(image, w, None, stride, pad) for image in (x, np.ascontiguousarray(x)))
    np.testing.assert_array_equal(last, plain)  # integers: every order of the sum gives the same


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (2, 2), (32, 1)])
@pytest.mark.parametrize(("deep", "depth"), [(4, 1), (1, 3), (2, 4), (0, 2)])
@pytest.mark.parametrize("name", PASSES)
def test_the_depth_of_y_may_be_another_than_that_of_x(
    name: str, channels: int, groups: int, deep: int, depth: int
) -> None:
    x = np.random.default_rng(0).random((1, channels, deep, 16, 16), np.float32)
    w = np.random.default_rng(1).random((channels, channels // groups, 1, 3, 3), np.float32)
    y = np.random.default_rng(2).random((1, channels, depth, 16, 16), np.float32)
    g = capi.conv(x, w, y, groups=groups)
    g.kernel[:], g.pad[:] = (1, 3, 3), (0, 1, 1)
    operands = {"conv_forward": [x, w, None, y], "conv_backward_input": [y, w, None, x]}
    arrays = operands.get(name, [y, x, w])
    shared = min(deep, depth)
    if name == "conv_backward_weight":
        want = np.zeros_like(w)
        if shared:
            got = F.conv3d_backward(
                y[:, :, :shared].copy(), x[:, :, :shared].copy(), w, padding=(0, 1, 1), groups=groups, needs=("weight",)
            )[1]
            assert got is not None
            want = got
    else:
        want = np.zeros_like(arrays[-1])
        if shared and name == "conv_forward":
            want[:, :, :shared] = F.conv3d(x[:, :, :shared].copy(), w, None, padding=(0, 1, 1), groups=groups)
        elif shared:
            dx = F.conv3d_backward(
                y[:, :, :shared].copy(), x[:, :, :shared].copy(), w, padding=(0, 1, 1), groups=groups, needs=("input",)
            )[0]
            want[:, :, :shared] = dx
    out = np.full(arrays[-1].size + 2 * GUARD, np.nan, np.float32)
    arrays[-1] = out[GUARD : GUARD + want.size].reshape(want.shape)
    assert capi.call(name, g, arrays) == STATUS["ok"]
    np.testing.assert_allclose(arrays[-1], want, rtol=1e-4, atol=1e-4)
    assert np.isnan(out[:GUARD]).all() and np.isnan(out[GUARD + want.size :]).all()


@pytest.mark.parametrize("field", ["stride", "dilation", "pad"])
@pytest.mark.parametrize("value", [2**32, 2**61, 2**62, 2**63 - 1])
def test_numbers_beyond_all_cells_are_refused(field: str, value: int) -> None:
    g, arrays = conv_case(CONVS[0], np.float32)
    getattr(g, field)[2] = value
    status = STATUS[{"pad": "padding"}.get(field, field)]
    for name in PASSES:
        found, out = call_pass(name, g, arrays)
        assert found == status and np.isnan(out).all()
    x, y = np.ones((1, 2, 9, 9), np.float32), np.full((1, 2, 4, 4), np.nan, np.float32)
    p = capi.pool(x, y, 2, 2)
    getattr(p, field)[2] = value
    assert capi.call("avg_pool_forward", p, [x, y]) == capi.call("avg_pool_backward", p, [y, x]) == status
    assert capi.call("max_pool_forward", p, [x, y, None]) == status
    assert np.isnan(y).all() and (x == 1).all()


def test_kernels_and_matrices_beyond_memory_are_refused() -> None:
    x, y = np.ones((1, 0, 4, 4), np.float32), np.ones((1, 3, 4, 4), np.float32)
    g = capi.conv(x, np.ones((3, 0, 1, 1), np.float32), y)
    g.kernel[:] = (1, 2**58, 1)
    assert capi.call("conv_forward", g, [None, None, None, y]) == STATUS["dilation"]
    g.kernel[:] = (2**30, 2**30, 2**30)
    assert capi.call("conv_forward", g, [None, None, None, y]) == STATUS["kernel"]
    size = ctypes.c_size_t()
    assert capi.table().gemm_workspace(ctypes.byref(capi.Gemm(1, 1, 2**58)), 4, size) == STATUS["shape"]


@pytest.mark.parametrize("empty", [2, 3, 4])
def test_pooling_of_nothing_is_zero(empty: int) -> None:
    shape = [1, 5, 3, 4, 4]
    shape[empty] = 0
    x, y = np.ones(shape, np.float32), np.full((1, 5, 1, 2, 4), np.nan, np.float32)
    g = capi.pool(x, y, 4, 1, 0)
    g.kernel[:] = (1, 4, 4)
    assert capi.needed("pool", g, np.float32) == 0
    assert capi.call("avg_pool_forward", g, [None, y]) == STATUS["ok"]
    assert (y == 0).all()
    assert capi.call("max_pool_forward", g, [None, y, None]) == STATUS["window"]
    x, y = np.full((1, 2, 3, 4), np.nan, np.float32), np.ones((1, 2, 0, 3), np.float32)
    g = capi.pool(x, y, 2, 1)
    assert capi.call("avg_pool_backward", g, [None, x]) == STATUS["ok"]
    assert (x == 0).all()


def test_a_call_keeps_its_number_of_threads() -> None:
    table = capi.table()
    before = table.num_threads()
    g, arrays = conv_case(CONVS[0], np.float32)
    pycnn.set_num_threads(2)
    with pycnn.threads(2):
        assert call_pass("conv_forward", g, arrays)[0] == STATUS["ok"]
        assert table.num_threads() == 2
        pycnn.set_num_threads(1)
        assert table.num_threads() == 1
        pycnn.set_num_threads(before)
    assert table.num_threads() == before
    table.limit_threads(-(2**32) + 5)
    assert table.num_threads() == before
