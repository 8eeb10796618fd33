"""Bad and tricky arguments of convolution: clear errors before anything is written, right results where valid."""

import ctypes
import mmap

import numpy as np
import pytest

import pycnn
from pycnn import functional as F
from pycnn import reference
from pycnn.kernels import _runtime

X = np.ones((2, 6, 8, 9), np.float32)
W = np.ones((4, 6, 3, 3), np.float32)


def conv(x=X, weight=W, bias=None, **kwargs):
    return F.conv2d(x, weight, bias, **kwargs)


BAD_VALUES = [
    ({"stride": 0}, r"conv2d: stride must be >= 1, got 0"),
    ({"stride": -2}, r"conv2d: stride must be >= 1, got -2"),
    ({"stride": (1, 0)}, r"conv2d: stride must be >= 1, got 0"),
    ({"dilation": 0}, r"conv2d: dilation must be >= 1, got 0"),
    ({"padding": -1}, r"conv2d: padding must be >= 0, got -1"),
    ({"padding": ((0, -1), (0, 0))}, r"conv2d: padding must be >= 0, got -1"),
    ({"weight": np.ones((4, 6, 0, 3), np.float32)}, r"conv2d: every kernel size of weight must be >= 1"),
    ({"groups": 0}, r"conv2d: groups must be >= 1, got 0"),
    ({"groups": 4}, r"conv2d: groups must divide .* got groups 4"),
    ({"groups": 3}, r"conv2d: groups must divide .* weight \(4, 6, 3, 3\)"),
    ({"groups": 2}, r"conv2d: x must have 12 channels \(weight \(4, 6, 3, 3\), groups 2\), got 6 in \(2, 6, 8, 9\)"),
    ({"bias": np.ones(5, np.float32)}, r"conv2d: bias must have shape \(4,\), got \(5,\)"),
    ({"bias": np.ones((4, 1), np.float32)}, r"conv2d: bias must have shape \(4,\), got \(4, 1\)"),
    ({"bias": np.array(1, np.float32)}, r"conv2d: bias must have shape \(4,\), got \(\)"),
    ({"x": X[0]}, r"conv2d: x must have 4 axes, got shape \(6, 8, 9\)"),
    ({"x": np.array(1, np.float32)}, r"conv2d: x must have 4 axes, got shape \(\)"),
    ({"weight": W[0]}, r"conv2d: weight must have 4 axes"),
    ({"dilation": 8}, r"conv2d: kernel_size 3 with dilation 8 spans 17 cells, more than the padded input of 8"),
    ({"x": X[:, :, :0]}, r"conv2d: every spatial size of the input must be >= 1"),
    ({"stride": (1, 2, 3)}, r"conv2d: stride must be an int or 2 ints, got \(1, 2, 3\)"),
    ({"padding": "smae"}, r"conv2d: padding must be one of 'valid', 'same', 'same_lower', got 'smae'"),
    ({"padding": (1, 2, 3)}, r"conv2d: padding must be an int, 2 ints or 2 pairs"),
    ({"padding": ((1, 2, 3), (1, 1))}, r"conv2d: padding must have pairs"),
    ({"stride": 2**63}, r"conv2d: stride is too large"),
    ({"dilation": 2**31 - 1}, r"conv2d: kernel_size 3 with dilation 2147483647 spans"),
    ({"padding": 2**61}, r"conv2d: an output of shape .* is too large"),
    ({"data_format": "CHWN"}, r"conv2d: data_format must be one of 'NCHW', 'NHWC', 'HWCN', got 'CHWN'"),
    ({"out": np.ones((2, 4, 6, 6), np.float32)}, r"conv2d: out must have shape \(2, 4, 6, 7\), got \(2, 4, 6, 6\)"),
    ({"out": np.ones((2, 4, 6, 7))}, r"conv2d: out must have dtype float32, got float64"),
]

