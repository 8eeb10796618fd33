"""MNN: inference in its own layout (channels in fours), in and out."""

import tempfile
from pathlib import Path

import MNN
import MNN.expr as F
import MNN.nn
import numpy as np

from benchmarks.engines import Task, Unsupported
from pycnn._bench_rows import Array, Conv, Pool, Row


class Engine:
    """A saved and loaded module of one layer for each row, in full precision, its weights rearranged when loaded."""

    def __init__(self, threads: int, *, reuse: bool) -> None:
        self.version = str(MNN.version())
        self.options = {
            "thread_num": threads,
            "precision_mode": F.PrecisionMode.High,
            "shape_mutable": False,
            "rearrange": True,
        }

    def prepare(self, row: Row, arrays: dict[str, Array]) -> Task:
        if row.dtype != "float32":
            raise Unsupported("computes in float32")
        start = F.placeholder(list(row.shapes["x"]), F.NC4HW4, F.float)
        start.name = "x"
        end = _layer(start, row, arrays)
        end.name = "y"
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder) / "row.mnn")
            F.save([end], file)
            module = MNN.nn.load_module_from_file(file, ["x"], ["y"], **self.options)
        x = F.placeholder(list(row.shapes["x"]), F.NCHW, F.float)
        x.write(np.ascontiguousarray(arrays["x"]))
        x = F.convert(x, F.NC4HW4)
        x.fix_as_const()

        def answer() -> Array:
            return np.array(F.convert(module.forward([x])[0], F.NCHW).read())

        return Task(lambda: module.forward([x]), answer)


def _layer(x: F.Var, row: Row, arrays: dict[str, Array]) -> F.Var:
    if isinstance(row, Conv) and row.kind == "forward":
        weights = F.const(np.ascontiguousarray(arrays["w"]), list(row.shapes["w"]), F.NCHW, F.float)
        bias = F.const(np.zeros(row.filters, np.float32), [row.filters], F.NCHW, F.float)
        stride, padding, dilation = ((value, value) for value in (row.stride, row.padding, row.dilation))
        return F.conv2d(x, weights, bias, stride, padding, dilation, row.groups, F.CAFFE)
    if isinstance(row, Pool) and row.way == "forward":
        if row.op != "global" and (row.size + 2 * row.padding - row.kernel) % row.stride:
            raise Unsupported("adds a window that starts in the padding")
        pool = F.max_pool if row.op == "max" else F.avg_pool
        kernel = [row.size if row.op == "global" else row.kernel] * 2
        return pool(x, kernel, [row.stride] * 2, F.CAFFE, [row.padding] * 2)
    raise Unsupported("inference only")
