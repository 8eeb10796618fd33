"""Measure pycnn on this machine: what ``pycnn bench`` does. ``benchmarks/`` compares with other libraries."""

import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pycnn
from pycnn import _bench_rows as bench_rows
from pycnn import _bench_tasks as bench_tasks
from pycnn._bench_rows import Row


@dataclass(frozen=True)
class Timing:
    """What one row took: seconds of each call."""

    row: Row
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds of the call in the middle."""
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        """Seconds of the fastest call."""
        return min(self.seconds)

    def record(self) -> dict[str, Any]:
        """Return the numbers as JSON takes them."""
        return {
            "row": bench_rows.identifier(self.row),
            "median": self.median,
            "min": self.least,
            "calls": len(self.seconds),
            "flops": self.row.flops,
            "bytes": self.row.bytes,
        }


def burst(call: Callable[[], Any], seconds: float) -> list[float]:
    """Call for about so long, once at least, and return the seconds of each call.

    One call goes before the clock starts: it wakes the threads and fills the caches.
    """
    call()
    clock, taken = time.perf_counter, []
    begin = clock()
    while True:
        before = clock()
        call()
        after = clock()
        taken.append(after - before)
        if after - begin >= seconds:
            return taken


def measure(rows: Iterable[Row], seconds: float = 0.3) -> Iterator[Timing]:
    """Yield what each row takes, with the threads that are set; the array for the result is reused."""
    for row in rows:
        task = bench_tasks.prepare(row, bench_rows.arrays(row))
        yield Timing(row, tuple(burst(task.run, seconds)))


def amount(row: Row, seconds: float) -> str:
    """Return the rate in the unit that suits the row: GFLOP/s, or GB/s where each byte meets few operations."""
    if row.flops >= 32 * row.bytes:
        return f"{row.flops / seconds / 1e9:.1f} GFLOP/s"
    return f"{row.bytes / seconds / 1e9:.1f} GB/s"


def milliseconds(seconds: float) -> str:
    """Return milliseconds with three digits that count."""
    value = 1e3 * seconds
    return f"{value:.3f}" if value < 10 else f"{value:.2f}" if value < 100 else f"{value:.1f}"


def _line(timing: Timing) -> Sequence[str]:
    row = timing.row
    return (
        row.kind,
        row.name,
        row.dtype,
        milliseconds(timing.median),
        milliseconds(timing.least),
        amount(row, timing.median),
    )


def command(
    *,
    pattern: str | None = None,
    kinds: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    more: bool = False,
    quick: bool = False,
    file: str | None = None,
) -> None:
    """Measure the selected rows, print a table line by line, and write the numbers to a JSON file.

    Parameters
    ----------
    pattern : str, optional
        Regular expression that finds the names of rows.
    kinds, dtypes : sequence of str
        As in `_bench_rows.select`.
    more : bool
        The rows with other sizes instead.
    quick : bool
        A few tiny rows in a second: shows that everything works, not how fast.
    file : str, optional
        Where to write the JSON.

    Raises
    ------
    ValueError
        When no row is selected.
    OSError
        When the file cannot be written; before anything is measured.
    """
    candidates = bench_rows.QUICK if quick else bench_rows.rows(more=more)
    rows = bench_rows.select(candidates, pattern=pattern, kinds=kinds, dtypes=dtypes)
    if file is not None:
        Path(file).write_text("")
    config = pycnn.config()
    print(f"pycnn {pycnn.__version__}, {config['isa']}, {config['threads']} threads")
    width = max(len(row.name) for row in rows)
    form = f"{{:<8}}{{:<{width + 2}}}{{:<9}}{{:>10}}{{:>10}}{{:>16}}"
    print(form.format("kind", "row", "dtype", "median ms", "min ms", "rate"), flush=True)
    records = []
    for timing in measure(rows, 0.01 if quick else 0.3):
        print(form.format(*_line(timing)), flush=True)
        records.append(timing.record())
    if file is not None:
        Path(file).write_text(json.dumps({"config": config, "rows": records}, indent=1))
