"""Whole epochs of training, pycnn and PyTorch in turns: seconds, images per second, and peak memory of the process.

    python -m benchmarks.epochs
    python -m benchmarks.epochs --rows vgg --rounds 3

Both get the same bytes from the same shuffled, normalised batches and update by SGD with momentum; the weights start
alike. Peak memory is that of the whole process, library and data set included; "training" is what it grew by after the
library had been imported.
"""

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import engines
from benchmarks.workers import Worker
from pycnn import _bench_rows as bench_rows
from pycnn._bench_rows import Step

LIBRARIES = ("pycnn", "torch", "torch-cl")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.epochs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", metavar="PATTERN", help="only networks in whose name this regular expression is found"
    )
    parser.add_argument("--threads", metavar="N", type=int, default=2)
    parser.add_argument("--rounds", metavar="N", type=int, default=2, help="turns of each library")
    args = parser.parse_args(argv)
    names = [name for name in LIBRARIES if name in engines.installed()]
    form = "{:<32}{:<10}{:>10}{:>10}{:>14}{:>14}"
    print(form.format("network", "library", "s/epoch", "images/s", "peak MB", "training MB"))
    for row in bench_rows.select(bench_rows.EPOCHS, pattern=args.rows):
        assert isinstance(row, Step)
        seconds, memory = compare(row, names, args.threads, args.rounds)
        for name in names:
            peak, grown = memory[name]
            speed = row.images / seconds[name]
            print(form.format(row.name, name, f"{seconds[name]:.2f}", f"{speed:.0f}", f"{peak:.0f}", f"{grown:.0f}"))
        others = [name for name in names if name != "pycnn"]
        if others:
            ratio = min(seconds[name] for name in others) / seconds["pycnn"]
            whole, grown = (memory["pycnn"][i] / min(memory[name][i] for name in others) for i in (0, 1))
            print(
                f"  time, PyTorch / pycnn: {ratio:.2f}; peak memory, pycnn / PyTorch: {whole:.2f}, training {grown:.2f}"
            )


def compare(
    row: Step, names: Sequence[str], threads: int, rounds: int
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Return median seconds of an epoch, and peak and grown memory in MB, by library."""
    taken: dict[str, list[float]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pycnn-bench-")))
        for name, array in bench_rows.arrays(row).items():
            np.save(folder / f"{name}.npy", array)
        workers = {name: stack.enter_context(Worker(name, threads)) for name in names}
        before = {name: worker.ask("memory")["peak"] for name, worker in workers.items()}
        for worker in workers.values():
            reply = worker.ask("prepare", row=bench_rows.identifier(row), folder=str(folder), dtype=row.dtype)
            if reply:
                raise SystemExit(f"{worker.engine}: {reply}")
        for _ in range(rounds):
            for name, worker in workers.items():
                taken[name] += worker.ask("burst", seconds=0)["seconds"]
        peaks = {name: worker.ask("memory")["peak"] for name, worker in workers.items()}
    seconds = {name: statistics.median(values) for name, values in taken.items()}
    return seconds, {name: (peaks[name] / 1e6, (peaks[name] - before[name]) / 1e6) for name in names}


if __name__ == "__main__":
    main()
