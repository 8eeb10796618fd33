"""Initial values."""

import math

import numpy as np
import pytest

from pycnn import nn
from pycnn.nn import init

SHAPE = (64, 32, 3, 3)


def filled(name, *args, **kwargs):
    parameter = nn.Parameter(np.empty(SHAPE, np.float32))
    assert init.get(name)(parameter, *args, **kwargs) is parameter
    return parameter.data


@pytest.mark.parametrize(
    ("name", "kwargs", "std"),
    [
        ("kaiming_uniform", {"nonlinearity": "relu"}, math.sqrt(2 / 288)),
        ("kaiming_normal", {"nonlinearity": "relu"}, math.sqrt(2 / 288)),
        ("kaiming_normal", {"mode": "fan_out", "nonlinearity": "tanh"}, 5 / 3 / math.sqrt(576)),
        ("kaiming_normal", {"a": 1.0}, math.sqrt(1 / 288)),
        ("xavier_uniform", {}, math.sqrt(2 / 864)),
        ("xavier_normal", {"gain": 2.0}, 2 * math.sqrt(2 / 864)),
        ("normal", {"std": 0.3}, 0.3),
        ("uniform", {"low": -1.0}, 1 / math.sqrt(3)),
    ],
)
def test_spread_is_that_of_the_formula(name, kwargs, std):
    values = filled(name, rng=0, **kwargs)
    assert values.std() == pytest.approx(std, rel=0.03)
    assert abs(values.mean()) < 0.03 * max(std, 0.1) + 0.001
    np.testing.assert_array_equal(values, filled(name, rng=0, **kwargs))
    assert (values != filled(name, rng=1, **kwargs)).any()


def test_constants():
    assert (filled("zeros") == 0).all()
    assert (filled("ones") == 1).all()
    assert (filled("constant", 2.5) == 2.5).all()
    array = np.empty(3)
    assert init.ones(array) is array
    assert (array == 1).all()


def test_torch_agrees_on_the_numbers_behind():
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    tensor = torch.empty(SHAPE)
    assert init.fans(SHAPE) == torch.nn.init._calculate_fan_in_and_fan_out(tensor)
    for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu"):
        want = torch.nn.init.calculate_gain(name, 0.2 if name == "leaky_relu" else None)
        assert init.gain(name, 0.2) == pytest.approx(want)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda p: init.kaiming_normal(p, mode="fan_avg"),
            "mode must be one of 'fan_in', 'fan_out', got 'fan_avg'",
        ),
        (
            lambda p: init.kaiming_normal(p, nonlinearity="selu"),
            "nonlinearity must be one of .*'relu'.* got 'selu'",
        ),
        (lambda p: init.uniform(p, 1, 0), "low must be <= high"),
        (lambda p: init.normal(p, std=-1), "std must be finite and >= 0, got -1"),
        (lambda p: init.xavier_normal(nn.Parameter(np.ones(3))), "at least two axes"),
    ],
)
def test_bad_arguments_change_nothing(call, message):
    parameter = nn.Parameter(np.ones((2, 2)))
    with pytest.raises(ValueError, match=message):
        call(parameter)
    assert (parameter.data == 1).all()


def test_the_same_seed_gives_the_same_network():
    nets = [nn.Conv2d(2, 3, 3, rng=7).state_dict() for _ in range(2)]
    for key in nets[0]:
        np.testing.assert_array_equal(nets[0][key], nets[1][key])
    assert (nn.Conv2d(2, 3, 3).weight.data != nets[0]["weight"]).any()
