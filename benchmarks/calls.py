"""What a call costs beside its arithmetic, how threads scale, and how steady the times are.

    python -m benchmarks.calls                 # all three
    python -m benchmarks.calls overhead
    python -m benchmarks.calls threads --rows 'forward.*n16'
    python -m benchmarks.calls steady

overhead  Microseconds of a call that are there whatever the batch: the time of one 8x8x8 image less what each further
          image adds, on one thread.
threads   The rows that take over a millisecond, on one thread and on two, in turns.
steady    Median and 99th percentile of a call while another process keeps one CPU busy at intervals.
"""

import argparse
import copy
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pycnn
from benchmarks import engines
from benchmarks.workers import Worker
from pycnn import _bench, _bench_tasks, nn
from pycnn import _bench_rows as bench_rows
from pycnn import functional as F
from pycnn._bench_rows import Row

LONG = 1e-3  # seconds a call has to take for its threads to be compared
STEADY_ROW = "forward/64@56-64 3x3 n1/float32"
# Busy and idle for random times around 10 ms, on the first CPU that it may use.
BURNER = """
import os, random, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
while True:
    end = time.perf_counter() + random.uniform(0.002, 0.02)
    while time.perf_counter() < end:
        pass
    time.sleep(random.uniform(0.002, 0.02))
"""


def shortest(call: Callable[[], Any], rounds: int = 30, calls: int = 200) -> float:
    """Return the seconds of one call in the fastest of several loops."""
    best = math.inf
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, (time.perf_counter() - begin) / calls)
    return best


def fixed_part(call: Callable[[np.ndarray[Any, Any]], Any], most: int = 9) -> tuple[float, float]:
    """Return seconds of a call with one image: what does not grow with the batch, and what each image takes."""
    rng = np.random.default_rng(0)
    one, many = (rng.standard_normal((n, 8, 8, 8), dtype=np.float32) for n in (1, most))
    short, long = shortest(lambda: call(one)), shortest(lambda: call(many))
    each = (long - short) / (most - 1)
    return short - each, each


def overhead() -> None:
    """Print the fixed cost of calls that compute next to nothing."""
    weight = nn.Conv2d(8, 8, 3, padding=1, rng=0).weight.data
    matrix, bias, ones = weight[:, :, 0, 0].copy(), np.zeros(8, np.float32), np.ones(8, np.float32)
    calls: dict[str, Callable[[np.ndarray[Any, Any]], Any]] = {
        "functional.conv2d": lambda x: F.conv2d(x, weight, bias, padding=1),
        "functional.conv2d_backward": lambda x: F.conv2d_backward(x, x, weight, padding=1),
        "functional.max_pool2d": lambda x: F.max_pool2d(x, 2),
        "functional.relu": F.relu,
        "functional.relu_backward": lambda x: F.relu_backward(x, x),
        "functional.linear": lambda x: F.linear(x, matrix, bias),
        "functional.linear_backward": lambda x: F.linear_backward(x, x, matrix),
        "functional.batch_norm": lambda x: F.batch_norm(x, bias, ones, ones, bias),
        "functional.batch_norm_backward": lambda x: F.batch_norm_backward(x, x, bias, ones, ones, training=True),
    }
    layers = (nn.Conv2d(8, 8, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), nn.BatchNorm2d(8), nn.Linear(8, 8))
    for layer in layers:
        calls[f"nn.{type(layer).__name__}, eval"] = copy.deepcopy(layer).eval()
        calls[f"nn.{type(layer).__name__}, train"] = layer
    print(f"{'call on (1, 8, 8, 8)':<32}{'fixed us':>10}{'an image us':>13}")
    with pycnn.threads(1):
        for name, call in calls.items():
            fixed, each = fixed_part(call)
            print(f"{name:<32}{1e6 * fixed:>10.2f}{1e6 * each:>13.2f}", flush=True)


def threads(rows: Iterable[Row], rounds: int = 6) -> None:
    """Print the time of each long row on one thread and on two, and the geometric mean of the gain."""
    gains = []
    print(f"{'kind':<9}{'row':<36}{'one ms':>10}{'two ms':>10}{'gain':>7}")
    for row in rows:
        run = _bench_tasks.prepare(row, bench_rows.arrays(row)).run
        run()
        taken: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(rounds):
            for count, seconds in taken.items():
                with pycnn.threads(count):
                    seconds += _bench.burst(run, 0.03)
        one, two = (statistics.median(seconds) for seconds in taken.values())
        if two < LONG:
            continue
        gains.append(one / two)
        words = f"{row.kind:<9}{row.name:<36}{_bench.milliseconds(one):>10}{_bench.milliseconds(two):>10}"
        print(f"{words}{gains[-1]:>7.2f}", flush=True)
    if gains:
        print(f"geometric mean {statistics.geometric_mean(gains):.2f}, least {min(gains):.2f}, {len(gains)} rows")


def steady(seconds: float = 3.0) -> None:
    """Print how far the slow calls are from the median, alone and beside a process that burns one CPU at times."""
    names = [name for name in ("pycnn", "torch", "torch-cl") if name in engines.installed()]
    print(f"{STEADY_ROW}\n{'library':<10}{'beside':<10}{'median ms':>10}{'p99 ms':>10}{'p99/median':>12}")
    with tempfile.TemporaryDirectory(prefix="pycnn-bench-") as folder:
        for name, array in bench_rows.arrays(bench_rows.find(STEADY_ROW)).items():
            np.save(Path(folder) / f"{name}.npy", array)
        for name in names:
            with Worker(name, 2) as worker:
                worker.ask("prepare", row=STEADY_ROW, folder=folder, dtype="float32")
                for beside in ("nothing", "burner"):
                    taken = _beside(beside, lambda w=worker: w.ask("burst", seconds=seconds)["seconds"])  # type: ignore[misc]
                    median, late = statistics.median(taken), float(np.percentile(taken, 99))
                    words = f"{name:<10}{beside:<10}{1e3 * median:>10.3f}{1e3 * late:>10.3f}"
                    print(f"{words}{late / median:>12.2f}", flush=True)


def _beside(what: str, call: Callable[[], list[float]]) -> list[float]:
    """Call, with the burner running where it is wanted."""
    if what == "nothing":
        return call()
    with subprocess.Popen([sys.executable, "-c", BURNER]) as burner:
        try:
            time.sleep(0.3)
            return call()
        finally:
            burner.kill()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calls", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # "all", as Python 3.11 takes an empty list for a choice.
    parser.add_argument("what", nargs="*", default="all", choices=("overhead", "threads", "steady", "all"))
    parser.add_argument("--rows", metavar="PATTERN", help="for threads: rows whose name this regular expression finds")
    parser.add_argument("--more", action="store_true", help="for threads: rows of other sizes")
    args = parser.parse_args(argv)
    wanted = ["overhead", "threads", "steady"] if "all" in args.what else args.what
    if "overhead" in wanted:
        overhead()
    if "threads" in wanted:
        if (os.cpu_count() or 1) < 2:
            print("one CPU only: nothing to compare")
        pycnn.set_num_threads(2)
        threads(bench_rows.select(bench_rows.rows(more=args.more), pattern=args.rows))
    if "steady" in wanted:
        steady()


if __name__ == "__main__":
    main()
