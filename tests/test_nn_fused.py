"""A batch normalisation and the ReLU behind it run as one, and nobody can tell but by the clock."""

import copy

import numpy as np
import pytest
from vectors import FLOATS, ISAS, isa, thread_count

from pycnn import nn

SHAPES = {  # runs of one value, short ones, up to and beyond a piece of 1024, beyond a chunk of 16384
    "NCHW": [
        (5, 3, 1, 1),
        (9, 2, 1, 3),
        (70, 5, 8, 8),
        (3, 4, 31, 33),
        (2, 3, 32, 32),
        (2, 2, 23, 89),
        (2, 1, 130, 131),
    ],
    "NHWC": [(3, 5, 4, 7), (2, 1, 3, 1)],
    "HWCN": [(3, 4, 5, 6), (5, 3, 2, 1), (2, 2, 3, 1030)],
}
LAYOUTS = [(layout, shape) for layout, shapes in SHAPES.items() for shape in shapes]


def layers(layout, shape, dtype, **options):
    rng = np.random.default_rng(1)
    channels = shape[layout.index("C")]
    norm = nn.BatchNorm2d(channels, data_format=layout, dtype=dtype, **options)
    if norm.affine:
        norm.weight.data[...] = rng.normal(size=channels)
        norm.bias.data[...] = rng.normal(size=channels)
    return norm, nn.ReLU()


def arrays(shape, dtype):
    rng = np.random.default_rng(0)
    return rng.normal(3, 2, shape).astype(dtype), rng.normal(size=shape).astype(dtype)


def in_turn(parts, x, grad):
    """Forward and backward, a layer after the other."""
    for part in parts:
        x = part(x)
    for part in reversed(parts):
        grad = part.backward(grad)
    return x, grad


def state(norm):
    return [norm.running_mean, norm.running_var, norm.num_batches_tracked]


def check(fused, parts, x, grad):
    """A network of the pair against the two layers: the same bits forward, sums in another order backward."""
    alone = copy.deepcopy(parts)
    y = fused(x)
    dx = fused.backward(grad)
    want, want_dx = in_turn(alone, x, grad)
    np.testing.assert_array_equal(y, want)
    for ours, theirs in zip(state(parts[0]), state(alone[0])):
        np.testing.assert_array_equal(ours, theirs)
    # The sums are of doubles, in another order: at most a last place of what they are rounded to.
    close = {"rtol": 2e-6, "atol": 2e-6} if x.dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(dx, want_dx, **close)
    for name in ("weight", "bias"):
        size = np.abs(grad).sum()
        ours, theirs = getattr(parts[0], name).grad, getattr(alone[0], name).grad
        np.testing.assert_allclose(ours, theirs, rtol=close["rtol"], atol=close["atol"] * size)


@pytest.mark.parametrize("name", ISAS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("layout", "shape"), LAYOUTS)
def test_pair_is_the_two_layers(layout, shape, dtype, name):
    with isa(name):
        parts = layers(layout, shape, dtype)
        check(nn.Sequential(*parts), parts, *arrays(shape, dtype))


def graph_of(*parts):
    net = nn.Graph()
    net.input("x")
    for index, part in enumerate(parts):
        net.add(str(index), part)
    return net


def test_pair_in_a_graph():
    parts = layers("NCHW", (4, 3, 9, 9), np.float32)
    check(graph_of(*parts), parts, *arrays((4, 3, 9, 9), np.float32))


def passes(monkeypatch):
    """Count how often the layers run by themselves, by class."""
    count = {"norm": 0, "relu": 0}
    for key, kind in (("norm", nn.BatchNorm2d), ("relu", nn.ReLU)):
        forward = kind.forward

        def counted(self, x, key=key, forward=forward):
            count[key] += 1
            return forward(self, x)

        monkeypatch.setattr(kind, "forward", counted)
    return count


def test_the_pair_is_run_as_one(monkeypatch):
    parts = layers("NCHW", (2, 3, 4, 4), np.float32)
    count = passes(monkeypatch)
    x, grad = arrays((2, 3, 4, 4), np.float32)
    for net in (nn.Sequential(*parts), graph_of(*parts)):
        net(x)
        net.backward(grad)
        net.eval()(x)
        net.train()
    assert count == {"norm": 0, "relu": 0}


def test_values_that_others_read_are_there():
    """A normalisation whose own result is used twice, or is an output, keeps it."""
    x, grad = arrays((2, 3, 4, 4), np.float32)
    norm, relu = layers("NCHW", x.shape, np.float32)
    twin = copy.deepcopy(norm)
    net = nn.Graph()
    net.input("x")
    net.add("norm", norm)
    net.add("relu", relu)
    net.output("norm", "relu")
    plain, cut = net(x)
    np.testing.assert_array_equal(plain, twin(x))
    np.testing.assert_array_equal(cut, np.maximum(plain, 0))
    dx = net.backward(grad, grad)
    np.testing.assert_allclose(dx, twin.backward(grad + grad * (plain > 0)), rtol=1e-5, atol=1e-5)

    net = nn.Graph()
    net.input("x")
    net.add("norm", copy.deepcopy(twin))
    net.add("relu", nn.ReLU(), "norm")
    net.add("sum", nn.Add(), "norm", "relu")
    np.testing.assert_array_equal(net(x), plain + cut)


