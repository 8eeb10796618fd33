"""A whole training run with its folder: what ``pycnn train`` does."""

import dataclasses
import importlib.util
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pycnn import data as datasets
from pycnn import plot
from pycnn.data import Dataset
from pycnn.data._load import is_image_folder
from pycnn.nn import Module
from pycnn.train import _run
from pycnn.train._callbacks import Callback
from pycnn.train._checkpoint import State, read_checkpoint
from pycnn.train._config import TrainConfig
from pycnn.train._evaluate import Array, Evaluation
from pycnn.train._history import EpochResult, write_history
from pycnn.train._run import Run
from pycnn.train._trainer import Trainer

# What a user does not say; chosen on a fifth of the training images that was held back, never on the test images.
# 8x8 digits fill their frame: moving them by a pixel, as `shift` does, costs more than it gains.
_SMALL = {"model": "vgg-small", "epochs": 12, "batch_size": 64, "lr": 4e-3, "weight_decay": 0.02, "augment": "none"}
_USUAL = {"model": "vgg-small", "epochs": 8, "batch_size": 128, "lr": 3e-3, "weight_decay": 0.02, "augment": "shift"}
_COLOUR = _USUAL | {"model": "resnet20", "epochs": 20, "augment": "flip-shift"}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run ended with.

    Attributes
    ----------
    run : Run
    model : Module
    history : list of EpochResult
    evaluation : Evaluation
        Of the test images.
    files : list of Path
        What the folder holds.
    """

    run: Run
    model: Module
    history: list[EpochResult]
    evaluation: Evaluation
    files: list[Path]


def default_config(data: Dataset, /, **settings: object) -> TrainConfig:
    """Return settings that suit a data set, with those given in their place.

    Parameters
    ----------
    data : Dataset
    **settings
        Fields of `TrainConfig`; None counts as not given.

    Returns
    -------
    TrainConfig

    Examples
    --------
    >>> from pycnn.data import digits
    >>> default_config(digits(), epochs=3, lr=None).epochs
    3
    """
    channels, height, width = data.input_shape
    recipe = _COLOUR if channels == 3 else _SMALL if max(height, width) <= 12 else _USUAL
    return TrainConfig.from_dict(recipe | {name: value for name, value in settings.items() if value is not None})


def load_data(config: TrainConfig) -> Dataset:
    """Load the data set that settings name: what lies at ``config.data``, or the bundled digits.

    Parameters
    ----------
    config : TrainConfig

    Returns
    -------
    Dataset

    Examples
    --------
    >>> from pycnn.data import digits
    >>> load_data(default_config(digits())).name
    'digits'
    """
    if config.data is not None:
        return datasets.load(config.data, image_size=config.image_size)
    if config.image_size is not None:
        raise ValueError(
            f"train: image_size goes with a folder of images only, not with the digits, got {config.image_size}"
        )
    return datasets.digits()


def load_for(run: Run, path: str) -> Dataset:
    """Load a data set to test a run on; image files are resized to what its network takes.

    Parameters
    ----------
    run : Run
    path : str
        As `pycnn.data.load` takes it.

    Returns
    -------
    Dataset

    Examples
    --------
    >>> from pycnn.data import digits
    >>> config = default_config(digits(), epochs=1, model="lenet")
    >>> outcome = train(digits(), config, "runs/one", overwrite=True)
    >>> import numpy as np
    >>> x, y = digits().x_test, digits().y_test
    >>> np.savez("test.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    >>> load_for(outcome.run, "test.npz").x_test.shape == x.shape
    True
    """
    return datasets.load(path, image_size=run.input_shape[1:] if is_image_folder(path) else None)


def train(
    data: Dataset,
    config: TrainConfig,
    out: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    callbacks: Iterable[Callback] = (),
) -> Outcome:
    """Train a bundled network on a data set and write the run folder.

    Parameters
    ----------
    data : Dataset
    config : TrainConfig
        For example from `default_config`.
    out : str or path-like, optional
        The folder, made if need be; by default ``runs/<data>-<model>-<number>``.
    overwrite : bool
        Replace the files of a run that `out` holds.
    callbacks : iterable of Callback
        For example ``[progress()]``.

    Returns
    -------
    Outcome

    Raises
    ------
    FileExistsError
        `out` is not empty.
    ValueError
        An unknown network, or one that cannot take such images.
    FloatingPointError, TrainingInterrupted
        From `Trainer.fit`; the folder then holds the checkpoint and the last good weights.
    OSError
        A file cannot be written.

    Examples
    --------
    >>> from pycnn.data import digits
    >>> config = default_config(digits(), epochs=1, model="lenet")
    >>> outcome = train(digits(), config, "runs/one", overwrite=True)
    >>> len(outcome.history), sorted(path.suffix for path in outcome.files)[0]
    (1, '.csv')
    """
    trainer = _trainer(data, config, callbacks)
    if out is None:
        folder = _run.new_folder("runs", f"{_file_name(data.name)}-{config.model}")
    else:
        folder = _run.prepare_folder(out, overwrite)
    run = Run.describing(folder, config, data, trainer.mean, trainer.std)
    run.write()
    return _go(trainer, run, data)


def resume(
    path: str | os.PathLike[str],
    *,
    data: Dataset | None = None,
    threads: int | None = None,
    callbacks: Iterable[Callback] = (),
) -> Outcome:
    """Go on with the run in a folder; it ends bit for bit where it would have ended without the break.

    Parameters
    ----------
    path : str or path-like
    data : Dataset, optional
        The data set, if it is no longer where it was; checked to be the same.
    threads : int, optional
        Another number of threads.
    callbacks : iterable of Callback

    Returns
    -------
    Outcome

    Raises
    ------
    ValueError
        The data are not those of the run, or its files are damaged.
    FloatingPointError, TrainingInterrupted, OSError
        As `train`.

    Examples
    --------
    >>> from pycnn.data import digits
    >>> config = default_config(digits(), epochs=1, model="lenet")
    >>> outcome = train(digits(), config, "runs/one", overwrite=True)
    >>> resume("runs/one").history == outcome.history
    True
    """
    run = Run.open(path)
    config = run.config if threads is None else dataclasses.replace(run.config, threads=threads)
    data = load_data(config) if data is None else data
    state = read_checkpoint(run.checkpoint)
    for leftover in run.path.glob(".pycnn-*.tmp"):  # of a write that a kill cut short
        leftover.unlink(missing_ok=True)
    return _go(_trainer(data, config, callbacks), run, data, state)


def _trainer(data: Dataset, config: TrainConfig, callbacks: Iterable[Callback]) -> Trainer:
    return Trainer(
        config,
        data.x_train,
        data.y_train,
        test=(data.x_test, data.y_test),
        num_classes=data.num_classes,
        callbacks=callbacks,
    )


def _go(trainer: Trainer, run: Run, data: Dataset, state: State | None = None) -> Outcome:
    """Train, and write what there is to write, also when it ends early."""
    trainer.checkpoint = run.checkpoint
    if state is None:
        trainer.save_checkpoint(run.checkpoint)
    else:
        trainer.load_state_dict(state)
    trainer.callbacks.insert(0, _Recorder(run.path / _run.HISTORY))
    try:
        trainer.fit()
    except (KeyboardInterrupt, FloatingPointError):
        run.save_model(trainer.model)
        raise
    except BrokenPipeError:  # nobody reads the progress any more; the step it told of is whole
        trainer.save_checkpoint(run.checkpoint)
        run.save_model(trainer.model)
        raise
    evaluation = trainer.evaluate()
    run = dataclasses.replace(run, result=_result(trainer, evaluation))
    model_file = run.save_model(trainer.model)
    write_history(trainer.history, run.path / _run.HISTORY)
    run.write()
    files = [model_file, run.path / _run.HISTORY, run.path / _run.CONFIG]
    if importlib.util.find_spec("matplotlib") is not None:
        _draw(run, trainer, data, evaluation)
        files.append(run.path / _run.REPORT)
    return Outcome(run, trainer.model, trainer.history, evaluation, files)


class _Recorder(Callback):
    """Rewrites history.csv after every epoch."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_epoch(self, trainer: Trainer, result: EpochResult) -> None:
        write_history(trainer.history, self._path)


def _result(trainer: Trainer, evaluation: Evaluation) -> dict[str, float | int]:
    return {
        "epochs": trainer.epoch,
        "test_accuracy": evaluation.accuracy,
        "test_loss": evaluation.loss,
        "test_images": len(evaluation.labels),
        "parameters": sum(parameter.size for parameter in trainer.model.parameters()),
        "train_seconds": round(sum(row.seconds for row in trainer.history), 3),
    }


def _draw(run: Run, trainer: Trainer, data: Dataset, evaluation: Evaluation) -> None:
    history = {
        name: [getattr(row, name) for row in trainer.history]
        for name in ("loss", "accuracy", "test_loss", "test_accuracy")
    }
    plot.training_report(
        history,
        images=data.x_test,
        labels=evaluation.labels,
        probabilities=evaluation.probabilities,
        classes=data.classes,
        filters=first_filters(trainer.model),
        title=f"{run.config.model} on {data.name}: {100 * evaluation.accuracy:.2f} % of "
        f"{len(evaluation.labels):,} test images right",
        path=run.path / _run.REPORT,
    )


def first_filters(model: Module) -> Array | None:
    """Return the weights (F, C, KH, KW) of the first two-dimensional convolution; None where there is none."""
    for _, parameter in model.named_parameters():
        if parameter.data.ndim == 4:
            return np.asarray(parameter.data)
    return None


def _file_name(name: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name.lower())
    return kept.strip("-.")[:60] or "data"
