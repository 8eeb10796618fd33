"""ncnn: inference of single images, input and output in its packed layout where it has one."""

import tempfile
from pathlib import Path

import ncnn
import numpy as np

from benchmarks.engines import Task, Unsupported
from pycnn._bench_rows import Array, Conv, Pool, Row

PACKED = 1  # `extract` then leaves the output in the packed layout


class Engine:
    """A network of one layer for each row, in full precision, with the algorithms that are on by default."""

    def __init__(self, threads: int, *, reuse: bool) -> None:
        self.version = str(ncnn.__version__)
        self.threads = threads
        ncnn.set_omp_num_threads(threads)

    def prepare(self, row: Row, arrays: dict[str, Array]) -> Task:
        if row.dtype != "float32":
            raise Unsupported("computes in float32")
        if row.batch != 1:
            raise Unsupported("single images only")
        net = self._net(_layer(row), arrays.get("w") if isinstance(row, Conv) else None)
        x = ncnn.Mat(np.ascontiguousarray(arrays["x"][0])).clone()
        packed = ncnn.Mat()
        ncnn.convert_packing(x, packed, _lanes(x.c), net.opt)

        def run() -> ncnn.Mat:
            extractor = net.create_extractor()
            extractor.input("x", packed)
            return extractor.extract("y", PACKED)[1]

        def answer() -> Array:
            flat = ncnn.Mat()
            ncnn.convert_packing(run(), flat, 1, net.opt)
            return np.array(flat).reshape(row.shapes["dy"])

        return Task(run, answer)

    def _net(self, layer: str, weights: Array | None) -> ncnn.Net:
        net = ncnn.Net()
        net.opt.num_threads = self.threads
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
        with tempfile.TemporaryDirectory() as folder:
            graph, data = Path(folder) / "row.param", Path(folder) / "row.bin"
            graph.write_text(f"7767517\n2 2\nInput input 0 1 x\n{layer}\n")
            flag = b"\0\0\0\0"  # the weights that follow are float32
            data.write_bytes(b"" if weights is None else flag + weights.astype("<f4").tobytes())
            if net.load_param(str(graph)) or net.load_model(str(data)):
                raise RuntimeError(f"the network was not read: {layer}")
        return net


def _layer(row: Row) -> str:
    """Return the row as a line of ncnn's network format."""
    if isinstance(row, Conv) and row.kind == "forward":
        count = row.filters * (row.channels // row.groups) * row.kernel**2
        kind = "Convolution" if row.groups == 1 else "ConvolutionDepthWise"
        numbers = [row.filters, row.kernel, row.dilation, row.stride, row.padding, 0, count]
        words = [f"{i}={value}" for i, value in enumerate(numbers)] + ([f"7={row.groups}"] if row.groups > 1 else [])
        return f"{kind} layer 1 1 x y {' '.join(words)}"
    if isinstance(row, Pool) and row.way == "forward":
        if row.op == "global":
            return "Pooling layer 1 1 x y 0=1 4=1"
        valid_padding = 1
        numbers = [int(row.op == "avg"), row.kernel, row.stride, row.padding, 0, valid_padding, int(row.op == "avg")]
        return f"Pooling layer 1 1 x y {' '.join(f'{i}={value}' for i, value in enumerate(numbers))}"
    raise Unsupported("inference only")


def _lanes(channels: int) -> int:
    """Return how many channels a vector of this CPU can hold of a plane."""
    most = 16 if _has("avx512f") else 8 if ncnn.cpu_support_x86_avx() else 4
    return next((lanes for lanes in (16, 8, 4) if lanes <= most and channels % lanes == 0), 1)


def _has(flag: str) -> bool:
    try:
        return flag in Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