BAD_TYPES = [
    (
        {"x": X.astype(np.float64)},
        r"conv2d: x must have the dtype of weight, float32, got float64; x.astype\(np.float32\) converts",
    ),
    ({"bias": np.ones(4)}, r"conv2d: bias must have the dtype of the other arrays, float32, got float64"),
    ({"x": X.astype(np.float16)}, r"conv2d: x must be float32 or float64, got float16"),
    ({"x": X.astype(np.int32)}, r"conv2d: x must be float32 or float64, got int32"),
    ({"x": X.astype(bool)}, r"conv2d: x must be float32 or float64, got bool"),
    ({"x": X.astype(complex)}, r"conv2d: x must be float32 or float64, got complex128"),
    ({"x": X.astype(object)}, r"conv2d: x must be float32 or float64, got object"),
    ({"x": X.astype(str)}, r"conv2d: x must be float32 or float64, got <U"),
    ({"x": X.astype("datetime64[s]")}, r"conv2d: x must be float32 or float64, got datetime64"),
    ({"x": [[1.0], [2.0, 3.0]]}, r"conv2d: x must be a NumPy array, got list"),
    ({"x": None}, r"conv2d: x must be a NumPy array, got NoneType"),
    ({"x": np.ma.masked_array(X, X > 2)}, r"conv2d: x must be a plain array, got a masked array"),
    ({"stride": 1.5}, r"conv2d: stride must be an integer, got 1.5"),
    ({"stride": "2"}, r"conv2d: stride must be an integer, got '2'"),
    ({"stride": True}, r"conv2d: stride must be an integer, got True"),
    ({"groups": 1.0}, r"conv2d: groups must be an integer, got 1.0"),
    ({"out": [1.0]}, r"conv2d: out must be a NumPy array, got list"),
]


@pytest.mark.parametrize(("kwargs", "message"), BAD_VALUES, ids=range(len(BAD_VALUES)))
def test_bad_values_are_value_errors(kwargs, message):
    with pytest.raises(ValueError, match="^" + message):
        conv(**kwargs)


@pytest.mark.parametrize(("kwargs", "message"), BAD_TYPES, ids=range(len(BAD_TYPES)))
def test_bad_types_are_type_errors(kwargs, message):
    with pytest.raises(TypeError, match="^" + message):
        conv(**kwargs)


def test_sparse_matrix_is_a_type_error():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="conv2d: x "):
        conv(sparse.csr_array(np.eye(3, dtype=np.float32)))


def test_errors_leave_out_as_it_was():
    out = np.full((2, 4, 6, 7), 7, np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="conv2d: out is read-only"):
        conv(out=out)
    out.flags.writeable = True
    with pytest.raises(ValueError, match="stride"):
        conv(out=out, stride=2**62 + 1)
    assert (out == 7).all()


def test_gradient_shape_and_type_are_checked():
    with pytest.raises(ValueError, match=r"conv2d_backward: grad_output must have shape \(2, 4, 6, 7\), got"):
        F.conv2d_backward(np.ones((2, 4, 7, 6), np.float32), X, W)
    with pytest.raises(TypeError, match="conv2d_backward: grad_output must have the dtype"):
        F.conv2d_backward(np.ones((2, 4, 6, 7)), X, W)
    with pytest.raises(ValueError, match=r"conv2d_backward: needs must be a tuple of .*got \('weights',\)"):
        F.conv2d_backward(np.ones((2, 4, 6, 7), np.float32), X, W, needs=("weights",))
    with pytest.raises(ValueError, match="conv2d_backward: out must be three arrays"):
        F.conv2d_backward(np.ones((2, 4, 6, 7), np.float32), X, W, out=np.ones(3))


def test_transposed_convolution_checks_its_own_rules():
    w = np.ones((6, 4, 3, 3), np.float32)
    with pytest.raises(ValueError, match="output_padding must be smaller than stride or dilation, got 1"):
        F.conv_transpose2d(X, w, output_padding=1)
    with pytest.raises(ValueError, match=r"conv_transpose2d: x must have . channels"):
        F.conv_transpose2d(X, W)
    with pytest.raises(ValueError, match="leaves nothing"):
        F.conv_transpose2d(X, w, padding=9)


# ---- valid, and easy to get wrong

