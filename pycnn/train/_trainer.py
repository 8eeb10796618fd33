"""The training loop."""

import contextlib
import copy
import math
import os
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

import pycnn
from pycnn.data import batches, channel_stats, normalize
from pycnn.nn import CrossEntropyLoss, Module
from pycnn.train import _build
from pycnn.train._callbacks import Callback
from pycnn.train._checkpoint import State, fingerprint, read_checkpoint, write_checkpoint
from pycnn.train._config import TrainConfig
from pycnn.train._evaluate import Evaluation, evaluate
from pycnn.train._history import EpochResult, StepResult, epoch_result
from pycnn.train._signals import TrainingInterrupted, deferred_interrupt

Array = npt.NDArray[Any]
Labelled = tuple[Array, npt.NDArray[np.int64]]


class Trainer:
    """Trains a network on labelled images.

    The result depends on `config`, the data and the network's initial weights alone: not on the number of threads, and
    not on how often the run was stopped and resumed. The order of the images and their augmentation come from a
    generator of the seed and the number of the epoch; dropout has generators inside the network, which the
    checkpoint holds.

    Parameters
    ----------
    config : TrainConfig
    x : ndarray of real numbers, shape (N, C, H, W)
        Training images, raw: the mean and deviation of their channels are taken out batch by batch.
    y : ndarray of integers, shape (N,)
        Their classes, from 0.
    test : (x, y), optional
        Images to test on after every epoch.
    model : Module, optional
        The network; otherwise ``config.model`` names a bundled one.
    num_classes : int, optional
        By default one more than the highest class in `y`.
    callbacks : iterable of Callback
        They follow the run.
    checkpoint : str or path-like, optional
        A ``.npz`` file, written after every epoch and when the run is interrupted.
    checkpoint_every : int, optional
        Write it also after every so many steps.

    Attributes
    ----------
    model : Module
    mean, std : tuple of float
        Of each channel of `x`, as the network needs them.
    epoch : int
        Epochs that are complete.
    step_of_epoch : int
        Steps of the epoch at hand that are done.
    history : list of EpochResult

    Raises
    ------
    ValueError, TypeError
        Empty or mismatched data, an unknown network.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> x = np.random.default_rng(0).integers(0, 256, (20, 1, 2, 2), np.uint8)
    >>> y = (x.mean(axis=(1, 2, 3)) > 127).astype(np.int64)
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, rng=0))
    >>> trainer = Trainer(TrainConfig(epochs=20, lr=0.1, batch_size=5), x, y, model=net)
    >>> history = trainer.fit()
    >>> len(history), history[-1].loss < history[0].loss
    (20, True)
    """

    def __init__(
        self,
        config: TrainConfig,
        x: Array,
        y: npt.NDArray[Any],
        *,
        test: tuple[Array, npt.NDArray[Any]] | None = None,
        model: Module | None = None,
        num_classes: int | None = None,
        callbacks: Iterable[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
    ) -> None:
        self.config = config
        self._train = _labelled("x", "y", x, y)
        self._test = None if test is None else _labelled("test x", "test y", *test)
        self.num_classes = int(self._train[1].max()) + 1 if num_classes is None else num_classes
        _check_classes(self._train[1], self._test, self.num_classes)
        self.mean, self.std = channel_stats(self._train[0])
        shape = self._train[0].shape[1:]
        self.model = _build.network(config.model, shape, self.num_classes, config.seed) if model is None else model
        self.images_per_epoch = len(self._train[0])
        self.steps_per_epoch = -(-self.images_per_epoch // config.batch_size)
        self.optimizer = _build.optimizer(config, self.model)
        self.schedule = _build.schedule(config, self.steps_per_epoch)
        self.loss = CrossEntropyLoss(label_smoothing=config.label_smoothing)
        self.callbacks = list(callbacks)
        self.checkpoint = checkpoint
        self._every = checkpoint_every
        self.epoch = 0
        self.step_of_epoch = 0
        self.history: list[EpochResult] = []
        self._sums = _Sums()
        self._interrupted = self._stopped = False
        self._good: State = {}
        self._data_id = ""

    def fit(self) -> list[EpochResult]:
        """Train until all epochs are done, from wherever the trainer is.

        Returns
        -------
        list of EpochResult
            The history, with that of earlier calls.

        Raises
        ------
        FloatingPointError
            The loss is no longer finite. The trainer, and the checkpoint, go back to the last complete epoch.
        TrainingInterrupted
            Ctrl-C; raised after the step that was under way, when the checkpoint is written. A KeyboardInterrupt.
        OSError
            The checkpoint cannot be written.
        """
        self._interrupted = self._stopped = False
        self.model.train()
        self._good = self._mark()
        limit = contextlib.nullcontext() if self.config.threads is None else pycnn.threads(self.config.threads)
        with limit, deferred_interrupt(self._remember):
            try:
                self._call("on_start")
                while self.epoch < self.config.epochs and not self._stopped:
                    self._run_epoch()
            finally:
                self._call("on_end")
        return self.history

    def stop(self) -> None:
        """Let ``fit`` return after the epoch that is under way; callbacks may call this."""
        self._stopped = True

    def evaluate(self) -> Evaluation:
        """Run the network over the test images.

        Raises
        ------
        ValueError
            There are none.
        """
        if self._test is None:
            raise ValueError("Trainer.evaluate: the trainer has no test images")
        limit = contextlib.nullcontext() if self.config.threads is None else pycnn.threads(self.config.threads)
        with limit:
            return evaluate(self.model, *self._test, self.mean, self.std, self._check_interrupt)

    # The loop --------------------------------------------------------------------------------------------------

    def _run_epoch(self) -> None:
        config = self.config
        rng = np.random.default_rng([config.seed, self.epoch])
        stream = batches(*self._train, config.batch_size, rng=rng, augment=config.augment, start=self.step_of_epoch)
        begin = time.perf_counter()
        for x, y in stream:
            result = self._step(x, y)
            self._sums.seconds += time.perf_counter() - begin  # with making the batch, without what follows
            self._call("on_step", result)
            if self._every and self.step_of_epoch % self._every == 0 and self.step_of_epoch < self.steps_per_epoch:
                self._save()
            self._check_interrupt()
            begin = time.perf_counter()
        test = None if self._test is None else self.evaluate()
        self.history.append(self._sums.result(self.epoch + 1, test))
        self.epoch, self.step_of_epoch, self._sums = self.epoch + 1, 0, _Sums()
        self._check_weights()
        self._good = self._mark()
        self._save()
        self._call("on_epoch", self.history[-1])

    def _step(self, x: Array, y: npt.NDArray[np.int64]) -> StepResult:
        lr = self.optimizer.lr = self.schedule(self._step_number())
        logits = self.model(normalize(x, self.mean, self.std, self.model.dtype))
        loss = float(self.loss(logits, y))
        if not math.isfinite(loss):
            self._diverged(f"the loss is {loss}")
        self.optimizer.zero_grad()
        self.model.backward(self.loss.backward(), needs_input_grad=False)
        self.optimizer.step()
        correct = int(np.count_nonzero(logits.argmax(axis=1) == y))
        self.step_of_epoch += 1
        self._sums.add(loss, correct, len(y), lr)
        return StepResult(self._step_number(), loss, correct / len(y), len(y), lr)

    def _step_number(self) -> int:
        return self.epoch * self.steps_per_epoch + self.step_of_epoch

    def _call(self, method: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, method)(self, *args)

    def _remember(self) -> None:
        self._interrupted = True

    def _check_interrupt(self) -> None:
        if not self._interrupted:
            return
        self._save()
        where = f"epoch {self.epoch + 1} of {self.config.epochs}, step {self.step_of_epoch} of {self.steps_per_epoch}"
        raise TrainingInterrupted(f"interrupted in {where}")

    def _check_weights(self) -> None:
        for name, parameter in self.model.named_parameters():
            if not np.isfinite(parameter.data).all():
                self._diverged(f"{name} holds values that are not finite")

    def _diverged(self, what: str) -> None:
        """Go back to the last complete epoch and raise."""
        at = f"step {self._step_number() + 1} (epoch {self.epoch + 1})"
        self._load(self._good)
        if self.checkpoint is not None:
            write_checkpoint(self.checkpoint, self.state_dict())
        kept = f"at the end of epoch {self.epoch}" if self.epoch else "at the beginning"
        raise FloatingPointError(
            f"train: {what} at {at}; the weights are those {kept}. A lower lr than {self.config.lr:g} may help"
        )

    # State -----------------------------------------------------------------------------------------------------

    def _mark(self) -> State:
        return copy.deepcopy(self._position())

    def _position(self) -> State:
        return {
            "architecture": [type(module).__name__ for module in self.model.modules()],
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "rng": self.model.rng_states(),
            "epoch": self.epoch,
            "step_of_epoch": self.step_of_epoch,
            "sums": vars(self._sums).copy(),
            "history": [vars(row).copy() for row in self.history],
        }

    def state_dict(self) -> State:
        """Return everything that a run needs to go on bit for bit, as nested dicts of arrays, numbers and text."""
        if not self._data_id:
            self._data_id = fingerprint(*self._train)
        return self._position() | {"config": vars(self.config).copy(), "data": self._data_id}

    def load_state_dict(self, state: State) -> None:
        """Go on where another trainer of the same settings, data and network was.

        Raises
        ------
        ValueError
            The state is of another network, optimiser, data set or of other settings, or it is damaged. The trainer
            stays as it was.
        """
        before = self._mark()
        try:
            TrainConfig.from_dict(state["config"]).check_same_run(self.config)
            if state["data"] != fingerprint(*self._train):
                raise ValueError("resume: the training images are not those the run was begun with")
            self._load(state)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            self._load(before)
            raise ValueError(f"resume: not the state of a training run: {error!r}") from error
        except ValueError:
            self._load(before)
            raise

    def _load(self, state: State) -> None:
        names = [type(module).__name__ for module in self.model.modules()]
        if state["architecture"] != names:
            raise ValueError("resume: the run was begun with another network")
        epoch, step = state["epoch"], state["step_of_epoch"]
        sums, history = _Sums(**state["sums"]), [epoch_result(row) for row in state["history"]]
        if not (0 <= epoch <= self.config.epochs and 0 <= step <= self.steps_per_epoch and len(history) == epoch):
            raise ValueError(f"resume: the run cannot be at epoch {epoch}, step {step}")
        self.model.load_state_dict(state["model"])
        self.model.load_rng_states(state["rng"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.step_of_epoch, self._sums, self.history = epoch, step, sums, history

    def save_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write `state_dict` to a ``.npz`` file, whole or not at all."""
        write_checkpoint(path, self.state_dict())

    def load_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Go on where the run that wrote this file was; see `load_state_dict`.

        Raises
        ------
        ValueError
            As `load_state_dict`, or the file is damaged.
        OSError
            The file cannot be opened.
        """
        self.load_state_dict(read_checkpoint(path))

    def _save(self) -> None:
        if self.checkpoint is not None:
            if self.step_of_epoch:
                self._check_weights()
            self.save_checkpoint(self.checkpoint)


class _Sums:
    """What the steps of an epoch add up to."""

    def __init__(
        self, loss: float = 0.0, correct: int = 0, images: int = 0, lr: float = 0.0, seconds: float = 0.0
    ) -> None:
        self.loss, self.correct, self.images, self.lr, self.seconds = loss, correct, images, lr, seconds

    def add(self, loss: float, correct: int, images: int, lr: float) -> None:
        self.loss += loss * images
        self.correct += correct
        self.images += images
        self.lr = lr

    def result(self, epoch: int, test: Evaluation | None) -> EpochResult:
        return EpochResult(
            epoch=epoch,
            loss=self.loss / self.images,
            accuracy=self.correct / self.images,
            test_loss=None if test is None else test.loss,
            test_accuracy=None if test is None else test.accuracy,
            lr=self.lr,
            seconds=round(self.seconds, 3),
            images_per_second=round(self.images / max(self.seconds, 1e-9), 1),
        )


def _labelled(x_name: str, y_name: str, x: Any, y: Any) -> Labelled:
    for name, value in ((x_name, x), (y_name, y)):
        if not isinstance(value, np.ndarray):
            raise TypeError(f"Trainer: {name} must be an array, got {type(value).__name__}")
    if x.ndim != 4 or x.dtype.kind not in "uif":
        raise ValueError(f"Trainer: {x_name} must be numbers of shape (N, C, H, W), got {x.dtype} {x.shape}")
    if y.dtype.kind not in "ui":
        raise TypeError(f"Trainer: {y_name} must hold integers, got {y.dtype}")
    if y.shape != (len(x),):
        raise ValueError(f"Trainer: {y_name} must have one class an image, shape ({len(x)},), got {y.shape}")
    if x.size == 0:
        raise ValueError(f"Trainer: {x_name} must not be empty, got {x.shape}")
    return x, y.astype(np.int64)


def _check_classes(y: npt.NDArray[np.int64], test: Labelled | None, num_classes: int) -> None:
    parts = [("y", y)] + ([] if test is None else [("test y", test[1])])
    for name, labels in parts:
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= num_classes:
            bad = low if low < 0 else high
            raise ValueError(f"Trainer: {name} must hold classes from 0 to {num_classes - 1}, got {bad}")
