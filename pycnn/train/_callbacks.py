"""What looks on while a network trains: the protocol, and two ways to show progress."""

import importlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from pycnn.train._history import EpochResult, StepResult

if TYPE_CHECKING:
    from pycnn.train._trainer import Trainer

_LINE_SECONDS = 10.0  # between two lines inside a long epoch


class Callback:
    """Base class of things that follow a training run: override what you need.

    The methods get the trainer, whose ``model``, ``epoch``, ``history`` and so on they may read. An exception that one
    of them raises ends the run and reaches the caller of ``fit``.

    Examples
    --------
    >>> class Target(Callback):
    ...     "Ends the run once the training accuracy is high enough."
    ...     def on_epoch(self, trainer, result):
    ...         if result.accuracy > 0.99:
    ...             trainer.stop()
    """

    def on_start(self, trainer: "Trainer") -> None:
        """Run before the first step of ``fit``."""

    def on_step(self, trainer: "Trainer", result: StepResult) -> None:
        """Run after every step."""

    def on_epoch(self, trainer: "Trainer", result: EpochResult) -> None:
        """Run after every epoch, when its test is done."""

    def on_end(self, trainer: "Trainer") -> None:
        """Run when ``fit`` ends, also by an error or Ctrl-C."""


class PlainProgress(Callback):
    """A line an epoch, and one every ten seconds inside long epochs.

    Parameters
    ----------
    file : text stream, optional
        Where to write; standard output by default.

    Examples
    --------
    >>> import io
    >>> type(PlainProgress(io.StringIO())).__name__
    'PlainProgress'
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file

    def on_start(self, trainer: "Trainer") -> None:
        """Begin to measure."""
        self._meter = _Meter(trainer)
        self._said = time.monotonic()

    def on_step(self, trainer: "Trainer", result: StepResult) -> None:
        """Count, and write a line where the last one is long ago."""
        self._meter.count(result)
        now = time.monotonic()
        if now - self._said >= _LINE_SECONDS:
            self._said = now
            share = 100 * self._meter.images_of_epoch / trainer.images_per_epoch
            self._write(
                f"epoch {trainer.epoch + 1}/{trainer.config.epochs}  {share:3.0f} %  {self._meter.text()}"
                f"  ETA {self._meter.eta()}"
            )

    def on_epoch(self, trainer: "Trainer", result: EpochResult) -> None:
        """Write the line of the epoch."""
        self._meter.end_epoch()
        self._said = time.monotonic()
        eta = self._meter.eta() if trainer.epoch < trainer.config.epochs else None
        self._write(epoch_line(result, trainer.config.epochs) + (f"  ETA {eta}" if eta else ""))

    def _write(self, text: str) -> None:
        print(text, file=self._file or sys.stdout, flush=True)


class ProgressBar(Callback):
    """A bar over the whole run (loss, accuracy, images/s, ETA), and a line above it for every epoch. Needs tqdm.

    Parameters
    ----------
    file : text stream, optional
        Where to draw the bar; standard error by default. The lines go to standard output.

    Raises
    ------
    ImportError
        tqdm is not installed.

    Examples
    --------
    >>> type(ProgressBar()).__name__
    'ProgressBar'
    """

    def __init__(self, file: TextIO | None = None) -> None:
        try:
            self._tqdm: Any = importlib.import_module("tqdm").tqdm
        except ImportError as error:
            raise ImportError('the progress bar needs the package tqdm: pip install "pycnn[train]"') from error
        self._file = file
        self._bar: Any = None

    def on_start(self, trainer: "Trainer") -> None:
        """Draw the bar."""
        self._meter = _Meter(trainer)
        self._bar = self._tqdm(
            total=self._meter.total,
            initial=self._meter.done,
            file=self._file or sys.stderr,
            unit=" images",
            leave=False,
            bar_format="{desc} |{bar}| {percentage:3.0f} %  ETA {remaining}",
            **_width(self._file or sys.stderr),
        )
        self._describe(trainer)

    def on_step(self, trainer: "Trainer", result: StepResult) -> None:
        """Move the bar."""
        self._meter.count(result)
        self._describe(trainer, refresh=False)
        self._bar.update(result.images)

    def on_epoch(self, trainer: "Trainer", result: EpochResult) -> None:
        """Write the line of the epoch above the bar."""
        self._meter.end_epoch()
        self._bar.write(epoch_line(result, trainer.config.epochs), file=sys.stdout)
        sys.stdout.flush()
        self._describe(trainer)

    def on_end(self, trainer: "Trainer") -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _describe(self, trainer: "Trainer", refresh: bool = True) -> None:
        epochs = trainer.config.epochs
        text = f"epoch {min(trainer.epoch + 1, epochs):{len(str(epochs))}}/{epochs}  {self._meter.text()}"
        self._bar.set_description_str(text, refresh=refresh)


def _width(file: TextIO) -> dict[str, int]:
    """Return tqdm's options for the width: that of the terminal, or a fixed one where it has none."""
    try:
        if os.get_terminal_size(file.fileno()).columns > 0:
            return {"dynamic_ncols": 1}
    except (OSError, ValueError, AttributeError):
        pass
    return {"ncols": 100, "nrows": 20}


