"""PyTorch in NCHW or channels_last: the only one that has all the gradients.

It makes a new tensor for every result; there is no way to give it one for a convolution.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import twin
from benchmarks.engines import Task, Unsupported
from pycnn import _bench_tasks as bench_tasks
from pycnn._bench_rows import Array, Conv, Pool, Row, Step

aten = torch.ops.aten


class Engine:
    """Calls the operators below autograd, so that exactly one gradient is computed and timed."""

    def __init__(self, threads: int, *, reuse: bool, channels_last: bool = False, packed: bool = False) -> None:
        torch.set_num_threads(threads)
        self.version = f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()}"
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.packed = packed

    def prepare(self, row: Row, arrays: dict[str, Array]) -> Task:
        if isinstance(row, Step):
            return self._step(row, arrays)
        tensors = {name: self._tensor(array) for name, array in arrays.items()}
        if self.packed:
            return _task(_packed_conv(row, tensors))
        return _task(_conv(row, tensors) if isinstance(row, Conv) else _pool(row, tensors))

    def _tensor(self, array: Array) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        return tensor.contiguous(memory_format=self.layout) if tensor.ndim == 4 else tensor

    def _step(self, row: Step, arrays: dict[str, Array]) -> Task:
        if self.packed:
            raise Unsupported("forward only")
        net = twin.network(row).to(memory_format=self.layout).train()
        update = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4, fused=True)

        def gradients(x: Array, labels: Array) -> torch.Tensor:
            loss = F.cross_entropy(net(self._tensor(x)), self._tensor(labels))
            update.zero_grad()
            loss.backward()
            return loss.detach()

        def run() -> None:
            for x, labels in bench_tasks.batches(row, arrays):
                gradients(x, labels).item()
                update.step()

        def answer() -> Array:
            drops = [part for part in net.modules() if isinstance(part, torch.nn.Dropout)]
            chances = [part.p for part in drops]
            for part in drops:
                part.p = 0.0
            flat = [gradients(*next(bench_tasks.batches(row, arrays))).reshape(1)]
            flat += [p.grad.contiguous().reshape(-1) for p in net.parameters() if p.grad is not None]
            for part, p in zip(drops, chances, strict=True):
                part.p = p
            return np.asarray(torch.cat(flat).numpy())

        return Task(run, answer)


def _task(compute: Callable[[], torch.Tensor]) -> Task:
    def run() -> None:
        with torch.inference_mode():
            compute()

    def answer() -> Array:
        with torch.inference_mode():
            return np.asarray(compute().contiguous().numpy())

    return Task(run, answer)


def _conv(row: Conv, tensors: dict[str, torch.Tensor]) -> Callable[[], torch.Tensor]:
    x, w, dy = tensors["x"], tensors["w"], tensors["dy"]
    stride, padding, dilation = ([value] * 2 for value in (row.stride, row.padding, row.dilation))
    if row.kind == "forward":
        return lambda: F.conv2d(x, w, None, row.stride, row.padding, row.dilation, row.groups)
    place = 0 if row.kind == "input" else 1
    mask = [place == 0, place == 1, False]
    rest: tuple[Any, ...] = (None, stride, padding, dilation, False, [0, 0], row.groups, mask)

    def gradient() -> torch.Tensor:
        found: torch.Tensor = aten.convolution_backward(dy, x, w, *rest)[place]
        return found

    return gradient


def _packed_conv(row: Row, tensors: dict[str, torch.Tensor]) -> Callable[[], torch.Tensor]:
    """The operator that compiled networks call for inference: weights in oneDNN's own layout."""
    if not isinstance(row, Conv) or row.kind != "forward" or row.dtype != "float32":
        raise Unsupported("forward convolution in float32 only")
    x, w = tensors["x"], tensors["w"]
    stride, padding, dilation = ([value] * 2 for value in (row.stride, row.padding, row.dilation))
    packed = torch.ops.mkldnn._reorder_convolution_weight(w, padding, stride, dilation, row.groups, list(x.shape))
    rest: tuple[Any, ...] = (None, padding, stride, dilation, row.groups, "none", [], "")
    return lambda: torch.ops.mkldnn._convolution_pointwise(x, packed, *rest)


def _pool(row: Pool, tensors: dict[str, torch.Tensor]) -> Callable[[], torch.Tensor]:
    x, dy = tensors["x"], tensors["dy"]
    kernel, stride, padding, dilation = ([value] * 2 for value in (row.kernel, row.stride, row.padding, 1))
    cells = row.kernel**2
    match row.op, row.way:
        case "max", "forward" | "indices":
            return lambda: F.max_pool2d(x, kernel, stride, padding)  # it always finds the indices
        case "max", "backward":
            winners = F.max_pool2d(x, kernel, stride, padding, return_indices=True)[1]
            window = (kernel, stride, padding, dilation, False)
            return lambda: aten.max_pool2d_with_indices_backward(dy, x, *window, winners)
        case "avg", "forward":
            return lambda: F.avg_pool2d(x, kernel, stride, padding)
        case "avg", "backward":
            return lambda: aten.avg_pool2d_backward(dy, x, kernel, stride, padding, False, True, None)
        case "global", "forward":
            return lambda: F.adaptive_avg_pool2d(x, 1)
        case "global", "backward":
            return lambda: dy.expand(x.shape) / cells  # what autograd does
    raise Unsupported(f"{row.op} {row.way}")
