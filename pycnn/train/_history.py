"""What a run reports while it goes, and the list of it that remains."""

import csv
import dataclasses
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pycnn.io import atomic_write


class StepResult(NamedTuple):
    """One step of a run.

    Attributes
    ----------
    step : int
        Its number in the run, from 1.
    loss : float
        Mean over the images.
    accuracy : float
        Share of right answers.
    images : int
    lr : float
        Learning rate.
    """

    step: int
    loss: float
    accuracy: float
    images: int
    lr: float


@dataclass(frozen=True)
class EpochResult:
    """One epoch.

    Attributes
    ----------
    epoch : int
        From 1.
    loss, accuracy : float
        Mean over the training images as they were met: augmented, in training mode, with the weights of the moment.
    test_loss, test_accuracy : float or None
        Over the test images at the end of the epoch; None where there are none.
    lr : float
        Learning rate of the last step.
    seconds, images_per_second : float
        Of the training steps, without the test. The only numbers that differ between two equal runs.
    """

    epoch: int
    loss: float
    accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    lr: float
    seconds: float
    images_per_second: float


FIELDS = tuple(field.name for field in dataclasses.fields(EpochResult))


def epoch_result(values: Any) -> EpochResult:
    """Make an EpochResult from what JSON gave; ValueError for anything else."""
    if not isinstance(values, dict) or set(values) != set(FIELDS):
        raise ValueError(f"history: an epoch must have {', '.join(FIELDS)}")
    for name, value in values.items():
        optional = name.startswith("test_") and value is None
        if not optional and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ValueError(f"history: {name} must be a number, got {value!r}")
    return EpochResult(**values)


def write_history(history: Sequence[EpochResult], path: str | os.PathLike[str]) -> None:
    """Write a CSV file with one line an epoch, whole or not at all.

    Parameters
    ----------
    history : sequence of EpochResult
    path : str or path-like

    Raises
    ------
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "history.csv")
    >>> write_history([EpochResult(1, 0.5, 0.75, None, None, 0.001, 2.0, 50.0)], path)
    >>> print(open(path).read())
    epoch,loss,accuracy,test_loss,test_accuracy,lr,seconds,images_per_second
    1,0.5,0.75,,,0.001,2.0,50.0
    <BLANKLINE>
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows(dataclasses.astuple(row) for row in history)
    with atomic_write(path, "w") as file:
        file.write(text.getvalue())
