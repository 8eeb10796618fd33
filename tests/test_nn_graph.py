"""Graph: branches, several inputs and outputs, names, cycles, memory."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

from pycnn import nn


def residual(seed=0):
    rng = np.random.default_rng(seed)
    net = nn.Graph()
    x = net.input("x")
    net.add("conv1", nn.Conv2d(2, 3, 3, padding=1, rng=rng, dtype=np.float64), x)
    net.add("bn1", nn.BatchNorm2d(3, dtype=np.float64))
    a = net.add("relu", nn.ReLU())
    b = net.add("branch.conv", nn.Conv2d(3, 3, 3, padding=1, rng=rng, dtype=np.float64), a)
    s = net.add("add", nn.Add(), a, b)
    net.add("cat", nn.Concat(), s, x, a)
    net.add("flatten", nn.Flatten())
    net.output(net.add("fc", nn.Linear(8 * 16, 4, rng=rng, dtype=np.float64)))
    return net


def test_branches_compute_what_they_say():
    net, x = residual(), np.random.default_rng(1).normal(size=(3, 2, 4, 4))
    net.eval()
    a = net["relu"](net["bn1"](net["conv1"](x)))
    joined = np.concatenate([a + net["branch.conv"](a), x, a], 1)
    np.testing.assert_array_equal(net(x), net["fc"](joined.reshape(3, -1)))
    assert net.output_shape((3, 2, 4, 4)) == (3, 4)


def test_parameter_keys_are_node_names():
    keys = list(residual().state_dict())
    assert keys[:4] == ["conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias"]
    assert "branch.conv.weight" in keys
    assert keys[-1] == "fc.bias"


def test_gradients_of_a_value_used_twice_add_up():
    net = nn.Graph()
    x = net.input()
    net.add("sum", nn.Add(), x, x, x)
    dy = np.array([1.0, 2.0])
    net(np.ones(2))
    np.testing.assert_array_equal(net.backward(dy), [3.0, 6.0])
    np.testing.assert_array_equal(dy, [1.0, 2.0])


def test_sums_of_gradients_do_not_touch_each_other():
    # x goes to four nodes, and Add hands the same array to both of its inputs.
    net = nn.Graph()
    x = net.input()
    a = net.add("a", nn.Identity(), x)
    b = net.add("b", nn.Identity(), x)
    c = net.add("c", nn.Add(), a, b)
    d = net.add("d", nn.Add(), c, a)
    e = net.add("e", nn.Add(), d, x)
    net.output(e, c)
    net(np.ones(2))
    dy = np.array([1.0, 10.0])
    np.testing.assert_array_equal(net.backward(dy, np.array([1.0, 1.0])), 4 * dy + 2)
    np.testing.assert_array_equal(dy, [1.0, 10.0])


def test_without_input_gradient_parameters_get_the_same():
    x, dy = np.random.default_rng(1).normal(size=(3, 2, 4, 4)), np.ones((3, 4))
    grads = []
    for needs in (True, False):
        net = residual()
        net(x)
        assert (net.backward(dy, needs_input_grad=needs) is not None) == needs
        grads.append({name: p.grad for name, p in net.named_parameters()})
        assert all(m._saved is None for m in net.modules())
    for name, grad in grads[0].items():
        np.testing.assert_array_equal(grad, grads[1][name])


def test_first_layer_is_not_asked_for_its_input_gradient():
    asked = []

    class Spy(nn.Linear):
        def backward(self, grad_output, *, needs_input_grad=True):
            asked.append(needs_input_grad)
            return super().backward(grad_output, needs_input_grad=needs_input_grad)

    net = nn.Graph()
    net.add("tanh", nn.Tanh(), net.input())
    net.add("one", Spy(2, 2))
    net.add("two", Spy(2, 2))
    net(np.ones((1, 2), np.float32))
    net.backward(np.ones((1, 2), np.float32), needs_input_grad=False)
    assert asked == [True, False]
    chain = nn.Sequential(nn.Tanh(), Spy(2, 2), Spy(2, 2))
    chain(np.ones((1, 2), np.float32))
    chain.backward(np.ones((1, 2), np.float32), needs_input_grad=False)
    assert asked == [True, False] * 2


def test_several_inputs_and_outputs():
    net = nn.Graph()
    a, b = net.input("a"), net.input("b")
    c = net.add("left", nn.Linear(2, 2, rng=0, dtype=np.float64), a)
    d = net.add("sum", nn.Add(), c, b)
    net.output(d, c, b)
    x, z = np.ones((1, 2)), np.full((1, 2), 3.0)
    y, left, same = net(x, z)
    np.testing.assert_array_equal(y, left + z)
    assert same is z
    assert net.output_shape((1, 2), (1, 2)) == ((1, 2),) * 3
    da, db = net.backward(np.ones((1, 2)), None, np.ones((1, 2)))
    np.testing.assert_array_equal(db, [[2.0, 2.0]])
    np.testing.assert_allclose(da, net["left"].weight.data.sum(0)[None])
    with pytest.raises(ValueError, match=r"takes 2 inputs \(a, b\), got 1"):
        net(x)
    net(x, z)
    with pytest.raises(ValueError, match="backward takes 3 gradients"):
        net.backward(x)


def test_a_graph_can_be_a_node():
    inner = nn.Graph()
    x = inner.input()
    a = inner.add("a", nn.Linear(2, 2, rng=0), x)
    inner.output(a, inner.add("b", nn.Tanh(), a))
    net = nn.Graph()
    net.add("inner", inner, net.input())
    net.output(net.add("sum", nn.Add(), "inner", ("inner", 1)))
    x = np.ones((1, 2), np.float32)
    a = inner["a"].eval()(x)
    inner["a"].train()
    np.testing.assert_allclose(net(x), a + np.tanh(a), rtol=1e-6)
    assert net.backward(x).shape == (1, 2)
    assert list(net.state_dict()) == ["inner.a.weight", "inner.a.bias"]
    assert [row.name for row in net.summary((1, 2)).rows] == ["inner.a", "inner.b", "sum"]
    assert "(sum): Add() <- inner, inner[1]" in repr(net)


def test_pooling_indices_feed_unpooling():
    net = nn.Graph()
    pool = net.add("pool", nn.MaxPool2d(2, return_indices=True), net.input())
    net.add("up", nn.MaxUnpool2d(2), pool, (pool, 1))
    x = np.random.default_rng(0).normal(size=(1, 2, 4, 4))
    y = net(x)
    winners = y != 0
    np.testing.assert_array_equal(y[winners], x[winners])
    np.testing.assert_array_equal(net.backward(np.ones_like(x)), winners.astype(float))
    assert net.output_shape(x.shape) == x.shape


def test_nodes_that_no_output_needs_do_not_run():
    class Fails(nn.Identity):
        def _forward(self, x, training):
            raise AssertionError

    net = nn.Graph()
    x = net.input()
    a = net.add("a", nn.Tanh(), x)
    net.add("unused", Fails(), x)
    net.output(a)
    net(np.ones(2))
    assert net.backward(np.ones(2)).shape == (2,)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_compute_the_same(duplicate):
    net, x = residual(), np.random.default_rng(1).normal(size=(3, 2, 4, 4))
    net(x)
    twin = duplicate(net)
    np.testing.assert_array_equal(net.eval()(x), twin.eval()(x))
    twin.add("more", nn.Tanh())
    assert len(net.nodes) == len(twin.nodes) - 1
    with pytest.raises(ValueError, match="same object as 'conv1'"):
        twin.add("again", twin["conv1"])


def test_values_are_dropped_when_nobody_needs_them():
    alive = []

    class Watch(nn.Layer):
        def _forward(self, x, training):
            gc.collect()
            alive.append(sum(ref() is not None for ref in refs))
            y = x + 1
            refs.append(weakref.ref(y))
            return y, None

    refs = []
    net = nn.Graph()
    net.input()
    for i in range(5):
        net.add(f"n{i}", Watch())
    net.eval()
    net(np.ones(3))
    assert max(alive) == 1  # the input of the node that runs


def test_names_are_checked():
    net = nn.Graph()
    with pytest.raises(ValueError, match="'a' has no inputs"):
        net.add("a", nn.ReLU())
    with pytest.raises(ValueError, match="at least one input and one node"):
        net(np.ones(1))
    net.input("x")
    net.add("a", nn.ReLU())
    for name in ("x", "a"):
        with pytest.raises(ValueError, match=f"the name '{name}' is taken"):
            net.add(name, nn.ReLU())
        with pytest.raises(ValueError, match=f"the name '{name}' is taken"):
            net.input(name)
    with pytest.raises(ValueError, match="not empty"):
        net.add("", nn.ReLU())
    with pytest.raises(ValueError, match="node 'b': unknown input 'c'; known are 'x', 'a'"):
        net.add("b", nn.ReLU(), "c")
    with pytest.raises(ValueError, match="node 'b': unknown input 'b'"):
        net.add("b", nn.ReLU(), "b")
    with pytest.raises(ValueError, match="output: unknown input 'q'"):
        net.output("q")
    with pytest.raises(ValueError, match="at least one name"):
        net.output()
    with pytest.raises(TypeError, match="node 'b' must be a Module, got str"):
        net.add("b", "add", "a")
    with pytest.raises(ValueError, match=r"node 'b' \(ReLU\) is the same object as 'a'"):
        net.add("b", net["a"], "a")
    assert [node.name for node in net.nodes] == ["a"]
    assert net.inputs == ("x",)
    assert net.outputs == (("a", 0),)


def test_state_keys_do_not_clash():
    net = nn.Graph()
    net.add("a", nn.Sequential({"b": nn.Linear(1, 1)}), net.input())
    with pytest.raises(ValueError, match=r"state key 'a.b.bias' already"):
        net.add("a.b", nn.Linear(1, 1))


def test_nodes_in_any_order_are_sorted():
    nodes = {
        "c": (nn.Add(), ["a", "b"]),
        "b": (nn.Tanh(), ["a"]),
        "a": (nn.ReLU(), ["x"]),
    }
    net = nn.Graph.from_nodes(["x"], nodes, ["c"])
    assert [node.name for node in net.nodes] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="node 'b': unknown input 'z'"):
        nn.Graph.from_nodes(["x"], {"b": (nn.ReLU(), ["z"])}, ["b"])


@pytest.mark.parametrize("inputs", [["b"], ["a"]])
def test_a_cycle_is_named(inputs):
    nodes = {"a": (nn.ReLU(), inputs), "b": (nn.ReLU(), ["a"])}
    with pytest.raises(ValueError, match=r"Graph: node '[ab]' is part of a cycle: "):
        nn.Graph.from_nodes(["x"], nodes, ["b"])


def test_errors_name_the_node():
    net = residual()
    with pytest.raises(ValueError, match=r"Graph: node 'fc' \(Linear\): expects 128 features, got 288"):
        net.output_shape((1, 2, 6, 6))
    with pytest.raises(ValueError, match=r"Graph: node 'conv1' \(Conv2d\)"):
        net(np.ones((1, 3, 4, 4)))
    with pytest.raises(ValueError, match=r"Graph: node 'fc'"):
        net.summary((1, 2, 6, 6))


def test_backward_follows_forward():
    net, x = residual(), np.random.default_rng(1).normal(size=(3, 2, 4, 4))
    dy = np.ones((3, 4))
    with pytest.raises(RuntimeError, match="Graph: backward before forward"):
        net.backward(dy)
    net(x)
    net["relu"].eval()
    with pytest.raises(RuntimeError, match=r"node relu \(ReLU\) is in eval\(\) mode"):
        net.backward(dy)
    assert all(p.grad is None for p in net.parameters())
    net.eval()
    with pytest.raises(RuntimeError, match=r"Graph: backward in eval\(\) mode"):
        net.backward(dy)
