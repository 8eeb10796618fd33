"""Let the workers take turns on one row, and keep what each took."""

import json
import shutil
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.probe import Probe
from benchmarks.workers import Worker, WorkerDied
from pycnn import _bench_rows as bench_rows
from pycnn._bench_rows import Row

# Largest difference from the float64 answer, relative to its largest value. Rounding of any algorithm for float32 stays
# below, products in bfloat16 or half precision do not. Gradients of a network pass many layers.
TOLERANCE = {"float32": 2e-4, "float64": 1e-11}
TOLERANCE_TRAIN = 5e-3
# Who takes more than so many times the time of the fastest after two rounds sits out the others.
HOPELESS = 2.5


@dataclass
class Outcome:
    """What one row gave: seconds of every call by library, the machine's limits meanwhile, and who was left out why."""

    row: Row
    seconds: dict[str, list[float]] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    unsupported: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    fma: float = 0.0
    copy: float = 0.0

    def median(self, engine: str) -> float:
        """Seconds of the call in the middle."""
        return statistics.median(self.seconds[engine])

    @property
    def peers(self) -> list[str]:
        """The others that were timed, the fastest first."""
        return sorted((name for name in self.seconds if name != "pycnn"), key=self.median)

    @property
    def ratio(self) -> float | None:
        """Time of the fastest peer over ours; None where one of them is missing."""
        if not self.peers or "pycnn" not in self.seconds:
            return None
        return self.median(self.peers[0]) / self.median("pycnn")

    @property
    def ratio_least(self) -> float | None:
        """The same of the shortest calls, which other work on the machine disturbs less."""
        if not self.peers or "pycnn" not in self.seconds:
            return None
        return min(min(self.seconds[name]) for name in self.peers) / min(self.seconds["pycnn"])

    @property
    def peak(self) -> float | None:
        """Share of what the machine allows: of its multiply-adds or of its copies, whichever would take longer."""
        if not (self.fma and self.copy and "pycnn" in self.seconds):
            return None
        return max(self.row.flops / self.fma, self.row.bytes / self.copy) / self.median("pycnn")

    @property
    def bound(self) -> str:
        """Which of the two that is: "fma" or "copy"."""
        if not (self.fma and self.copy):
            return "fma" if self.row.flops >= 32 * self.row.bytes else "copy"
        return "fma" if self.row.flops / self.fma >= self.row.bytes / self.copy else "copy"

    def record(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        return {
            "row": bench_rows.identifier(self.row),
            "flops": self.row.flops,
            "bytes": self.row.bytes,
            "fma": self.fma,
            "copy": self.copy,
            "ratio": self.ratio,
            "ratio_least": self.ratio_least,
            "peak": self.peak,
            "bound": self.bound,
            "median": {name: self.median(name) for name in self.seconds},
            "min": {name: min(taken) for name, taken in self.seconds.items()},
            "calls": {name: len(taken) for name, taken in self.seconds.items()},
            "difference": self.differences,
            "unsupported": self.unsupported,
            "wrong": self.wrong,
        }


@dataclass
class Arena:
    """The workers, one that computes the right answers, and what all rows have in common."""

    workers: dict[str, Worker]
    judge: Worker
    probe: Probe | None
    folder: Path
    rounds: int
    seconds: float

    def run(self, row: Row) -> Outcome:
        """Prepare the row everywhere, check the answers, and let those who are right take turns."""
        outcome = Outcome(row)
        self._write(row)
        for name in list(self.workers):
            self._prepare(outcome, name)
        shutil.rmtree(self.folder / "inputs")
        racing = list(outcome.differences)
        peaks: list[float] = []
        copies: list[float] = []
        for turn in range(self.rounds if racing else 0):
            if self.probe is not None:
                peaks.append(self.probe.fma(row.dtype))
                copies.append(self.probe.copy(row.bytes))
            for name in racing[turn % len(racing) :] + racing[: turn % len(racing)]:
                reply = self._ask(outcome, name, "burst", seconds=self.seconds)
                outcome.seconds.setdefault(name, []).extend(reply.get("seconds", []))
            if turn == 1:
                racing = _hopeful(outcome, racing)
        outcome.seconds = {name: taken for name, taken in outcome.seconds.items() if taken}
        if peaks:
            outcome.fma, outcome.copy = statistics.median(peaks), statistics.median(copies)
        for name in outcome.differences:
            self._ask(outcome, name, "release")
        return outcome

    def _write(self, row: Row) -> None:
        """Put the arrays and the right answer, computed in float64, where every worker finds them."""
        inputs = self.folder / "inputs"
        inputs.mkdir(exist_ok=True)
        for name, array in bench_rows.arrays(row).items():
            np.save(inputs / f"{name}.npy", array)
        request = {"row": bench_rows.identifier(row), "folder": str(inputs)}
        for reply in (
            self.judge.ask("prepare", dtype="float64", **request),
            self.judge.ask("answer", file=str(self.folder / "answer.npy")),
            self.judge.ask("release"),
        ):
            if reply:
                raise RuntimeError(f"no answer to compare with: {json.dumps(reply)}")

    def _prepare(self, outcome: Outcome, name: str) -> None:
        """Prepare the row in one worker and check its answer."""
        row = outcome.row
        request = {"row": bench_rows.identifier(row), "folder": str(self.folder / "inputs"), "dtype": row.dtype}
        reply = self._ask(outcome, name, "prepare", **request)
        if "unsupported" in reply:
            outcome.unsupported[name] = reply["unsupported"]
        if reply:
            return
        reply = self._ask(outcome, name, "check", file=str(self.folder / "answer.npy"))
        if "difference" in reply:
            most = TOLERANCE_TRAIN if row.kind == "train" else TOLERANCE[row.dtype]
            if reply["difference"] <= most:
                outcome.differences[name] = reply["difference"]
            else:
                outcome.wrong[name] = f"differs by {reply['difference']:.1e} of the largest value"
        if name not in outcome.differences:
            self._ask(outcome, name, "release")

    def _ask(self, outcome: Outcome, name: str, do: str, **request: Any) -> dict[str, Any]:
        """Ask one worker; what goes wrong is written down, and who died starts again for the next row."""
        try:
            reply = self.workers[name].ask(do, **request)
        except WorkerDied as death:
            self.workers[name] = self.workers[name].again()
            reply = {"error": str(death)}
        if "error" in reply:
            outcome.wrong[name] = reply["error"]
        return reply


def _hopeful(outcome: Outcome, names: list[str]) -> list[str]:
    least = min(outcome.median(name) for name in names if outcome.seconds.get(name))
    return [
        name
        for name in names
        if name == "pycnn" or (outcome.seconds.get(name) and outcome.median(name) <= HOPELESS * least)
    ]
