"""Convolution of single planes: every instruction set, dtype, format and edge against a plain sum in float64."""

from typing import Any

import numpy as np
import pytest
from case import to_format
from vectors import bits, guarded, isa, poison, thread_count

from pycnn import functional as F
from pycnn.kernels import _runtime

ISAS = _runtime.available_isas()
FORMATS = ["NCHW", "NHWC", "HWCN"]
PASSES = ["forward", "input", "weight"]
Pair = tuple[int, int]


def plain(x: np.ndarray, w: np.ndarray, dy: np.ndarray, stride: Pair, pads: Any, dilation: Pair, groups: int) -> Any:
    """The three passes in float64, tap by tap, sharing nothing with the kernels."""
    h, width = x.shape[2:]
    f, per_group, kh, kw = w.shape
    top, left = pads[0][0], pads[1][0]
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), *pads))
    spread = np.zeros_like(padded)
    oh, ow = dy.shape[2:]
    y, dw = np.zeros(dy.shape), np.zeros(w.shape)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dilation[0], i * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
            cols = slice(j * dilation[1], j * dilation[1] + (ow - 1) * stride[1] + 1, stride[1])
            for m in range(f):
                first = m // (f // groups) * per_group
                cells = padded[:, first : first + per_group, rows, cols]
                y[:, m] += np.einsum("nchw,c->nhw", cells, w[m, :, i, j].astype(np.float64))
                dw[m, :, i, j] = np.einsum("nchw,nhw->c", cells, dy[:, m].astype(np.float64))
                spread[:, first : first + per_group, rows, cols] += dy[:, m, None] * w[m, :, i, j][:, None, None]
    return {"forward": y, "input": spread[:, :, top : top + h, left : left + width], "weight": dw}


def integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Small ones: every sum is exact in both dtypes."""
    return rng.integers(-3, 4, shape).astype(dtype)


def run(which: str, x: np.ndarray, w: np.ndarray, dy: np.ndarray, out: Any = None, **options: Any) -> np.ndarray:
    if which == "forward":
        return F.conv2d(x, w, out=out, **options)
    place = ("input", "weight").index(which)
    outs = None if out is None else (out, None, None) if place == 0 else (None, out, None)
    return F.conv2d_backward(dy, x, w, needs=(which,), out=outs, **options)[place]


def case(shape: Any, kernel: Pair, multiplier: int = 1, per_group: int = 1, **options: Any) -> Any:
    """n, groups, h, w; what is left out of the options is 1, or no padding."""
    return shape, kernel, multiplier, per_group, options


CASES = {
    **{f"3x3, width {w}": case((2, 3, 6, w), (3, 3), pads=((1, 1), (1, 1))) for w in (*range(1, 10), *range(14, 19))},
    **{f"3x3, width {w}": case((1, 2, 5, w), (3, 3), pads=((1, 1), (1, 1))) for w in (31, 32, 33, 47, 49, 65)},
    **{f"stride 2, width {w}": case((1, 3, 7, w), (3, 3), stride=(2, 2), pads=((1, 1),) * 2) for w in range(1, 36, 2)},
    **{f"{k}x{k}": case((2, 2, 9, 21), (k, k), pads=((k // 2, k // 2), (k // 2, k // 2))) for k in range(1, 8)},
    **{f"{k}x{k}, stride 2": case((2, 2, 9, 22), (k, k), stride=(2, 2), pads=((1, 2), (2, 1))) for k in range(1, 8)},
    **{f"1x{k}": case((1, 3, 6, 19), (1, k), pads=((0, 0), (2, 1))) for k in (2, 3, 5, 7)},
    **{f"{k}x1": case((1, 3, 8, 17), (k, 1), pads=((2, 1), (0, 0))) for k in (2, 3, 5, 7)},
    **{f"{h} rows": case((1, 2, h, 18), (3, 3), pads=((1, 1), (1, 1))) for h in range(1, 10)},
    **{f"dilation {d}": case((1, 2, 13, 20), (3, 3), dilation=d, pads=((2, 2), (3, 1))) for d in ((1, 2), (3, 2))},
    **{f"dilation {d}, stride 2": case((2, 2, 14, 17), (3, 3), dilation=d, stride=(2, 2), pads=((2, 3), (4, 1)))
       for d in ((1, 1), (2, 2), (1, 3), (3, 2))},
    "no padding": case((2, 3, 9, 40), (3, 3)),
    "no padding, 5x5": case((2, 3, 9, 40), (5, 5)),
    "padding over kernel": case((1, 2, 5, 6), (3, 3), pads=((5, 4), (6, 7))),
    "padding over kernel, stride 2": case((1, 2, 5, 6), (3, 3), stride=(2, 2), pads=((5, 4), (6, 7))),
    "one side": case((1, 2, 7, 9), (3, 3), pads=((2, 0), (0, 3))),
    "fits through padding": case((1, 2, 1, 1), (5, 5), pads=((2, 2), (2, 2))),
    "stride 1, 2": case((1, 3, 9, 21), (3, 3), stride=(1, 2), pads=((1, 1), (1, 1))),
    "stride 2, 1": case((1, 3, 9, 21), (5, 5), stride=(2, 1), pads=((2, 2), (2, 2))),
    "stride 2, 1x1": case((1, 3, 9, 21), (1, 1), stride=(2, 2)),
    "stride 3": case((1, 3, 11, 22), (3, 3), stride=(3, 3), pads=((1, 1), (1, 1))),
    "stripes": case((1, 2, 120, 90), (3, 3), pads=((1, 1), (1, 1))),
    "stripes, stride 2": case((1, 2, 121, 90), (5, 5), stride=(2, 2), pads=((2, 2), (2, 2))),
    "stripes of zeros": case((1, 1, 3, 200), (3, 3), pads=((70, 50), (1, 1))),
    "multiplier 2": case((2, 3, 8, 19), (3, 3), 2, pads=((1, 1), (1, 1))),
    "multiplier 3, stride 2": case((2, 3, 8, 19), (3, 3), 3, stride=(2, 2), pads=((1, 1), (1, 1))),
    "two channels a group": case((2, 3, 8, 19), (3, 3), 1, 2, pads=((1, 1), (1, 1))),
    "two channels, two filters": case((2, 3, 8, 19), (3, 5), 2, 2, stride=(2, 2), pads=((1, 1), (2, 2))),
    "many channels": case((2, 35, 5, 6), (3, 3), pads=((1, 1), (1, 1))),
    **{f"{c} channels": case((2, c, 5, 9), (3, 3), pads=((1, 1), (1, 1))) for c in (4, 7, 8, 9, 15, 16, 17, 33, 70)},
    **{f"{c} channels, {k}x{k}": case((3, c, 8, 12), (k, k), stride=(2, 2), pads=((k // 2, 1), (1, k // 2)))
       for c in (16, 21) for k in (1, 2, 4, 5, 7)},
    "16 channels, stride 3, dilation 2": case((2, 16, 19, 23), (3, 2), stride=(3, 4), dilation=(2, 3), pads=((1, 3),
       (2, 0))),
    "16 channels, padding over kernel": case((1, 16, 5, 6), (3, 3), pads=((5, 4), (6, 7))),
    "200 channels": case((2, 200, 3, 3), (3, 3), pads=((1, 1), (1, 1))),
    "20 channels, rows longer than a tile": case((1, 20, 2, 75), (1, 5), pads=((0, 0), (2, 2))),
    **{f"one row of {w}": case((2, 3, 1, w), (1, 5), pads=((0, 0), (2, 2))) for w in (8, 15, 16, 17, 32, 33, 75)},
    "one row, stride 2": case((2, 3, 1, 75), (1, 4), stride=(1, 2), pads=((0, 0), (1, 2))),
    "one row, two channels": case((2, 3, 1, 75), (1, 3), 2, 2, dilation=(1, 3), pads=((0, 0), (3, 2))),
    "empty batch": case((0, 3, 6, 7), (3, 3), pads=((1, 1), (1, 1))),
}  # fmt: skip


@pytest.mark.parametrize("isa_name", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_every_pass(name: str, dtype: Any, isa_name: str) -> None:
    (n, groups, h, w), (kh, kw), multiplier, per_group, options = CASES[name]
    stride, dilation = options.get("stride", (1, 1)), options.get("dilation", (1, 1))
    pads = options.get("pads", ((0, 0), (0, 0)))
    rng = np.random.default_rng(0)
    x = integers(rng, (n, groups * per_group, h, w), dtype)
    weight = integers(rng, (groups * multiplier, per_group, kh, kw), dtype)
    kwargs = {"stride": stride, "padding": pads, "dilation": dilation, "groups": groups}
    dy = integers(rng, F.conv2d(x, weight, **kwargs).shape, dtype)
    want = plain(x, weight, dy, stride, pads, dilation, groups)
    with isa(isa_name), poison():
        for data_format in FORMATS:
            xf, dyf = to_format(x, data_format), to_format(dy, data_format)
            for which in PASSES:
                got = run(which, xf, weight, dyf, data_format=data_format, **kwargs)
                expected = want[which] if which == "weight" else to_format(want[which], data_format)
                np.testing.assert_array_equal(got, expected, err_msg=f"{which}, {data_format}")


@pytest.mark.parametrize("isa_name", ISAS)
def test_bias_and_strided_memory(isa_name: str) -> None:
    rng = np.random.default_rng(0)
    for stride in ((1, 1), (2, 2)):
        for width in (5, 16, 29):
            x, weight, bias = (integers(rng, s, np.float32) for s in ((2, 3, 9, width), (3, 1, 3, 3), (3,)))
            kwargs = {"stride": stride, "padding": 1, "groups": 3}
            dy = integers(rng, F.conv2d(x, weight, **kwargs).shape, np.float32)
            want = plain(x, weight, dy, stride, ((1, 1), (1, 1)), (1, 1), 3)
            with isa(isa_name):
                np.testing.assert_array_equal(
                    F.conv2d(x, weight, bias, **kwargs), want["forward"] + bias[:, None, None]
                )
                for step in (1, 2):
                    wide = np.full((2, 3, 18, step * width + 1), np.nan, np.float32)[:, :, ::2, : step * width : step]
                    deltas = np.full((*dy.shape[:3], step * dy.shape[3] + 2), np.nan, np.float32)[..., 2::step]
                    wide[...], deltas[...] = x, dy
                    for which in PASSES:
                        room = np.full((*want[which].shape[:3], step * want[which].shape[3] + 3), np.nan, np.float32)
                        out = room[..., 3::step]
                        run(which, wide, weight, deltas, out=out, **kwargs)
                        np.testing.assert_array_equal(out, want[which], err_msg=which)
                        assert np.isnan(room[..., :3]).all()
                        assert step == 1 or np.isnan(room[..., 4::2]).all()


# Channels and filters of a group: sums of one plane and of several.
@pytest.mark.parametrize(("channels", "filters"), [(1, 1), (1, 4), (2, 1), (2, 2)])
@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("isa_name", ISAS)
def test_stays_inside_the_arrays(isa_name: str, at_end: bool, channels: int, filters: int) -> None:
    rng = np.random.default_rng(0)
    for width in (1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33):
        for kernel, stride, padding in ((1, 1, 0), (3, 1, 1), (3, 1, 0), (3, 2, 1), (5, 2, 2), (2, 1, 1)):
            if width + 2 * padding < kernel:
                continue
            x = integers(rng, (1, 2 * channels, 7, width), np.float32)
            weight = integers(rng, (2 * filters, channels, kernel, kernel), np.float32)
            kwargs = {"stride": stride, "padding": padding, "groups": 2}
            dy = integers(rng, F.conv2d(x, weight, **kwargs).shape, np.float32)
            pads = ((padding, padding), (padding, padding))
            want = plain(x, weight, dy, (stride, stride), pads, (1, 1), 2)
            x, weight, dy = (guarded(a, at_end) for a in (x, weight, dy))
            with isa(isa_name):
                for which in PASSES:
                    out = guarded(np.zeros_like(want[which], np.float32), at_end)
                    np.testing.assert_array_equal(run(which, x, weight, dy, out=out, **kwargs), want[which])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("isa_name", ISAS)
def test_one_row_stays_inside_the_arrays(isa_name: str, at_end: bool, channels: int) -> None:
    rng = np.random.default_rng(0)
    for width in (*range(8, 21), 31, 33, 35, 39, 49):
        for kernel, padding in ((1, 0), (3, 0), (3, 1), (5, 0)):
            x = integers(rng, (1, 2 * channels, 1, width), np.float32)
            weight = integers(rng, (2, channels, 1, kernel), np.float32)
            kwargs = {"padding": (0, padding), "groups": 2}
            dy = integers(rng, F.conv2d(x, weight, **kwargs).shape, np.float32)
            want = plain(x, weight, dy, (1, 1), ((0, 0), (padding, padding)), (1, 1), 2)
            x, weight, dy = (guarded(a, at_end) for a in (x, weight, dy))
            with isa(isa_name):
                for which in PASSES:
                    out = guarded(np.zeros_like(want[which], np.float32), at_end)
                    np.testing.assert_array_equal(run(which, x, weight, dy, out=out, **kwargs), want[which])


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("isa_name", ISAS)
def test_channels_last_stays_inside_the_arrays(isa_name: str, at_end: bool) -> None:
    rng = np.random.default_rng(0)
    for channels in (2, 7, 8, 16, 19):
        for kernel, stride, padding in ((3, 1, 1), (3, 1, 0), (3, 2, 1), (5, 3, 2)):
            x = integers(rng, (1, channels, 6, 11), np.float32)
            weight = integers(rng, (channels, 1, kernel, kernel), np.float32)
            kwargs = {"stride": stride, "padding": padding, "groups": channels}
            dy = integers(rng, F.conv2d(x, weight, **kwargs).shape, np.float32)
            want = plain(x, weight, dy, (stride, stride), ((padding, padding),) * 2, (1, 1), channels)
            x, weight, dy = (guarded(a, at_end) for a in (to_format(x, "NHWC"), weight, to_format(dy, "NHWC")))
            for which in PASSES:
                expected = want[which] if which == "weight" else to_format(want[which], "NHWC")
                out = guarded(np.zeros(expected.shape, np.float32), at_end)
                with isa(isa_name):
                    got = run(which, x, weight, dy, out=out, data_format="NHWC", **kwargs)
                np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("which", PASSES)
def test_same_bits_for_any_number_of_threads(which: str, data_format: str) -> None:
    rng = np.random.default_rng(0)
    for shape, kernel in (((3, 5, 61, 47), 3), ((9, 2, 20, 33), 5), ((1, 1, 300, 90), 3), ((2, 48, 21, 20), 3)):
        for stride in (1, 2):
            x, weight = rng.normal(size=shape).astype("f4"), rng.normal(size=(shape[1], 1, kernel, kernel)).astype("f4")
            kwargs = {"stride": stride, "padding": 1, "groups": shape[1]}
            dy = rng.normal(size=F.conv2d(x, weight, **kwargs).shape).astype("f4")
            x, dy = to_format(x, data_format), to_format(dy, data_format)
            results = []
            for n in (1, 2, 3, 8):
                with thread_count(n):
                    results.append(bits(run(which, x, weight, dy, data_format=data_format, **kwargs)))
            assert len(set(results)) == 1


@pytest.mark.parametrize("special", [np.nan, np.inf])
@pytest.mark.parametrize("isa_name", ISAS)
def test_infinite_weight_meets_the_padding(isa_name: str, special: float) -> None:
    x, weight = np.ones((1, 3, 7, 9), np.float32), np.ones((3, 1, 3, 3), np.float32)
    weight[1, 0, 0, 1] = special  # inf * 0 in the first row
    for data_format in FORMATS:
        with isa(isa_name), np.errstate(all="ignore"):
            y = F.conv2d(to_format(x, data_format), weight, padding=1, groups=3, data_format=data_format)
        y = y.transpose([data_format.index(a) for a in "NCHW"])[0]
        assert np.isfinite(y[[0, 2]]).all() and np.isnan(y[1, 0]).all()
        np.testing.assert_array_equal(y[1, 1:], np.full((6, 9), special, np.float32))


@pytest.mark.parametrize("special", [np.nan, np.inf])
@pytest.mark.parametrize("isa_name", ISAS)
def test_special_values_touch_only_their_windows(isa_name: str, special: float) -> None:
    x, weight = np.ones((1, 2, 11, 18), np.float32), np.ones((2, 1, 3, 3), np.float32)
    dy = np.ones((1, 2, 9, 16), np.float32)
    x[0, 1, 4, 17] = special  # in the last column: only the last tap of a row sees it
    dy[0, 0, 3, 0] = special
    with isa(isa_name), np.errstate(all="ignore"):
        y = F.conv2d(x, weight, groups=2)
        dx, dw, _ = F.conv2d_backward(dy, x, weight, groups=2)
    want = np.zeros(y.shape, bool)
    want[0, 1, 2:5, 15] = True
    np.testing.assert_array_equal(~np.isfinite(y), want)
    want = np.zeros(x.shape, bool)
    want[0, 0, 3:6, 0:3] = True
    np.testing.assert_array_equal(~np.isfinite(dx), want)
    assert not np.isfinite(dw[0]).any()
    np.testing.assert_array_equal(~np.isfinite(dw[1, 0]), np.array([[0, 0, 1]] * 3, bool))


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("kernel", [3, 4])  # with code of its own, without
def test_no_memory(kernel: int, which: str) -> None:
    x, weight = np.ones((2, 3, 30, 40), np.float32), np.ones((3, 1, kernel, kernel), np.float32)
    dy = np.ones((2, 3, 15, 20), np.float32)
    out = np.empty_like({"forward": dy, "input": x, "weight": weight}[which])
    kwargs = {"stride": 2, "padding": 1, "groups": 3}
    for n in range(1, 3 if which == "weight" and kernel == 4 else 2):
        _runtime.fail_after(n)
        try:
            with pytest.raises(MemoryError, match="no memory"):
                run(which, x, weight, dy, out=out, **kwargs)
        finally:
            _runtime.fail_after(0)
    run(which, x, weight, dy, out=out, **kwargs)


def test_three_dimensions() -> None:
    rng = np.random.default_rng(0)
    x, weight = integers(rng, (2, 3, 4, 7, 18), np.float32), integers(rng, (3, 1, 1, 3, 3), np.float32)
    dy = integers(rng, x.shape, np.float32)
    dx, dw, _ = F.conv3d_backward(dy, x, weight, padding=(0, 1, 1), groups=3)
    y = F.conv3d(x, weight, padding=(0, 1, 1), groups=3)
    total = np.zeros(weight.shape)
    for d in range(4):
        want = plain(x[:, :, d], weight[:, :, 0], dy[:, :, d], (1, 1), ((1, 1), (1, 1)), (1, 1), 3)
        np.testing.assert_array_equal(y[:, :, d], want["forward"])
        np.testing.assert_array_equal(dx[:, :, d], want["input"])
        total[:, :, 0] += want["weight"]
    np.testing.assert_array_equal(dw, total)
