"""ONNX Runtime: inference in NCHW, input and output bound to the same memory at every call."""

import numpy as np
import onnxruntime as ort

from benchmarks.engines import Task, Unsupported, onnx_model
from pycnn._bench_rows import Array, Row


class Engine:
    """A session for each row."""

    def __init__(self, threads: int, *, reuse: bool) -> None:
        self.version = str(ort.__version__)
        self.options = ort.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.options.log_severity_level = 4

    def prepare(self, row: Row, arrays: dict[str, Array]) -> Task:
        model = onnx_model.build(row, arrays)
        try:
            session = ort.InferenceSession(model, self.options, providers=["CPUExecutionProvider"])
        except Exception as error:
            if "NOT_IMPLEMENTED" in str(error):
                raise Unsupported(f"not for {row.dtype}") from None
            raise
        x, y = np.ascontiguousarray(arrays["x"]), np.empty(row.shapes["dy"], row.dtype)
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(x))
        place = ort.OrtValue.ortvalue_from_numpy(y)
        binding.bind_ortvalue_output("y", place)

        def answer() -> Array:
            session.run_with_iobinding(binding)
            return np.asarray(place.numpy())

        return Task(lambda: session.run_with_iobinding(binding), answer)
