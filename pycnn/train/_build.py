"""From the names in a `TrainConfig` to a network, an optimiser and a schedule."""

import numpy as np

from pycnn import models, optim
from pycnn.nn import Module
from pycnn.train._config import TrainConfig

_MOMENTUM = 0.9


def network(name: str, input_shape: tuple[int, ...], num_classes: int, seed: int) -> Module:
    """Return the bundled network `name` for images (C, H, W), with the initial weights of `seed`.

    Raises
    ------
    ValueError
        Unknown name, or a network that cannot take such images.
    """
    if name not in models.REGISTRY:
        raise ValueError(f"train: model must be one of {', '.join(models.REGISTRY)}, got {name!r}")
    channels, height, width = input_shape
    if height != width:
        raise ValueError(f"train: the bundled networks take square images, got {height}x{width}")
    return models.REGISTRY[name](
        in_channels=channels, num_classes=num_classes, input_size=height, rng=np.random.default_rng(seed)
    )


def optimizer(config: TrainConfig, model: Module) -> optim.Optimizer:
    """Return the optimiser of a run. Weight decay leaves out biases and the vectors of batch normalisation."""
    options = {"lr": config.lr, "weight_decay": config.weight_decay, "decay_1d": False}
    if config.optimizer == "sgd":
        options |= {"momentum": _MOMENTUM, "nesterov": True}
    return optim.make_optimizer(config.optimizer, model.parameters(), **options)


def schedule(config: TrainConfig, steps_per_epoch: int) -> optim.Schedule:
    """Return the learning rate of each step of a run."""
    total = config.epochs * steps_per_epoch
    if config.schedule == "step":
        return optim.StepLR(config.lr, step_size=max(1, -(-total // 3)))
    if config.schedule == "cosine":
        return optim.CosineLR(config.lr, total_steps=total, warmup_steps=total // 20)
    if config.schedule == "one-cycle":
        return optim.OneCycleLR(config.lr, total_steps=max(total, 2))
    return optim.ConstantLR(config.lr)