TRICKY = {
    "1x1 image": ((2, 3, 1, 1), (4, 3, 1, 1), {}),
    "kernel is the image": ((2, 3, 5, 4), (4, 3, 5, 4), {}),
    "stride over kernel": ((1, 2, 11, 12), (3, 2, 2, 2), {"stride": 3}),
    "stride over image": ((1, 2, 5, 6), (3, 2, 3, 3), {"stride": 9}),
    "padding over kernel": ((1, 2, 4, 4), (3, 2, 3, 3), {"padding": 5}),
    "fits through padding": ((1, 1, 2, 2), (1, 1, 5, 5), {"padding": 2}),
    "dilated to the padded size": ((1, 1, 7, 7), (2, 1, 3, 3), {"dilation": 4, "padding": 1}),
    "asymmetric": ((1, 2, 6, 5), (3, 2, 3, 2), {"padding": ((2, 0), (0, 3)), "stride": (2, 1)}),
    "1xN": ((2, 3, 1, 40), (5, 3, 1, 7), {}),
    "Nx1": ((2, 3, 40, 1), (5, 3, 7, 1), {}),
    "17 channels": ((1, 17, 9, 9), (17, 17, 3, 3), {"padding": "same"}),
    "depthwise, two filters each": ((2, 5, 9, 8), (10, 1, 3, 3), {"groups": 5, "padding": 1}),
    "groups, filters unlike channels": ((2, 6, 7, 7), (9, 2, 3, 3), {"groups": 3}),
    "same with a stride": ((1, 2, 10, 7), (3, 2, 3, 3), {"stride": 3, "padding": "same"}),
    "same_lower with a stride": ((1, 2, 10, 7), (3, 2, 4, 3), {"stride": 3, "padding": "same_lower"}),
    "empty batch": ((0, 3, 5, 5), (4, 3, 3, 3), {}),
    "more taps than a block": ((1, 2, 30, 30), (3, 2, 29, 27), {"padding": 3}),
    "a block of taps, several channels": ((1, 3, 20, 21), (9, 3, 13, 13), {}),
    "three blocks of taps": ((1, 5, 25, 24), (5, 5, 19, 20), {"padding": 1}),
    "blocks of taps for each phase": ((1, 3, 30, 40), (7, 3, 22, 18), {"stride": (1, 2), "padding": 2}),
    "more channels than a block": ((1, 700, 3, 3), (9, 700, 1, 1), {}),
    "numpy integers": ((1, 2, 6, 6), (3, 2, 3, 3), {"stride": np.int64(2), "padding": [np.int8(1), 1]}),
}


@pytest.mark.parametrize("isa", _runtime.available_isas())
@pytest.mark.parametrize("name", TRICKY)
def test_tricky_shapes(name, isa):
    x_shape, w_shape, kwargs = TRICKY[name]
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, x_shape).astype(np.float32)
    w = rng.integers(-3, 4, w_shape).astype(np.float32)
    before = _runtime.active_isa()
    _runtime.select_isa(isa)
    _runtime.set_poison(True)
    pycnn.set_exact(True)
    try:
        y = F.conv2d(x, w, **kwargs)
        expected = reference.conv2d(x, w, **kwargs)
        np.testing.assert_array_equal(y, expected)  # small integers: exact
        dy = rng.integers(-3, 4, y.shape).astype(np.float32)
        for got, want in zip(F.conv2d_backward(dy, x, w, **kwargs), reference.conv2d_backward(dy, x, w, **kwargs)):
            np.testing.assert_array_equal(got, want)
    finally:
        pycnn.set_exact(False)
        _runtime.set_poison(False)
        _runtime.select_isa(before)


def test_no_channels_gives_the_bias():
    y = F.conv2d(np.ones((1, 0, 4, 4), np.float32), np.ones((2, 0, 3, 3), np.float32), np.array([1, 2], np.float32))
    assert y.shape == (1, 2, 2, 2)
    np.testing.assert_array_equal(y[0, :, 0, 0], [1, 2])


def test_empty_batch_has_zero_weight_gradient():
    dx, dw, db = F.conv2d_backward(np.ones((0, 4, 6, 7), np.float32), X[:0], W)
    assert dx.shape == (0, 6, 8, 9)
    assert not dw.any()
    assert not db.any()


def test_infinite_weight_times_zero_is_nan():
    x = np.zeros((1, 1, 3, 3))
    w = np.full((1, 1, 1, 1), np.inf)
    assert np.isnan(F.conv2d(x, w)).all()
    assert np.isnan(F.conv2d(x, w, padding=1)[0, 0, 1:-1, 1:-1]).all()


