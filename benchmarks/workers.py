"""The parent's side of the workers: start them, ask them, and keep all but one of them stopped."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
_CAN_STOP = hasattr(signal, "SIGSTOP")


class WorkerDied(Exception):
    """The process ended in the middle of a request."""


class Worker:
    """A library in a process of its own.

    Between requests the process is stopped: idle thread pools spin, and would slow down whoever has the turn.
    """

    def __init__(
        self, engine: str, threads: int, environment: Mapping[str, str] = {}, *, options: Sequence[str] = ()
    ) -> None:
        self.engine, self._arguments = engine, (threads, environment, options)
        command = [sys.executable, "-m", "benchmarks.worker", engine, str(threads), *options]
        limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYCNN_NUM_THREADS")
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        merged = os.environ | dict.fromkeys(limits, str(threads)) | {"PYTHONPATH": path} | dict(environment)
        # A file, since a pipe that nobody reads would fill up; `close` closes it.
        self._printed = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._printed, text=True, env=merged
        )
        self.version = str(self._reply()["version"])

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer; `WorkerDied` when there is none."""
        assert self._process.stdin is not None
        self._signal("SIGCONT")
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerDied(self._last_words()) from None
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerDied(self._last_words())
        self._signal("SIGSTOP")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _signal(self, name: str) -> None:
        if _CAN_STOP and self._process.poll() is None:
            os.kill(self._process.pid, getattr(signal, name))

    def _last_words(self) -> str:
        code = self._process.wait()
        self._printed.seek(0)
        words = self._printed.read().strip().splitlines()
        return f"{self.engine} ended with {code}{': ' + words[-1] if words else ''}"

    def again(self) -> "Worker":
        """Return a new worker of the same kind in place of this one."""
        self.close()
        threads, environment, options = self._arguments
        return Worker(self.engine, threads, environment, options=options)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        # Closes the pipes and waits; a request may lie there that was never read.
        with contextlib.suppress(BrokenPipeError), self._process:
            pass
        self._printed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
