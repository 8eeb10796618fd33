"""A run folder: what `pycnn train` leaves, and what evaluating, predicting and resuming need of it.

==================  ==================================================================================
config.json         settings, data set, classes, normalisation, result
checkpoint.npz      the run at rest: all that resuming needs
history.csv         a line an epoch
model.safetensors   the weights (``model.npz`` where the safetensors package is missing)
report.png          learning curves, confusion matrix, worst mistakes, first filters (needs matplotlib)
==================  ==================================================================================
"""

import dataclasses
import importlib.util
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

import pycnn
from pycnn.data import Dataset
from pycnn.io import atomic_write, load_into, save
from pycnn.nn import Module
from pycnn.train import _build
from pycnn.train._config import TrainConfig
from pycnn.train._evaluate import Evaluation, evaluate, predict_proba

Array = npt.NDArray[Any]

CONFIG, CHECKPOINT, HISTORY, REPORT = "config.json", "checkpoint.npz", "history.csv", "report.png"
MODELS = ("model.safetensors", "model.npz")
_LARGEST_CONFIG = 64 << 20


@dataclass(frozen=True)
class Run:
    """A finished or begun run on disk.

    Parameters
    ----------
    path : Path
        The folder.
    config : TrainConfig
    data_name : str
    classes : tuple of str
    input_shape : tuple of int
        (C, H, W).
    mean, std : tuple of float
        Of each channel of the training images.
    unit : float
        What full brightness is in the training images: 255, or 1 where they are floats up to 1.
    result : dict
        Test accuracy and so on, once the run is finished.

    Examples
    --------
    ``Run.open("runs/digits-vgg-small-1").predict_proba(images)``
    """

    path: Path
    config: TrainConfig
    data_name: str
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    unit: float
    result: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def describing(
        cls,
        path: str | os.PathLike[str],
        config: TrainConfig,
        data: Dataset,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> Self:
        """Return the description of a run of `config` on `data`; nothing is written."""
        unit = 255.0 if data.x_train.dtype == np.uint8 or data.x_train.max() > 1 else 1.0
        return cls(Path(path), config, data.name, data.classes, data.input_shape, mean, std, unit)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Read the description of the run in a folder.

        Raises
        ------
        ValueError
            The folder's config.json is damaged.
        OSError
            There is none.
        """
        file = Path(path) / CONFIG
        if not file.is_file():
            raise FileNotFoundError(2, "not a run folder (it has no config.json)", os.fspath(path))
        if file.stat().st_size > _LARGEST_CONFIG:
            raise ValueError(f"{file}: too large for the description of a run")
        try:
            content = json.loads(file.read_text("utf-8"))
            return cls._from_json(Path(path), content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"{file}: damaged description of a run: {what}") from None

    @classmethod
    def _from_json(cls, path: Path, content: Any) -> Self:
        data = content["data"]
        shape, mean, std = (tuple(data[name]) for name in ("input_shape", "mean", "std"))
        if len(shape) != 3 or not all(type(n) is int and n >= 1 for n in shape):
            raise ValueError(f"input_shape must be three sizes, got {shape}")
        if len(mean) != shape[0] or len(std) != shape[0]:
            raise ValueError(f"mean and std must have {shape[0]} values, got {len(mean)} and {len(std)}")
        numbers = (*mean, *std, data["unit"])
        if not all(type(v) in (int, float) and math.isfinite(v) for v in numbers) or min(*std, data["unit"]) <= 0:
            raise ValueError("mean, std and unit must be finite numbers, std and unit > 0")
        classes = data["classes"]
        if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
            raise ValueError("classes must be a list of names")
        if not isinstance(content["result"], dict):
            raise ValueError("result must be an object")
        config = TrainConfig.from_dict(content["settings"])
        return cls(path, config, str(data["name"]), tuple(classes), shape, mean, std, data["unit"], content["result"])

    def write(self) -> None:
        """Write config.json."""
        content = {
            "pycnn": pycnn.__version__,
            "settings": dataclasses.asdict(self.config),
            "data": {
                "name": self.data_name,
                "classes": self.classes,
                "input_shape": self.input_shape,
                "mean": self.mean,
                "std": self.std,
                "unit": self.unit,
            },
            "result": self.result,
        }
        with atomic_write(self.path / CONFIG, "w") as file:
            file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint lies."""
        return self.path / CHECKPOINT

    def save_model(self, model: Module) -> Path:
        """Write the weights, as ``.safetensors`` where that package is installed; return the path."""
        name = MODELS[0] if importlib.util.find_spec("safetensors") else MODELS[1]
        notes = {"model": self.config.model, "classes": json.dumps(self.classes, ensure_ascii=False)}
        save(model, self.path / name, notes)
        for other in MODELS:  # one that an older run of the same folder left would be the wrong one
            if other != name:
                (self.path / other).unlink(missing_ok=True)
        return self.path / name

    def load_model(self) -> Module:
        """Return the network with its trained weights, in evaluation mode.

        Raises
        ------
        ValueError, OSError
            The file is missing, damaged or of another network.
        ImportError
            The weights are a ``.safetensors`` file and the package is missing.
        """
        files = [self.path / name for name in MODELS if (self.path / name).is_file()]
        if not files:
            raise FileNotFoundError(2, "the run has no model yet; finish it with pycnn train --resume", str(self.path))
        model = _build.network(self.config.model, self.input_shape, len(self.classes), 0)
        load_into(model, files[0])
        return model.eval()

    def predict_proba(self, x: Array) -> Array:
        """Return the probability of each class for raw images of shape (N, C, H, W)."""
        self._check_images(x)
        return predict_proba(self.load_model(), x, self.mean, self.std)

    def evaluate(self, data: Dataset) -> Evaluation:
        """Run the network over the test part of a data set; its classes are found by name.

        Raises
        ------
        ValueError
            The images have another shape, or a class is unknown to the run.
        """
        self._check_images(data.x_test)
        return evaluate(self.load_model(), data.x_test, self.labels_of(data), self.mean, self.std)

    def labels_of(self, data: Dataset) -> npt.NDArray[np.int64]:
        """Return the test labels of a data set as this run counts its classes."""
        numbered = tuple(str(number) for number in range(data.num_classes))
        if data.classes == self.classes or (data.classes == numbered and len(numbered) <= len(self.classes)):
            return data.y_test
        unknown = [name for name in data.classes if name not in self.classes]
        if unknown:
            raise ValueError(f"{data.name}: the run knows no class {unknown[0]!r}; it knows {_some(self.classes)}")
        return np.array([self.classes.index(name) for name in data.classes], np.int64)[data.y_test]

    def _check_images(self, x: Array) -> None:
        if x.ndim != 4 or x.shape[1:] != self.input_shape:
            raise ValueError(
                f"the run takes images of shape (N, {', '.join(map(str, self.input_shape))}), got {x.shape}"
            )


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def prepare_folder(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Make sure that a folder is there to write a run into.

    Raises
    ------
    FileExistsError
        It holds something, and `overwrite` is False or it is not a run.
    OSError
        It cannot be made.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        if not overwrite:
            raise FileExistsError(17, "the folder is not empty; use --resume or --overwrite", str(folder))
        try:
            Run.open(folder)
        except (OSError, ValueError):
            rule = "the folder is neither empty nor that of a run, and --overwrite replaces runs only"
            raise FileExistsError(17, rule, str(folder)) from None
        for name in (CHECKPOINT, HISTORY, REPORT, *MODELS, CONFIG):
            (folder / name).unlink(missing_ok=True)
    return folder


def new_folder(parent: str | os.PathLike[str], name: str) -> Path:
    """Make and return the folder ``parent/name-1``, or with the first number that is free."""
    number = 1
    while True:
        folder = Path(parent) / f"{name}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def missing_extras() -> Mapping[str, str]:
    """Return what each package of the extra ``train`` would add, of those that are not installed.

    Examples
    --------
    >>> set(missing_extras()) <= {"tqdm", "matplotlib", "safetensors"}
    True
    """
    gains = {
        "tqdm": "a progress bar",
        "safetensors": "model.safetensors",
        "matplotlib": "report.png",
    }
    return {name: gain for name, gain in gains.items() if importlib.util.find_spec(name) is None}
