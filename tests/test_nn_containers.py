"""Sequential, Add, Concat, Flatten, and errors that name the layer."""

import numpy as np
import pytest

from pycnn import nn


def test_layers_have_numbers_or_names():
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    assert [name for name, _ in net.named_children()] == ["0", "1"]
    named = nn.Sequential({"first": nn.Linear(2, 2), "act": nn.ReLU()})
    assert list(named.state_dict()) == ["first.weight", "first.bias"]
    assert len(net) == 2
    assert isinstance(net[1], nn.Tanh)
    assert isinstance(net[-1], nn.Tanh)
    assert [type(layer) for layer in net] == [nn.ReLU, nn.Tanh]
    assert net.append(nn.Flatten()) is net
    assert isinstance(net[2], nn.Flatten)
    part = net[1:]
    assert [name for name, _ in part.named_children()] == ["1", "2"]
    assert part[0] is net[1]


def test_an_empty_network_returns_its_input():
    net, x = nn.Sequential(), np.ones((2, 3))
    assert net(x) is x
    assert net.backward(x) is x
    assert net.output_shape((2, 3)) == (2, 3)
    assert repr(net) == "Sequential()"


def test_a_layer_has_one_place_only():
    relu = nn.ReLU()
    with pytest.raises(ValueError, match=r"layer 1 \(ReLU\) is the same object as '0'"):
        nn.Sequential(relu, relu)
    with pytest.raises(ValueError, match=r"layer 1 \(ReLU\) is the same object as '0.0'"):
        nn.Sequential(nn.Sequential(relu), relu)
    net = nn.Sequential(relu)
    with pytest.raises(ValueError, match="the network itself"):
        net.append(net)


def test_what_is_no_layer_is_refused():
    with pytest.raises(TypeError, match="layer 1 must be a Module, got ufunc"):
        nn.Sequential(nn.ReLU(), np.tanh)
    for name in ("", "a.b", 3):
        with pytest.raises(ValueError, match="a name is a new string without dots"):
            nn.Sequential({name: nn.ReLU()})


NETS = [
    (
        nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Identity(), nn.Linear(784, 10)),
        "layer 3 (Linear)",
        (1, 1, 56, 56),
    ),
    (nn.Sequential(nn.Conv2d(3, 4, 3)), "layer 0 (Conv2d)", (1, 1, 8, 8)),
    (nn.Sequential(nn.MaxPool2d(3), nn.MaxPool2d(3)), "layer 1 (MaxPool2d)", (1, 1, 8, 8)),
    (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4)), "layer 1 (BatchNorm2d)", (2, 3, 8, 8)),
    (nn.Sequential(nn.ReLU(), nn.Sequential(nn.Conv2d(1, 2, 9))), "layer 1 (Sequential)", (2, 1, 8, 8)),
    (nn.Sequential(nn.AdaptiveAvgPool2d(1)), "layer 0 (AdaptiveAvgPool2d)", (2, 8, 8)),
]


@pytest.mark.parametrize(("net", "where", "shape"), NETS)
def test_a_chain_that_does_not_fit_names_the_layer(net, where, shape):
    net.train()
    for call in (net.output_shape, net.summary, lambda s: net(np.ones(s, np.float32))):
        with pytest.raises(ValueError) as caught:
            call(shape)
        assert f"Sequential: {where}: " in str(caught.value)


def test_the_message_says_what_was_expected():
    net = nn.Sequential(nn.Conv2d(1, 64, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 10))
    with pytest.raises(ValueError, match=r"^Sequential: layer 3 \(Linear\): expects 784 features, got 3136$"):
        net.output_shape((1, 1, 16, 16))
    with pytest.raises(ValueError, match=r"layer 1 \(Linear\): expects 3 features, got 2"):
        nn.Sequential(nn.Identity(), nn.Linear(3, 2)).output_shape((5, 2))
    with pytest.raises(ValueError, match="without axes"):
        nn.Linear(3, 2).output_shape(())


def test_shapes_are_found_without_big_arrays():
    net = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.MaxPool2d(2), nn.ConvTranspose2d(64, 8, 2, 2))
    assert net.output_shape((10**6, 3, 4096, 4096)) == (10**6, 8, 4096, 4096)
    assert nn.Conv2d(3, 5, 3, data_format="HWCN").output_shape((9, 8, 3, 7)) == (7, 6, 5, 7)
    assert nn.MaxPool2d(2, return_indices=True).output_shape((5, 3, 4, 4)) == ((5, 3, 2, 2),) * 2


@pytest.mark.parametrize("shape", ["12", 3, (1, 2.5), (1, True)])
def test_a_shape_is_a_tuple_of_ints(shape):
    with pytest.raises(TypeError, match=r"ReLU\.output_shape"):
        nn.ReLU().output_shape(shape)
    with pytest.raises(TypeError, match="one input, got 2"):
        nn.ReLU().output_shape((1,), (2,))
    with pytest.raises(ValueError, match=">= 0"):
        nn.ReLU().output_shape((1, -2))


