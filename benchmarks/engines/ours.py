"""pycnn itself."""

import pycnn
from pycnn import _bench_tasks as bench_tasks
from pycnn._bench_rows import Array, Row
from pycnn._bench_tasks import Task


class Engine:
    """Calls `pycnn.functional`, into the same array each time where `reuse` is set."""

    def __init__(self, threads: int, *, reuse: bool) -> None:
        pycnn.set_num_threads(threads)
        self.version = f"{pycnn.__version__} {pycnn.config()['isa']}"
        self.reuse = reuse

    def prepare(self, row: Row, arrays: dict[str, Array]) -> Task:
        return bench_tasks.prepare(row, arrays, reuse=self.reuse)
