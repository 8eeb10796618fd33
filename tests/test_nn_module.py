"""What every module does: parts, state, modes, copies, random states."""

import copy
import pickle

import numpy as np
import pytest

from pycnn import nn


def small_net(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, rng=rng),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Dropout(0.3, rng=rng),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(27, 4, rng=rng),
    )


def small_batch(seed=1, n=4):
    return np.random.default_rng(seed).normal(size=(n, 1, 8, 8)).astype(np.float32)


def same(a, b):
    assert list(a) == list(b)
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_parts_are_found_by_name():
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU()))
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.0.weight"]
    assert [name for name, _ in net.named_modules()] == ["", "0", "1", "1.0", "1.1"]
    assert [type(m).__name__ for m in net.children()] == ["Linear", "Sequential"]
    assert len(list(net.parameters())) == 3
    assert len(list(net.modules())) == 5


def test_a_shared_parameter_is_listed_once():
    class Tied(nn.Module):
        def __init__(self):
            self.a = nn.Linear(2, 2)
            self.b = nn.Linear(2, 2)
            self.b.weight = self.a.weight

    assert [name for name, _ in Tied().named_parameters()] == ["a.weight", "a.bias", "b.bias"]
    assert len(Tied().state_dict()) == 4
    copied = copy.deepcopy(Tied())
    assert copied.a.weight is copied.b.weight


def test_gradients_add_up_until_zero_grad():
    layer = nn.Linear(3, 2, rng=0)
    x, dy = np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)
    assert layer.weight.grad is None
    for times in (1, 2):
        layer(x)
        layer.backward(dy)
        np.testing.assert_array_equal(layer.bias.grad, [4 * times] * 2)
        np.testing.assert_array_equal(layer.weight.grad, np.full((2, 3), 4 * times))
    layer.zero_grad()
    assert layer.weight.grad is None and layer.bias.grad is None


def test_parameter_copies_its_values_and_takes_floats_only():
    values = np.ones(3)
    parameter = nn.Parameter(values)
    values[0] = 5
    assert parameter.data[0] == 1
    assert parameter.shape == (3,)
    assert parameter.size == 3
    assert parameter.dtype == np.float64
    np.testing.assert_array_equal(np.asarray(parameter), np.ones(3))
    assert repr(parameter) == "Parameter(shape=(3,), dtype=float64)"
    assert nn.Parameter(np.ones(2, ">f4")).dtype == np.dtype("=f4")
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        nn.Parameter(np.arange(3))


def test_a_parameter_is_not_replaced_by_an_array():
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"Linear: weight is a Parameter; set weight.data"):
        layer.weight = np.ones((2, 2))
    layer.weight = nn.Parameter(np.ones((2, 2), np.float32))


@pytest.mark.parametrize("layer", [nn.Conv2d(1, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(1), nn.Flatten()])
def test_backward_needs_a_forward_in_train_mode(layer):
    name = type(layer).__name__
    x = np.random.default_rng(0).normal(size=(2, 1, 4, 4)).astype(np.float32)
    dy = np.ones_like(layer.train()(x))
    layer.backward(dy)
    with pytest.raises(RuntimeError, match=f"{name}: backward before forward"):
        layer.backward(dy)
    layer(x)
    layer.eval()
    assert layer._saved is None
    layer(x)
    assert layer._saved is None
    with pytest.raises(RuntimeError, match=rf"{name}: backward in eval\(\) mode"):
        layer.backward(dy)
    layer.train()
    with pytest.raises(RuntimeError, match="before forward"):
        layer.backward(dy)


def test_a_failed_forward_leaves_nothing_to_go_back_through():
    net = nn.Sequential(nn.ReLU(), nn.Linear(3, 2))
    y = net(np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="layer 1"):
        net(np.ones((2, 4), np.float32))
    with pytest.raises(RuntimeError, match="before forward"):
        net.backward(np.ones_like(y))


def test_a_gradient_of_the_wrong_shape_changes_nothing():
    net = small_net()
    y = net(small_batch())
    with pytest.raises(ValueError, match="shape"):
        net.backward(np.ones((4, 5), np.float32))
    with pytest.raises(TypeError, match="float64"):
        net.backward(np.ones((4, 4)))
    assert all(p.grad is None for p in net.parameters())
    assert net.backward(np.ones_like(y)).shape == (4, 1, 8, 8)


def test_inputs_are_not_written_to():
    net, x = small_net(), small_batch()
    before, dy = x.copy(), np.ones((4, 4), np.float32)
    x.flags.writeable = dy.flags.writeable = False
    net(x)
    net.backward(dy)
    np.testing.assert_array_equal(x, before)
    assert (dy == 1).all()


def test_empty_batch_goes_forward_and_back():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 4))
    y = net(np.empty((0, 1, 8, 8), np.float32))
    assert y.shape == (0, 4)
    assert net.backward(y).shape == (0, 1, 8, 8)
    assert all((p.grad == 0).all() for p in net.parameters())


