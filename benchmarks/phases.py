"""Where the time of one row goes: packing, transforms, register tiles, writing out, and what is around them.

    python -m benchmarks.phases 'forward/64@56-64 3x3 n16'
    python -m benchmarks.phases 'weight/128@28.* n16' --threads 1 --symbols 20

Builds the library with symbols into build/profile (release flags, PYCNN_BUILD=profile), runs the one row that the
regular expression finds for some seconds under ``perf record``, and adds up the samples by the names of the functions.
What the compiler inlined counts for the function that it was inlined into. Needs perf (Linux).
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.workers import ROOT
from pycnn import _bench, _bench_tasks
from pycnn import _bench_rows as bench_rows

BASE = ROOT / "build" / "profile"
# The first pattern that finds the name of a function says its phase. Names that a kernel file adds belong here.
PHASES = (
    ("transform", r"wino|_lanes|transform|_make_[uvy]|inverse|_filters|_inputs|_weights_f"),
    ("pack", r"pack_|_pack|turn|find_runs|memmove|memcpy|gather|spread"),
    ("epilogue", r"store|_write|_sum_|scatter|epilogue"),
    ("tile", r"packed_|rows_\d|_multiply|outer|_thin|dot_|tile|max_|merge|select|split|bin_|mean_|moments|relu|affine"),
)
AROUND = ("loops", "memory", "threads", "python", "other")


def phase(library: str, symbol: str) -> str:
    """Return the phase of a function of a shared library, as perf names them."""
    if symbol.startswith("pool_") or re.search(r"futex|worker|sched|spin", symbol):
        return "threads"
    if re.search(r"clear_page|page_fault|mmap|munmap|memset|madvise|fault", symbol):
        return "memory"
    if "pycnn" in library or library.startswith(("conv", "pooling", "_runtime", "_patches", "gemm", "norm")):
        found = next((name for name, pattern in PHASES if re.search(pattern, symbol)), "loops")
        return found
    if re.search(r"mem(cpy|move)", symbol):
        return "pack"
    return "python" if "python" in library else "other"


def build() -> Path:
    """Build with symbols and return the folder to import from; only what has changed is compiled."""
    print("building with symbols into build/profile", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-base", str(BASE)],
        cwd=ROOT, env=os.environ | {"PYCNN_BUILD": "profile"}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the build failed:\n{done.stderr[-2000:]}")
    return next(BASE.glob(f"lib*-{sys.implementation.cache_tag}"))


def record(row: str, threads: int, seconds: float, place: Path) -> list[tuple[float, str, str]]:
    """Return (percent, library, function) of the samples of a process that computes the row again and again."""
    perf = shutil.which("perf")
    if perf is None:
        raise SystemExit("benchmarks.phases needs perf: install linux-perf, or linux-tools of your kernel")
    path = os.pathsep.join((str(place), str(ROOT)))
    child = [sys.executable, "-P", "-m", "benchmarks.phases", row, "--run", "--threads", str(threads)]
    with tempfile.TemporaryDirectory() as folder:
        file, control = str(Path(folder) / "perf.data"), str(Path(folder) / "control")
        os.mkfifo(control)  # the child switches perf on when it begins to compute
        perf_options = ["-q", "-F", "2000", "-o", file, "-D", "-1", "--control", f"fifo:{control}"]
        recorded = subprocess.run(
            [perf, "record", *perf_options, "--", *child, "--seconds", str(seconds), "--control", control],
            env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
        )  # fmt: skip
        if recorded.returncode:
            raise SystemExit(f"perf record failed:\n{recorded.stderr[-2000:]}")
        print(recorded.stdout, end="")
        options = ["--stdio", "-q", "--sort", "dso,symbol", "-F", "overhead,dso,symbol", "-t", "|", "-i", file]
        text = subprocess.run([perf, "report", *options], capture_output=True, text=True, check=True).stdout
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) >= 3 and parts[0].endswith("%"):
            found.append((float(parts[0][:-1]), parts[1], re.sub(r"^\[.\] ", "", parts[2])))
    return found


def show(samples: Sequence[tuple[float, str, str]], symbols: int) -> None:
    """Print the share of each phase and the functions that take most."""
    shares = dict.fromkeys((*(name for name, _ in PHASES), *AROUND), 0.0)
    for percent, library, symbol in samples:
        shares[phase(library, symbol)] += percent
    for name, share in shares.items():
        if share >= 0.1:
            print(f"{name:<10}{share:6.1f} %")
    print()
    for percent, library, symbol in sorted(samples, reverse=True)[:symbols]:
        short = re.sub(r"^.*__pyx_f_5pycnn_7kernels_\d+", "", symbol)
        print(f"{percent:6.1f} %  {phase(library, symbol):<10}{short}  ({library.split('.')[0]})")


def compute(row: bench_rows.Row, threads: int, seconds: float, control: str) -> None:
    """Compute the row for some seconds: what runs under perf, which reads from the pipe when to begin."""
    import pycnn

    pycnn.set_num_threads(threads)
    run = _bench_tasks.prepare(row, bench_rows.arrays(row)).run
    run()
    with open(control, "w") as switch:
        print("enable", file=switch, flush=True)
        taken = _bench.burst(run, seconds)
        print("disable", file=switch, flush=True)
    median = _bench.milliseconds(statistics.median(taken))
    print(f"{bench_rows.identifier(row)}, {threads} threads: median {median} ms of {len(taken)} calls")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.phases", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", help="regular expression that finds the row; the first one counts")
    parser.add_argument("--threads", metavar="N", type=int, default=2)
    parser.add_argument("--seconds", metavar="S", type=float, default=3.0)
    parser.add_argument("--symbols", metavar="N", type=int, default=12, help="how many functions to list")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--control", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    candidates = [*bench_rows.rows(), *bench_rows.rows(more=True)]
    row = bench_rows.select(candidates, pattern=args.row)[0]
    if args.run:
        compute(row, args.threads, args.seconds, args.control)
        return
    name = "^" + re.escape(bench_rows.identifier(row)) + "$"
    show(record(name, args.threads, args.seconds, build()), args.symbols)


if __name__ == "__main__":
    main()
