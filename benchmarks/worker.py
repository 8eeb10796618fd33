"""A library in a process of its own: reads requests as lines of JSON, answers with lines of JSON.

    python -m benchmarks.worker torch-cl 2

Requests: ``prepare`` a row (its arrays lie in a folder as .npy files), write its ``answer`` as .npy, ``check`` the
answer against such a file, time a ``burst`` of calls, tell the peak ``memory``, or ``release`` the row.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import engines
from pycnn import _bench, _bench_rows
from pycnn._bench_tasks import Task


class Server:
    """Holds the one row that is prepared."""

    def __init__(self, engine: engines.Engine) -> None:
        self.engine = engine
        self.task: Task | None = None

    def prepare(self, row: str, folder: str, dtype: str) -> dict[str, Any]:
        """Prepare the row with its arrays as that type; {"unsupported": why} where the library cannot."""
        found = _bench_rows.find(row)
        arrays = {}
        for path in Path(folder).glob("*.npy"):
            array = np.load(path)
            arrays[path.stem] = array.astype(dtype, copy=False) if array.dtype.kind == "f" else array
        try:
            self.task = self.engine.prepare(found, arrays)
        except engines.Unsupported as reason:
            return {"unsupported": str(reason)}
        return {}

    def answer(self, file: str) -> dict[str, Any]:
        """Write the answer there."""
        np.save(file, self._ready().answer())
        return {}

    def check(self, file: str) -> dict[str, Any]:
        """Return the largest difference from the answer in the file, relative to its largest value."""
        want, got = np.load(file, mmap_mode="r"), self._ready().answer()
        if got.shape != want.shape:
            return {"error": f"shape {got.shape} instead of {want.shape}"}
        difference = largest = 0.0
        for ours, theirs in zip(np.atleast_2d(got), np.atleast_2d(want), strict=True):  # by image: less memory
            difference = float(np.maximum(difference, np.abs(ours - theirs).max()))  # a NaN stays
            largest = max(largest, float(np.abs(theirs).max()))
        return {"difference": difference / largest}

    def burst(self, seconds: float) -> dict[str, Any]:
        """Return the seconds of each of the calls."""
        return {"seconds": _bench.burst(self._ready().run, seconds)}

    def memory(self) -> dict[str, Any]:
        """Return the most bytes that the process has had in memory."""
        return {"peak": _peak_memory()}

    def release(self) -> dict[str, Any]:
        """Forget the row."""
        self.task = None
        return {}

    def _ready(self) -> Task:
        if self.task is None:
            raise RuntimeError("no row is prepared")
        return self.task


def main() -> None:
    name, threads, reuse = sys.argv[1], int(sys.argv[2]), "fresh" not in sys.argv[3:]
    _end_with_parent()
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not taken for an answer
    engine = engines.create(name, threads, reuse)
    server = Server(engine)
    _reply(replies.write, {"version": engine.version})
    replies.flush()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            result = getattr(server, request.pop("do"))(**request)
        except Exception as error:  # one row that fails does not end the comparison
            result = {"error": f"{type(error).__name__}: {error}"}
        _reply(replies.write, result)
        replies.flush()


def _peak_memory() -> int:
    with contextlib.suppress(OSError):  # getrusage would count the parent's memory in: the process began as its copy
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _reply(write: Callable[[str], Any], result: dict[str, Any]) -> None:
    write(json.dumps(result) + "\n")


def _end_with_parent() -> None:
    """Have the system end this process, which may be stopped just then, when the parent is gone (Linux only)."""
    if sys.platform.startswith("linux"):
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    main()