def test_without_input_gradient_parameters_get_the_same():
    x, dy = small_batch(), np.ones((4, 4), np.float32)
    grads = []
    for needs in (True, False):
        net = nn.Sequential(nn.Identity(), small_net())
        net(x)
        dx = net.backward(dy, needs_input_grad=needs)
        assert (dx is not None) == needs
        grads.append({name: p.grad for name, p in net.named_parameters()})
        assert all(m._saved is None for m in net.modules())
    same(*grads)


def test_state_goes_from_one_network_to_another():
    first, second = small_net(0), small_net(5)
    first(small_batch())
    assert second.load_state_dict(first.state_dict()) == ([], [])
    same(first.state_dict(), second.state_dict())
    x = small_batch(3)
    np.testing.assert_array_equal(first.eval()(x), second.eval()(x))


def test_state_dict_is_a_copy_unless_asked_otherwise():
    layer = nn.Linear(2, 2)
    layer.state_dict()["weight"][...] = 7
    assert not (layer.weight.data == 7).any()
    assert layer.state_dict(copy=False)["weight"] is layer.weight.data


def test_loading_writes_into_the_same_arrays():
    layer = nn.Linear(2, 2)
    array = layer.weight.data
    layer.load_state_dict({"weight": np.ones((2, 2), np.float64), "bias": np.zeros(2, np.float32)})
    assert layer.weight.data is array
    assert array.dtype == np.float32
    assert (array == 1).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("0.weight"), ValueError, "missing '0.weight'"),
        (lambda s: s.update(extra=np.ones(1)), ValueError, "unexpected 'extra'"),
        (
            lambda s: s.update({"6.bias": np.ones(5)}),
            ValueError,
            r"6.bias must have shape \(4,\), got \(5,\)",
        ),
        (lambda s: s.update({"6.bias": np.ones(4, complex)}), TypeError, "6.bias must hold float32"),
        (lambda s: s.update({"6.bias": np.array(["a"] * 4)}), TypeError, "6.bias must hold float32"),
        (lambda s: s.update({"1.num_batches_tracked": np.array(0.5)}), TypeError, "must hold int64"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, message):
    net = small_net()
    before = net.state_dict()
    state = {key: value + 1 for key, value in before.items()}
    change(state)
    with pytest.raises(error, match=message):
        net.load_state_dict(state)
    same(net.state_dict(), before)


def test_loading_says_what_it_was_given():
    with pytest.raises(TypeError, match="must be a mapping of names to arrays, got list"):
        nn.Linear(1, 1).load_state_dict([1])
    state = {f"a{i}": np.ones(1) for i in range(9)}
    with pytest.raises(ValueError, match="'a4' and 4 more"):
        nn.Linear(1, 1).load_state_dict(state)
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        layer.load_state_dict({"weight": np.ones((1, 1))})


def test_not_strict_loads_what_both_have():
    layer = nn.Linear(2, 1)
    result = layer.load_state_dict({"weight": np.ones((1, 2)), "more": np.ones(1)}, strict=False)
    assert result.missing == ["bias"]
    assert result.unexpected == ["more"]
    assert (layer.weight.data == 1).all()
    with pytest.raises(ValueError, match="weight must have shape"):
        layer.load_state_dict({"weight": np.ones(3)}, strict=False)


def test_to_changes_parameters_and_buffers():
    net = small_net()
    net(small_batch())
    net.backward(np.ones((4, 4), np.float32))
    assert net.dtype == np.float32
    net.to("float64")
    assert net.dtype == np.float64
    state = net.state_dict()
    assert {v.dtype for k, v in state.items() if "tracked" not in k} == {np.dtype(np.float64)}
    assert state["1.num_batches_tracked"].dtype == np.int64
    assert all(p.grad is None for p in net.parameters())
    assert net(small_batch().astype(np.float64)).dtype == np.float64
    for dtype in (np.float16, np.int64, complex):
        with pytest.raises(TypeError, match="float32 or float64"):
            net.to(dtype)


