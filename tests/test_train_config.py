"""Settings: their checks, and the way through JSON."""

import dataclasses
import json

import numpy as np
import pytest

from pycnn import data, models
from pycnn.train import TrainConfig, default_config


def test_json_round_trip():
    config = TrainConfig(model="lenet", epochs=7, batch_size=3, lr=0.1 + 0.2, optimizer="sgd", schedule="cosine",
                         augment="shift", weight_decay=1e-4, label_smoothing=0.1, seed=2**62, threads=3, data="/tmp/x",
                         image_size=16)  # fmt: skip
    assert TrainConfig.from_json(config.to_json()) == config


def test_numpy_scalars_become_python_numbers():
    config = TrainConfig(epochs=np.int64(3), lr=np.float32(0.5))
    assert type(config.epochs) is int and type(config.lr) is float
    assert json.loads(config.to_json())["lr"] == 0.5


def test_settings_left_out_get_their_default():
    assert TrainConfig.from_json('{"epochs": 2}') == TrainConfig(epochs=2)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"epochs": 0}, ValueError, "epochs must be >= 1, got 0"),
        ({"epochs": 2.0}, TypeError, "epochs must be an integer, got 2.0"),
        ({"epochs": True}, TypeError, "epochs must be an integer, got True"),
        ({"batch_size": -1}, ValueError, "batch_size must be >= 1"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
        ({"seed": 2**63}, ValueError, "seed must be >= 0 and < 2"),
        ({"threads": 0}, ValueError, "threads must be >= 1"),
        ({"threads": 257}, ValueError, "threads must be >= 1 and <= 256, got 257"),
        ({"lr": 0}, ValueError, "lr must be > 0"),
        ({"lr": -0.1}, ValueError, "lr must be finite and >= 0, got -0.1"),
        ({"lr": float("nan")}, ValueError, "lr must be finite"),
        ({"lr": float("inf")}, ValueError, "lr must be finite"),
        ({"lr": "0.1"}, TypeError, "lr must be a number"),
        ({"weight_decay": -1}, ValueError, "weight_decay must be"),
        ({"label_smoothing": 1.0}, ValueError, r"label_smoothing must be finite and in \[0, 1\), got 1.0"),
        ({"optimizer": "sdg"}, ValueError, "optimizer must be one of sgd, adam, adamw, got 'sdg'"),
        ({"schedule": "cos"}, ValueError, "schedule must be one of constant, step, cosine, one-cycle"),
        ({"augment": "mirror"}, ValueError, "augment must be one of none"),
        ({"model": ""}, ValueError, "model must not be empty"),
        ({"model": 3}, TypeError, "model must be a string"),
        ({"data": 3}, TypeError, "data must be a string"),
    ],
)
def test_bad_settings(settings, error, words):
    with pytest.raises(error, match=words):
        TrainConfig(**settings)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"epoch": 3}', '{"lr": 0}', "[" * 100_000])
def test_bad_json(text):
    with pytest.raises(ValueError, match="TrainConfig"):
        TrainConfig.from_json(text)


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().lr = 1.0


def test_defaults_suit_the_data():
    def config(shape, **given):
        x, y = np.zeros((2, *shape), np.uint8), np.array([0, 1])
        return default_config(data.Dataset(x, y, x, y, ("a", "b"), "some"), **given)

    for shape in ((1, 8, 8), (1, 28, 28), (3, 32, 32)):
        chosen = config(shape)
        assert chosen.model in models.REGISTRY
        assert chosen.epochs <= 20
    assert config((1, 8, 8), lr=0.5, epochs=None).lr == 0.5
    with pytest.raises(ValueError, match="unknown settings rate"):
        config((1, 8, 8), rate=1)
