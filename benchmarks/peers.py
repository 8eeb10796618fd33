"""Compare pycnn with every library that is installed, row by row, and print a table.

    python -m benchmarks.peers                            # everything: some minutes on an idle machine
    python -m benchmarks.peers --kind forward --rows 3x3  # some rows
    python -m benchmarks.peers --quick                    # tiny rows, to see that it works

Each library runs in a process of its own, in its own layout with its own tensors and prepared weights, on as many
threads as pycnn. They take turns in short bursts; between its turns a process is stopped. Before a library is timed,
its answer is compared with pycnn's direct computation in float64. The machine's multiply-adds and copies are measured
in between, and the table shows our share of whichever limits the row ("of peak"; G/s is GFLOP/s for F, GB/s for B, the
arithmetic always that of the direct sum). "ratio" is the fastest peer's median (marked *) over ours, "by min" the same
of the shortest calls. pycnn writes its results into the same array each time; with --fresh it makes a new one, as the
others do.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pycnn
from benchmarks import engines, table
from benchmarks.compare import Arena, Outcome
from benchmarks.probe import Probe
from benchmarks.workers import Worker
from pycnn import _bench_rows as bench_rows

# Both sides without AVX-512; the other libraries have no such switch.
AVX2 = {"PYCNN_ISA": "avx2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
# glibc keeps large blocks instead of returning them: for libraries that allocate a result per call, no page faults.
RECYCLE = {"MALLOC_MMAP_THRESHOLD_": str(1 << 40), "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


def words(text: str) -> tuple[str, ...]:
    """Split at commas."""
    return tuple(filter(None, text.split(",")))


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", metavar="PATTERN", help="only rows in whose name this regular expression is found")
    parser.add_argument("--kind", metavar="K,K", type=words, default=(), help=f"of {', '.join(bench_rows.KINDS)}")
    parser.add_argument("--dtype", metavar="D,D", type=words, default=(), help=f"of {', '.join(bench_rows.DTYPES)}")
    parser.add_argument("--more", action="store_true", help="rows of other sizes")
    parser.add_argument("--quick", action="store_true", help="tiny rows")
    parser.add_argument("--peers", metavar="P,P", type=words, help=f"of {', '.join(engines.ENGINES)}; '' for none")
    parser.add_argument("--threads", metavar="N", type=int, default=2)
    parser.add_argument("--rounds", metavar="N", type=int, default=8, help="turns of each library on each row")
    parser.add_argument("--burst", metavar="MS", type=float, default=40, help="how long a turn lasts")
    parser.add_argument("--fresh", action="store_true", help="pycnn makes a new array for each result")
    parser.add_argument("--recycle", action="store_true", help="keep freed memory in all processes (glibc)")
    parser.add_argument("--avx2", action="store_true", help="PyTorch only, both sides limited to AVX2")
    parser.add_argument("--json", metavar="FILE", help="write everything there")
    parser.add_argument("--markdown", metavar="FILE", help="write the table there")
    return parser.parse_args(argv)


def chosen_peers(args: argparse.Namespace) -> list[str]:
    """Return the peers that take part; SystemExit for one that is unknown or missing."""
    there = engines.installed()
    if args.peers is not None:
        for name in args.peers:
            if name not in there:
                raise SystemExit(f"{name}: {'not installed' if name in engines.ENGINES else 'unknown'}")
        return list(args.peers)
    return [name for name in there if name != "pycnn" and (name.startswith("torch") or not args.avx2)]


def machine(probe: Probe | None) -> dict[str, Any]:
    """Describe the machine in words and numbers."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for text in Path("/proc/cpuinfo").read_text().splitlines():
            if text.startswith("model name"):
                cpu = text.split(":", 1)[1].strip()
                break
    found: dict[str, Any] = {"cpu": cpu, "cpus": os.cpu_count(), "isa": pycnn.config()["isa"]}
    found["load"] = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if probe is not None:
        found["fma"] = max(probe.fma("float32") for _ in range(10))
        found["copy"] = max(probe.copy(256 << 20, 0.05) for _ in range(4))
    return found


def start(args: argparse.Namespace, peers: Sequence[str], stack: contextlib.ExitStack) -> dict[str, Worker]:
    """Start a worker for pycnn and for each peer; one that does not start is told and left out."""
    environment = (AVX2 if args.avx2 else {}) | (RECYCLE if args.recycle else {})
    options = ["fresh"] if args.fresh else []
    workers: dict[str, Worker] = {}
    for name in ("pycnn", *peers):
        worker = Worker(name, args.threads, environment, options=options)
        stack.callback(lambda name: workers[name].close(), name)  # the one that is there then
        workers[name] = worker
    return workers


def make_probe(threads: int) -> Probe | None:
    try:
        return Probe(str(pycnn.config()["isa"]), threads)
    except OSError as error:
        print(f"the machine's peak is not measured: {error}", file=sys.stderr)
        return None


def run(args: argparse.Namespace) -> list[Outcome]:
    """Compare, print line by line, and return what came out."""
    candidates = bench_rows.QUICK if args.quick else bench_rows.rows(more=args.more)
    rows = bench_rows.select(candidates, pattern=args.rows, kinds=args.kind, dtypes=args.dtype)
    peers = chosen_peers(args)
    probe = make_probe(args.threads)
    about = machine(probe)
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pycnn-bench-", dir=shared)))
        judge = stack.enter_context(Worker("pycnn", args.threads, {"PYCNN_EXACT": "1"}))
        workers = start(args, peers, stack)
        about["versions"] = {name: worker.version for name, worker in workers.items()}
        print(describe(about, args.threads))
        arena = Arena(workers, judge, probe, folder, args.rounds, args.burst / 1e3)
        printer = table.Printer(max(len(row.name) for row in rows), peers)
        printer.show(table.head(peers))
        outcomes = []
        for row in rows:
            outcomes.append(arena.run(row))
            printer.show(table.line(outcomes[-1], peers))
    print("\n".join(table.summary(outcomes)))
    write(args, about, outcomes, peers)
    return outcomes


def describe(about: dict[str, Any], threads: int) -> str:
    """Return a line about the machine and one about the libraries."""
    peak = f", {about['fma'] / 1e9:.0f} GFLOP/s, copies {about['copy'] / 1e9:.1f} GB/s" if "fma" in about else ""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    busy = f"busy: load {about['load']:.1f}; trust the shortest calls\n" if about["load"] > 0.5 else ""
    return f"{about['cpu']}, {threads} of {about['cpus']} CPUs{peak}\n{busy}{versions}\n"


def write(args: argparse.Namespace, about: dict[str, Any], outcomes: Sequence[Outcome], peers: Sequence[str]) -> None:
    """Write the files that were asked for."""
    if args.json:
        records = [outcome.record() for outcome in outcomes]
        Path(args.json).write_text(json.dumps({"machine": about, "threads": args.threads, "rows": records}, indent=1))
    if args.markdown:
        text = [describe(about, args.threads), table.markdown(outcomes, peers), *table.summary(outcomes), ""]
        Path(args.markdown).write_text("\n".join(text))


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    if args.avx2:
        os.environ.update(AVX2)
        from pycnn.kernels import _runtime

        _runtime.select_isa("avx2")
    try:
        run(args)
    except ValueError as error:
        raise SystemExit(f"benchmarks.peers: {error}") from None


if __name__ == "__main__":
    main()