def test_a_network_of_the_other_type_is_refused():
    with pytest.raises(TypeError, match=r"Sequential: layer 0 \(Conv2d\).*float"):
        small_net()(small_batch().astype(np.float64))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_go_on_alone_and_alike(duplicate):
    net, x = small_net(), small_batch()
    net(x)
    net.backward(np.ones((4, 4), np.float32))
    net(x)
    twin = duplicate(net)
    same(net.state_dict(), twin.state_dict())
    assert all(m._saved is None for m in twin.modules())
    assert all(p.grad is None for p in twin.parameters())
    np.testing.assert_array_equal(net(x), twin(x))  # the dropout masks too
    twin.state_dict(copy=False)["0.weight"][...] = 0
    assert net.state_dict()["0.weight"].any()
    assert repr(twin) == repr(net)
    assert twin.eval()(x).shape == (4, 4)


def test_pickle_carries_no_activations():
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())
    size = len(pickle.dumps(net))
    net(np.ones((8, 1, 64, 64), np.float32))
    assert abs(len(pickle.dumps(net)) - size) < 100


def test_random_states_bring_back_the_masks():
    net, x = nn.Sequential(nn.Dropout(rng=0), nn.Sequential(nn.Dropout(rng=1))), np.ones((3, 50))
    states = net.rng_states()
    assert list(states) == ["0.rng", "1.0.rng"]
    first, then = net(x), net(x)
    assert (first != then).any()
    net.load_rng_states(states)
    np.testing.assert_array_equal(net(x), first)
    np.testing.assert_array_equal(net(x), then)


def test_random_states_survive_json():
    import json

    net = nn.Dropout(rng=3)
    states = json.loads(json.dumps(net.rng_states()))
    x = np.ones(40)
    y = net(x)
    net.load_rng_states(states)
    np.testing.assert_array_equal(net(x), y)


def test_wrong_random_states_change_nothing():
    net = nn.Sequential(nn.Dropout(rng=0), nn.Dropout(rng=1))
    good = net.rng_states()
    for bad in (
        {},
        {**good, "x": good["0.rng"]},
        {**good, "1.rng": {"bit_generator": "MT19937"}},
        {**good, "1.rng": {}},
    ):
        changed = {key: copy.deepcopy(value) for key, value in bad.items()}
        if "0.rng" in changed:
            changed["0.rng"] = nn.Dropout(rng=9).rng_states()["rng"]
        with pytest.raises(ValueError, match="load_rng_states"):
            net.load_rng_states(changed)
        assert net.rng_states() == good


def test_a_module_of_ones_own_says_what_it_lacks():
    module = nn.Module()
    for call in (module, module.backward, module.output_shape):
        with pytest.raises(NotImplementedError, match="Module has no"):
            call()
    assert module.multiply_adds((1,)) == 0
    assert repr(module) == "Module()"
    layer = nn.Layer()
    with pytest.raises(NotImplementedError, match="Layer has no _forward"):
        layer(np.ones(1))
    with pytest.raises(NotImplementedError, match="Layer has no _backward"):
        layer._backward(np.ones(1), None, True)


def test_train_takes_a_bool_and_reaches_all():
    net = small_net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())
    with pytest.raises(TypeError, match="mode must be True or False"):
        net.train("eval")


@pytest.mark.parametrize(
    "layer",
    [
        nn.ReLU(),
        nn.Sigmoid(),
        nn.MaxPool2d(2),
        nn.AdaptiveMaxPool2d(2),
        nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(2),
        nn.LPPool2d(2, 2),
        nn.LocalResponseNorm(2),
        nn.BatchNorm2d(1, affine=False),
        nn.BatchNorm2d(1, affine=False, momentum=None, track_running_stats=False),
        nn.Dropout(),
        nn.Flatten(),
        nn.Softmax(),
        nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)),
    ],
)
def test_a_layer_without_parameters_has_nothing_to_do_without_input_gradient(layer):
    y = layer(np.random.default_rng(0).normal(size=(2, 1, 4, 4)).astype(np.float32))
    assert layer.backward(np.ones_like(y), needs_input_grad=False) is None
    assert all(module._saved is None for module in layer.modules())


def test_indices_are_counted_and_wide_windows_get_wide_ones():
    assert nn.MaxPool2d(2, return_indices=True).summary((1, 1, 4, 4)).kept_bytes == 8 * 4
    assert nn.MaxPool2d(16).summary((1, 1, 16, 16)).kept_bytes == 8
    assert nn.AdaptiveMaxPool2d(2, return_indices=True).summary((1, 1, 4, 4)).kept_bytes == 8 * 4
    pool = nn.MaxPool2d(2)
    pool(np.ones((1, 1, 4, 4), np.float32))
    assert pool._saved[0][1].dtype == np.uint8
    assert nn.MaxUnpool2d(2).summary((1, 1, 2, 2), (1, 1, 2, 2)).kept_bytes == 8 * 4