def test_a_part_in_eval_mode_is_named_before_anything_changes():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    net[1].eval()
    y = net(np.ones((1, 2), np.float32))
    with pytest.raises(RuntimeError, match=r"layer 1 \(ReLU\) is in eval\(\) mode"):
        net.backward(y)
    assert all(p.grad is None for p in net.parameters())


def test_nested_networks_print_nested():
    net = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.Sequential(nn.ReLU()))
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        ")"
    )


def test_options_that_torch_lacks_are_printed():
    assert "padding=((0, 1), (2, 3))" in repr(nn.Conv2d(1, 1, 4, padding=((0, 1), (2, 3))))
    assert "data_format='HWCN'" in repr(nn.Conv2d(1, 1, 3, data_format="HWCN"))
    assert "ties='split'" in repr(nn.MaxPool2d(2, ties="split", data_format="NHWC"))
    assert "data_format='NHWC'" in repr(nn.AvgPool2d(2, data_format="NHWC"))
    assert "data_format='NHWC'" in repr(nn.BatchNorm2d(2, data_format="NHWC"))
    assert "data_format='NHWC'" in repr(nn.Flatten(data_format="NHWC"))


@pytest.mark.parametrize("data_format", ["NHWC", "HWCN"])
def test_layouts_give_the_same_numbers(data_format):
    def build(fmt):
        rng = np.random.default_rng(0)
        return nn.Sequential(
            nn.Conv2d(2, 3, 3, data_format=fmt, rng=rng, dtype=np.float64),
            nn.BatchNorm2d(3, data_format=fmt, dtype=np.float64),
            nn.ReLU(),
            nn.MaxPool2d(2, data_format=fmt),
            nn.AvgPool2d(2, 1, data_format=fmt),
            nn.LocalResponseNorm(2, data_format=fmt),
            nn.Flatten(data_format=fmt),
            nn.Linear(12, 4, rng=rng, dtype=np.float64),
        )

    order = tuple("NCHW".index(axis) for axis in data_format)
    plain, other = build("NCHW"), build(data_format)
    x = np.random.default_rng(1).normal(size=(2, 2, 8, 8))
    y, z = plain(x), other(x.transpose(order))
    np.testing.assert_allclose(y, z, rtol=1e-12)
    assert other.output_shape(x.transpose(order).shape) == y.shape
    dy = np.random.default_rng(2).normal(size=y.shape)
    np.testing.assert_allclose(plain.backward(dy).transpose(order), other.backward(dy), rtol=1e-9, atol=1e-12)
    for p, q in zip(plain.parameters(), other.parameters()):
        np.testing.assert_allclose(p.grad, q.grad, rtol=1e-9, atol=1e-12)


def test_flatten_checks_its_axes():
    with pytest.raises(ValueError, match="do not fit shape"):
        nn.Flatten(2, -2)(np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match="goes with start_dim=1"):
        nn.Flatten(0, data_format="NHWC")
    with pytest.raises(ValueError, match="expects 4 axes"):
        nn.Flatten(data_format="NHWC").output_shape((1, 2, 3))
    layer = nn.Flatten()
    layer(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"grad_output must have shape \(2, 12\)"):
        layer.backward(np.ones((2, 11)))
    with pytest.raises(TypeError, match="must be an ndarray, got list"):
        layer.backward([1])


def test_add_sums_and_hands_on():
    add, parts = nn.Add(), [np.full((2, 3), float(i)) for i in (1, 2, 4)]
    np.testing.assert_array_equal(add(*parts), np.full((2, 3), 7.0))
    np.testing.assert_array_equal(parts[0], np.ones((2, 3)))
    assert len(add.backward(np.ones((2, 3)))) == 3
    assert add.output_shape((2, 3), (2, 3)) == (2, 3)
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3\), \(3, 2\)"):
        add(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="at least 2 inputs, got 1"):
        add(np.ones(2))
    with pytest.raises(TypeError, match="one dtype, got float32, float64"):
        add(np.ones(2, np.float32), np.ones(2))
    with pytest.raises(TypeError, match="must be ndarrays, got list"):
        add([1], [2])
    with pytest.raises(RuntimeError, match="before forward"):
        add.backward(np.ones(2))


def test_concat_joins_and_splits():
    concat, a, b = nn.Concat(), np.ones((2, 1, 3)), np.zeros((2, 2, 3))
    y = concat(a, b)
    np.testing.assert_array_equal(y, np.concatenate([a, b], 1))
    first, second = concat.backward(np.arange(18.0).reshape(2, 3, 3))
    np.testing.assert_array_equal(first, np.arange(18.0).reshape(2, 3, 3)[:, :1])
    assert second.flags.c_contiguous
    assert nn.Concat(-1).output_shape((2, 3), (2, 4)) == (2, 7)
    assert repr(concat) == "Concat(axis=1)"
    with pytest.raises(ValueError, match="differ along axis 1 only"):
        concat(a, np.ones((3, 1, 3)))
    with pytest.raises(ValueError, match="axis=1 does not fit"):
        concat(np.ones(2), np.ones(2))
