"""The libraries that are compared: each module here prepares rows for one of them.

A library is asked only for what it can do; for the rest it raises `Unsupported`. Every tensor and every weight is
brought into the library's own layout before the clock starts.
"""

import importlib
import importlib.util
from typing import Protocol

from pycnn._bench_rows import Array, Row
from pycnn._bench_tasks import Task

__all__ = ["ENGINES", "Engine", "Task", "Unsupported", "create", "installed"]

# Name in the tables, then the module that has to be installed, our module for it, and the class's argument.
ENGINES: dict[str, tuple[str, str, dict[str, object]]] = {
    "pycnn": ("pycnn", "ours", {}),
    "torch": ("torch", "with_torch", {}),
    "torch-cl": ("torch", "with_torch", {"channels_last": True}),
    "torch-packed": ("torch", "with_torch", {"channels_last": True, "packed": True}),
    "ort": ("onnxruntime", "with_onnxruntime", {}),
    "openvino": ("openvino", "with_openvino", {}),
    "openvino-cl": ("openvino", "with_openvino", {"channels_last": True}),
    "ncnn": ("ncnn", "with_ncnn", {}),
    "mnn": ("MNN", "with_mnn", {}),
}


class Unsupported(Exception):
    """The library has no way to compute this row."""


class Engine(Protocol):
    """One library in one layout."""

    version: str

    def prepare(self, row: Row, arrays: dict[str, Array]) -> Task:
        """Return the row, ready to run; the answer comes as NCHW."""
        ...


def installed() -> list[str]:
    """Return the names of those whose library can be imported."""
    return [name for name, (module, _, _) in ENGINES.items() if importlib.util.find_spec(module) is not None]


def create(name: str, threads: int, reuse: bool) -> Engine:
    """Load the library and limit it to so many threads."""
    _, module, options = ENGINES[name]
    made: Engine = importlib.import_module(f"benchmarks.engines.{module}").Engine(threads, reuse=reuse, **options)
    return made
