"""pycnn: convolutional networks on the CPU, from NumPy.

``import pycnn`` brings the functions and the settings; the layers, optimisers and the rest (``pycnn.nn``,
``pycnn.optim``, ``pycnn.data``, ``pycnn.io``, ...) are imported when they are first used.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

try:
    importlib.import_module("pycnn.kernels._runtime")
except ModuleNotFoundError as error:
    if error.name != "pycnn.kernels._runtime" or not os.path.exists(f"{__path__[0]}/kernels/_runtime.pyx"):
        raise
    raise ImportError(
        f"pycnn: {__path__[0]} is its source folder, and the extensions there are not built: start Python in another"
        " folder, or build them in this one with `pip install -e .`"
    ) from None

from pycnn import functional
from pycnn._config import (
    config,
    empty_cache,
    get_include,
    get_num_threads,
    set_exact,
    set_num_threads,
    show_config,
    threads,
)
from pycnn._threadpoolctl import register_if_imported, register_threadpoolctl

if TYPE_CHECKING:
    from pycnn import data, estimator, io, models, nn, optim, plot, reference, train
    from pycnn._gradcheck import gradcheck

__version__ = "0.1.0"

__all__ = [
    "config",
    "data",
    "empty_cache",
    "estimator",
    "functional",
    "get_include",
    "get_num_threads",
    "gradcheck",
    "io",
    "models",
    "nn",
    "optim",
    "plot",
    "reference",
    "register_threadpoolctl",
    "set_exact",
    "set_num_threads",
    "show_config",
    "threads",
    "train",
]

register_if_imported()

_LATER = ("data", "estimator", "io", "models", "nn", "optim", "plot", "reference", "train")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f"pycnn.{name}")
    if name == "gradcheck":
        return importlib.import_module("pycnn._gradcheck").gradcheck
    raise AttributeError(f"module 'pycnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