def test_nan_touches_only_the_windows_that_read_it():
    x = np.ones((2, 3, 9, 9), np.float32)
    x[1, 2, 4, 4] = np.nan
    bad = np.isnan(F.conv2d(x, np.ones((5, 3, 3, 3), np.float32)))
    expected = np.zeros((2, 5, 7, 7), bool)
    expected[1, :, 2:5, 2:5] = True
    np.testing.assert_array_equal(bad, expected)


def test_subnormals_survive_on_every_thread():
    x = np.full((8, 4, 32, 32), 1e-40, np.float32)
    y = F.conv2d(x, np.ones((8, 4, 1, 1), np.float32))
    np.testing.assert_array_equal(y, y[0, 0, 0, 0])
    assert y[0, 0, 0, 0] > 0


def test_out_that_overlaps_an_input_is_as_if_copied():
    base = np.random.default_rng(0).standard_normal((1, 4, 12, 10)).astype(np.float32)
    w = np.random.default_rng(1).standard_normal((4, 4, 3, 3)).astype(np.float32)
    expected = F.conv2d(base[:, :, :10], w, padding=1)
    shared = base.copy()
    result = F.conv2d(shared[:, :, :10], w, padding=1, out=shared[:, :, 2:])
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(shared[:, :, 2:], expected)


class Wrapped:
    """An array of another library, by `__array__`."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


def test_arrays_of_others_are_taken():
    expected = conv()
    np.testing.assert_array_equal(conv(Wrapped(X)), expected)
    np.testing.assert_array_equal(conv(memoryview(X)), expected)
    np.testing.assert_array_equal(conv(X.view(type("Sub", (np.ndarray,), {}))), expected)
    torch = pytest.importorskip("torch")
    result = conv(torch.from_numpy(X))
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, expected)


# ---- no read or write outside the arrays


def guarded(shape, dtype, at_end):
    """Return an array that begins or ends at a page that may not be touched."""
    page = mmap.PAGESIZE
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = -(-size // page) * page
    memory = mmap.mmap(-1, room + 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for offset in (0, page + room):
        assert protect(ctypes.c_void_p(address + offset), ctypes.c_size_t(page), 0) == 0
    start = page + room - size if at_end else page
    return np.frombuffer(memory, dtype, int(np.prod(shape)), start).reshape(shape)


@pytest.mark.parametrize(
    ("name", "known"),
    [("stride", (1, 1)), ("padding", (1, 1)), ("padding", ((1, 1), (1, 1))), ("dilation", (1, 1)), ("groups", 1)],
)
@pytest.mark.parametrize("wrong", [True, 1.0, np.True_, (1, True), (1, 1.0), ((1, True), (1, 1))], ids=repr)
def test_what_equals_a_known_hyperparameter_is_still_refused(name, known, wrong):
    conv(**{name: 1})  # the results for these are kept, and True == 1 == 1.0
    conv(**{name: known})
    with pytest.raises(TypeError, match=f"conv2d: {name} must be an int"):
        conv(**{name: wrong})


@pytest.mark.skipif(not hasattr(mmap, "PROT_READ"), reason="needs mprotect")
@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("isa", _runtime.available_isas())
def test_kernels_stay_inside_their_arrays(isa, at_end):
    before = _runtime.active_isa()
    _runtime.select_isa(isa)
    rng = np.random.default_rng(0)
    try:
        for width in (1, 3, 4, 7, 8, 15, 16, 17, 31, 47, 49):
            for stride in (1, 2):
                x = guarded((2, 3, 3, width), np.float32, at_end)
                w = guarded((5, 3, 3, 2), np.float32, at_end)
                b = guarded((5,), np.float32, at_end)
                for a in (x, w, b):
                    a[...] = rng.integers(-3, 4, a.shape)
                expected = reference.conv2d(x, w, b, stride, 1)
                y = guarded(expected.shape, np.float32, at_end)
                np.testing.assert_array_equal(F.conv2d(x, w, b, stride, 1, out=y), expected)
                out = tuple(guarded(a.shape, np.float32, at_end) for a in (x, w, b))
                grads = F.conv2d_backward(y, x, w, stride, 1, out=out)
                for got, want in zip(grads, reference.conv2d_backward(y, x, w, stride, 1)):
                    np.testing.assert_array_equal(got, want)
    finally:
        _runtime.select_isa(before)
