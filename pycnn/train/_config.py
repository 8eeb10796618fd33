"""`TrainConfig`: everything that decides how a run goes, in one value that JSON can hold."""

import dataclasses
import json
import math
import operator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from pycnn._config import MAX_THREADS
from pycnn.data import AUGMENTATIONS
from pycnn.optim import OPTIMIZERS, SCHEDULES

_MOST = 2**63 - 1
_FREE = ("threads", "data")  # what may change between the parts of one run: neither changes a bit of the result


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of a training run. Equal settings on equal data give equal weights, bit for bit.

    Parameters
    ----------
    model : str
        Name of a bundled network (a key of ``pycnn.models.REGISTRY``); a label where `Trainer` gets a network.
    epochs : int
        How often the training images are gone through, >= 1.
    batch_size : int
        Images a step, >= 1.
    lr : float
        Learning rate, > 0; the highest one where the schedule changes it.
    optimizer : {"sgd", "adam", "adamw"}
        SGD has Nesterov momentum 0.9.
    schedule : {"constant", "step", "cosine", "one-cycle"}
        How the rate goes over the run: level; to a tenth after each third; in half a cosine wave to 0; up and down.
    augment : str
        Name of an augmentation in ``pycnn.data.AUGMENTATIONS``.
    weight_decay, label_smoothing : float
        At least 0; smoothing below 1.
    seed : int
        Decides initial weights, order of the images, augmentation and dropout; >= 0.
    threads : int or None
        Most threads to compute with, 1 to 256; None: all that the process may use. Has no influence on the result.
    data : str or None
        Where the data set lies on disk; None: the bundled digits, or arrays from elsewhere.
    image_size : int or None
        Height and width that image files were resized to; None: the size they have.

    Raises
    ------
    ValueError
        A value out of range or an unknown name; the message lists the choices.
    TypeError
        A value of another type.

    Examples
    --------
    >>> config = TrainConfig(model="lenet", epochs=3, lr=0.01)
    >>> TrainConfig.from_json(config.to_json()) == config
    True
    """

    model: str = "vgg-small"
    epochs: int = 10
    batch_size: int = 64
    lr: float = 1e-3
    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    augment: str = "none"
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    seed: int = 0
    threads: int | None = None
    data: str | None = None
    image_size: int | None = None

    def __post_init__(self) -> None:
        _text("model", self.model)
        if self.data is not None:
            _text("data", self.data)
        for name, low in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            object.__setattr__(self, name, _integer(name, getattr(self, name), low))
        for name, most in (("threads", MAX_THREADS), ("image_size", _MOST)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _integer(name, getattr(self, name), 1, most))
        for name, high in (("lr", math.inf), ("weight_decay", math.inf), ("label_smoothing", 1.0)):
            object.__setattr__(self, name, _real(name, getattr(self, name), high))
        if self.lr == 0:
            raise ValueError("TrainConfig: lr must be > 0, got 0.0")
        _choice("optimizer", self.optimizer, tuple(OPTIMIZERS))
        _choice("schedule", self.schedule, tuple(SCHEDULES))
        _choice("augment", self.augment, tuple(AUGMENTATIONS))

    def to_json(self) -> str:
        """Return the settings as one JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Make the settings that `to_json` wrote; ValueError for anything else."""
        try:
            values = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"TrainConfig: not JSON: {error}") from None
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Make settings from a mapping of names to values; settings that are left out get their default."""
        if not isinstance(values, dict):
            raise ValueError(f"TrainConfig: settings must be a JSON object, got {type(values).__name__}")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(str(key) for key in values if key not in known)
        if unknown:
            raise ValueError(
                f"TrainConfig: unknown settings {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        return cls(**values)

    def check_same_run(self, other: "TrainConfig") -> None:
        """Raise ValueError, naming the setting, unless `other` can go on with a run of these settings.

        All settings must be equal, except `threads` and `data`, which have no influence on the result.
        """
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if field.name not in _FREE and mine != theirs:
                raise ValueError(
                    f"resume: the run was begun with {field.name} {mine!r} and cannot go on with {theirs!r}"
                )


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"TrainConfig: {name} must be a string, got {value!r}")
    if not value:
        raise ValueError(f"TrainConfig: {name} must not be empty")


def _integer(name: str, value: Any, low: int, high: int = _MOST) -> int:
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"TrainConfig: {name} must be an integer, got {value!r}") from None
    if not low <= number <= high:
        most = "< 2**63" if high == _MOST else f"<= {high}"
        raise ValueError(f"TrainConfig: {name} must be >= {low}{f' and {most}' if number >= low else ''}, got {number}")
    return number


def _real(name: str, value: Any, high: float) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"TrainConfig: {name} must be a number, got {value!r}")
    number = float(value)
    if not (math.isfinite(number) and 0 <= number < high):
        rule = ">= 0" if high == math.inf else f"in [0, {high:g})"
        raise ValueError(f"TrainConfig: {name} must be finite and {rule}, got {value!r}")
    return number


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"TrainConfig: {name} must be one of {', '.join(choices)}, got {value!r}")