def test_layers_can_go_back_one_by_one():
    """After a network's forward pass each layer has what its own backward needs."""
    x, grad = arrays((2, 3, 5, 5), np.float64)
    parts = layers("NCHW", x.shape, np.float64)
    net = nn.Sequential(*parts)
    net(x)
    dx = net.backward(grad)
    net(x)
    for layer in reversed(parts):
        grad = layer.backward(grad)
    np.testing.assert_allclose(dx, grad, rtol=1e-12, atol=1e-12)


def test_a_watched_layer_runs_by_itself():
    x, _ = arrays((2, 3, 5, 5), np.float32)
    norm, relu = layers("NCHW", x.shape, np.float32)
    seen = []
    own = norm.forward
    norm.forward = lambda value: seen.append(own(value)) or seen[-1]
    y = nn.Sequential(norm, relu)(x)
    assert (seen[0] < 0).any()
    np.testing.assert_array_equal(y, np.maximum(seen[0], 0))


def test_one_of_them_in_eval_mode():
    x, grad = arrays((2, 3, 5, 5), np.float32)
    norm, relu = layers("NCHW", x.shape, np.float32)
    norm.eval()
    net = nn.Sequential(norm, relu)
    np.testing.assert_array_equal(net(x), np.maximum(norm(x), 0))
    with pytest.raises(RuntimeError, match=r"layer 0 \(BatchNorm2d\) is in eval"):
        net.backward(grad)


def test_eval_mode_keeps_nothing_and_is_the_same():
    x, _ = arrays((2, 3, 5, 5), np.float32)
    parts = layers("NCHW", x.shape, np.float32)
    net = nn.Sequential(*parts).eval()
    np.testing.assert_array_equal(net(x), np.maximum(parts[0](x), 0))
    assert parts[0]._saved is None and parts[1]._saved is None


def test_nothing_is_written_in_eval_mode():
    """Many threads may call it then."""
    x, _ = arrays((2, 3, 5, 5), np.float32)
    parts = layers("NCHW", x.shape, np.float32)
    net = nn.Sequential(*parts).eval()
    for part in parts:
        part._saved = ("mark",)
    net(x)
    assert [part._saved for part in parts] == [("mark",), ("mark",)]


@pytest.mark.parametrize("options", [{"affine": False}, {"track_running_stats": False}, {"momentum": None}])
def test_options(options):
    x, grad = arrays((4, 3, 6, 6), np.float64)
    parts = layers("NCHW", x.shape, np.float64, **options)
    alone = copy.deepcopy(parts)
    net = nn.Sequential(*parts)
    y, dx = net(x), net.backward(grad)
    want, want_dx = in_turn(alone, x, grad)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_allclose(dx, want_dx, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(state(parts[0]), state(alone[0])):
        np.testing.assert_array_equal(ours, theirs)


def test_without_the_gradient_of_the_input():
    x, grad = arrays((4, 3, 6, 6), np.float32)
    parts = layers("NCHW", x.shape, np.float32)
    alone = copy.deepcopy(parts)
    net = nn.Sequential(*parts)
    net(x)
    assert net.backward(grad, needs_input_grad=False) is None
    in_turn(alone, x, grad)
    np.testing.assert_allclose(parts[0].weight.grad, alone[0].weight.grad, rtol=1e-5, atol=1e-5)
    with pytest.raises(RuntimeError, match="each forward serves one backward"):
        net.backward(grad)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(bad):
    x, grad = arrays((2, 3, 5, 5), np.float64)
    x[0, 1, 2, 3] = bad
    parts = layers("NCHW", x.shape, np.float64)
    alone = copy.deepcopy(parts)
    net = nn.Sequential(*parts)
    with np.errstate(all="ignore"):
        y, dx = net(x), net.backward(grad)
        want, want_dx = in_turn(alone, x, grad)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_allclose(dx, want_dx, rtol=1e-12, atol=1e-12)
    assert np.isnan(dx[:, 1]).all() and np.isfinite(dx[:, 0]).all()


def test_a_gradient_of_another_shape_changes_nothing():
    x, grad = arrays((2, 3, 5, 5), np.float32)
    parts = layers("NCHW", x.shape, np.float32)
    net = nn.Sequential(*parts)
    net(x)
    with pytest.raises(ValueError, match="grad_output must have shape"):
        net.backward(grad[:1])
    assert parts[0].weight.grad is None
    net.backward(grad)
    assert parts[0].weight.grad is not None


def test_same_bits_from_any_number_of_threads():
    x, grad = arrays((64, 16, 24, 24), np.float32)
    results = []
    for threads in (1, 2, 3, 8):
        parts = layers("NCHW", x.shape, np.float32)
        net = nn.Sequential(*parts)
        with thread_count(threads):
            y, dx = net(x), net.backward(grad)
        results.append([y, dx, parts[0].weight.grad, parts[0].bias.grad])
    for other in results[1:]:
        for ours, theirs in zip(results[0], other):
            np.testing.assert_array_equal(ours, theirs)