def progress(kind: str = "auto") -> Callback:
    """Return a callback that shows progress.

    Parameters
    ----------
    kind : {"auto", "bar", "plain", "none"}
        "auto": the bar where tqdm is installed and standard error is a terminal, else plain lines.

    Returns
    -------
    Callback

    Raises
    ------
    ValueError
        Another kind.
    ImportError
        "bar" without tqdm.

    Examples
    --------
    >>> type(progress("plain")).__name__
    'PlainProgress'
    """
    if kind not in ("auto", "bar", "plain", "none"):
        raise ValueError(f"progress: kind must be one of auto, bar, plain, none, got {kind!r}")
    if kind == "none":
        return Callback()
    if kind == "bar" or (kind == "auto" and sys.stderr is not None and sys.stderr.isatty()):
        try:
            return ProgressBar()
        except ImportError:
            if kind == "bar":
                raise
    return PlainProgress()


def epoch_line(result: EpochResult, epochs: int) -> str:
    """Return the line that is shown for an epoch."""
    test = "" if result.test_accuracy is None else f"  test {100 * result.test_accuracy:6.2f} %"
    return (
        f"epoch {result.epoch:{len(str(epochs))}}/{epochs}  loss {result.loss:.4f}"
        f"  accuracy {100 * result.accuracy:6.2f} %{test}  {result.images_per_second:,.0f} images/s"
    )


class _Meter:
    """Counts images and smooths loss, accuracy and speed for the display."""

    def __init__(self, trainer: "Trainer") -> None:
        self.total = trainer.config.epochs * trainer.images_per_epoch
        self.images_of_epoch = min(trainer.step_of_epoch * trainer.config.batch_size, trainer.images_per_epoch)
        self.done = self._first = min(trainer.epoch * trainer.images_per_epoch + self.images_of_epoch, self.total)
        self._begin = time.monotonic()
        self._loss = self._accuracy = self._weight = 0.0

    def count(self, result: StepResult) -> None:
        self.done += result.images
        self.images_of_epoch += result.images
        # Means over about the last twenty steps.
        self._loss = 0.95 * self._loss + result.loss
        self._accuracy = 0.95 * self._accuracy + result.accuracy
        self._weight = 0.95 * self._weight + 1

    def end_epoch(self) -> None:
        self.images_of_epoch = 0

    def text(self) -> str:
        if self._weight == 0:
            return ""
        seconds = max(time.monotonic() - self._begin, 1e-9)
        return (
            f"loss {self._loss / self._weight:.4f}  accuracy {100 * self._accuracy / self._weight:5.1f} %"
            f"  {(self.done - self._first) / seconds:,.0f} images/s"
        )

    def eta(self) -> str:
        done = self.done - self._first
        if done == 0:
            return "?"
        seconds = round((time.monotonic() - self._begin) / done * (self.total - self.done))
        hours, minutes = seconds // 3600, seconds // 60 % 60
        return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
