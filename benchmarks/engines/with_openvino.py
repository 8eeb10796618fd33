"""OpenVINO: inference in NCHW, or in NHWC where its convolutions need no reordering; the same memory at every call."""

import numpy as np
import openvino as ov
from openvino.preprocess import PrePostProcessor

from benchmarks.engines import Task, Unsupported, onnx_model
from pycnn._bench_rows import Array, Row


class Engine:
    """A compiled model for each row, in full precision: the default may be bfloat16."""

    def __init__(self, threads: int, *, reuse: bool, channels_last: bool = False) -> None:
        self.version = str(ov.__version__).split("-")[0]
        self.core = ov.Core()
        self.channels_last = channels_last
        self.config = {
            "INFERENCE_NUM_THREADS": str(threads),
            "NUM_STREAMS": "1",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def prepare(self, row: Row, arrays: dict[str, Array]) -> Task:
        if row.dtype != "float32":
            raise Unsupported("computes in float32")
        model = self.core.read_model(onnx_model.build(row, arrays))
        x = arrays["x"]
        if self.channels_last:
            model, x = _nhwc(model), np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        compiled = self.core.compile_model(model, "CPU", self.config)
        request = compiled.create_infer_request()
        request.set_input_tensor(ov.Tensor(x))

        def answer() -> Array:
            request.infer()
            y = np.array(request.get_output_tensor().data)
            return y.transpose(0, 3, 1, 2) if self.channels_last else y

        return Task(request.infer, answer)


def _nhwc(model: ov.Model) -> ov.Model:
    """Return the model with input and output tensors in NHWC."""
    change = PrePostProcessor(model)
    change.input().tensor().set_layout(ov.Layout("NHWC"))
    change.input().model().set_layout(ov.Layout("NCHW"))
    change.output().tensor().set_layout(ov.Layout("NHWC"))
    change.output().model().set_layout(ov.Layout("NCHW"))
    return change.build()
