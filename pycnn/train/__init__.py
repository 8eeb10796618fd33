"""Training: settings, the loop, checkpoints, progress, and whole runs with their folder.

>>> from pycnn import data
>>> from pycnn.train import Trainer, TrainConfig
>>> digits = data.digits()
>>> config = TrainConfig(model="lenet", epochs=3, lr=0.01)
>>> trainer = Trainer(config, digits.x_train, digits.y_train, test=(digits.x_test, digits.y_test))
>>> history = trainer.fit()
>>> history[-1].test_accuracy > 0.9
True

`train` and `resume` do what ``pycnn train`` does: they keep a folder with checkpoint, history, weights and report.
"""

from pycnn.train._callbacks import Callback, PlainProgress, ProgressBar, progress
from pycnn.train._checkpoint import read_checkpoint, write_checkpoint
from pycnn.train._config import TrainConfig
from pycnn.train._evaluate import Evaluation, evaluate, predict_logits, predict_proba
from pycnn.train._history import EpochResult, StepResult, write_history
from pycnn.train._run import Run, missing_extras
from pycnn.train._session import Outcome, default_config, load_data, load_for, resume, train
from pycnn.train._signals import TrainingInterrupted
from pycnn.train._trainer import Trainer

__all__ = [
    "Callback",
    "EpochResult",
    "Evaluation",
    "Outcome",
    "PlainProgress",
    "ProgressBar",
    "Run",
    "StepResult",
    "TrainConfig",
    "Trainer",
    "TrainingInterrupted",
    "default_config",
    "evaluate",
    "load_data",
    "load_for",
    "missing_extras",
    "predict_logits",
    "predict_proba",
    "progress",
    "read_checkpoint",
    "resume",
    "train",
    "write_checkpoint",
    "write_history",
]
