"""A row as an ONNX model of one node, for the libraries that read ONNX."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks.engines import Unsupported
from pycnn._bench_rows import Array, Conv, Pool, Row

OPSET = 13  # old enough for every library


def build(row: Row, arrays: dict[str, Array]) -> bytes:
    """Return the model, from input "x" to output "y", its weights inside; `Unsupported` for gradients."""
    if isinstance(row, Conv) and row.kind == "forward":
        node = helper.make_node(
            "Conv", ["x", "w"], ["y"], kernel_shape=[row.kernel] * 2, strides=[row.stride] * 2,
            pads=[row.padding] * 4, dilations=[row.dilation] * 2, group=row.groups,
        )  # fmt: skip
        weights = [numpy_helper.from_array(np.ascontiguousarray(arrays["w"]), "w")]
    elif isinstance(row, Pool) and row.way == "forward":
        node, weights = _pool(row), []
    else:
        raise Unsupported("inference only")
    kind = TensorProto.DOUBLE if row.dtype == "float64" else TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, row.shapes[key]) for name, key in (("x", "x"), ("y", "dy"))]
    graph = helper.make_graph([node], "row", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


def _pool(row: Pool) -> "helper.NodeProto":
    if row.op == "global":
        return helper.make_node("GlobalAveragePool", ["x"], ["y"])
    extra = {} if row.op == "max" else {"count_include_pad": 1}
    window = {"kernel_shape": [row.kernel] * 2, "strides": [row.stride] * 2, "pads": [row.padding] * 4}
    return helper.make_node("MaxPool" if row.op == "max" else "AveragePool", ["x"], ["y"], **window, **extra)
