"""A network, images and settings small enough to train a hundred times in a test."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import pycnn
from pycnn import nn
from pycnn.train import Callback, TrainConfig, Trainer

CONFIG = TrainConfig(model="tiny", epochs=3, batch_size=8, lr=0.02, augment="flip-shift", weight_decay=0.01, seed=5)

# A child process finds the pycnn that this one uses, wherever that lies and whatever its working directory is.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pycnn.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}


def images(count=29, seed=0):
    """Bright and dark images and one class each; the last batch of an epoch is smaller."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    x = rng.integers(0, 160, (count, 1, 6, 6)) + 90 * y[:, None, None, None]
    return x.astype(np.uint8), y


def network(seed=0):
    """Batch normalisation and dropout: both keep a state besides the weights."""
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=rng),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(36, 2, rng=rng),
    )


def trainer(config=CONFIG, **options):
    x, y = images()
    options.setdefault("model", network())
    return Trainer(config, x, y, **options)


class StopAt(Callback):
    """Behaves at a step of the run as Ctrl-C does."""

    def __init__(self, step):
        self.step = step

    def on_step(self, trainer, result):
        if result.step == self.step:
            trainer._remember()


def assert_same_run(one, other):
    """Two trainers are at the same point, bit for bit; only times may differ."""
    first, second = (trainer.state_dict() for trainer in (one, other))
    for part in ("model", "optimizer"):
        assert first[part].keys() == second[part].keys()
        for name, value in first[part].items():
            np.testing.assert_array_equal(value, second[part][name], err_msg=f"{part} {name}")
    assert first["rng"] == second["rng"]
    assert [without_times(row) for row in first["history"]] == [without_times(row) for row in second["history"]]


def without_times(row):
    return {name: value for name, value in row.items() if name not in ("seconds", "images_per_second")}


def pycnn_command(*arguments, cwd, timeout=120, **env):
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pycnn_command", *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT | env,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
