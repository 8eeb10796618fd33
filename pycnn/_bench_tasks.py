"""How pycnn computes a row of the benchmarks, as a loop of a user would call it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pycnn import functional as F
from pycnn._bench_rows import Array, Conv, Pool, Row, Step


@dataclass
class Task:
    """A row that is ready to run: ``run()`` computes it once and is what is timed, ``answer()`` gives the result."""

    run: Callable[[], Any]
    answer: Callable[[], Array]


def prepare(row: Row, arrays: dict[str, Array], *, reuse: bool = True) -> Task:
    """Return the row as calls of `pycnn.functional` or, for a training step, of `pycnn.nn`.

    Parameters
    ----------
    row : Row
    arrays : dict
        Those of `_bench_rows.arrays`; their dtype is that of the computation, but for a training step.
    reuse : bool
        Whether calls write into the same array by ``out=``; otherwise each makes its own.
    """
    match row:
        case Conv():
            return _conv(row, arrays, reuse)
        case Pool():
            return _pool(row, arrays, reuse)
        case Step():
            return _step(row, arrays)


def _conv(row: Conv, arrays: dict[str, Array], reuse: bool) -> Task:
    x, w, dy = arrays["x"], arrays["w"], arrays["dy"]
    sizes = (row.stride, row.padding, row.dilation, row.groups)
    if row.kind == "forward":
        return _with_out(lambda out: F.conv2d(x, w, None, *sizes, out=out), reuse)
    place = 0 if row.kind == "input" else 1

    def gradient(out: Array | None) -> Array:
        outs = (out, None, None) if place == 0 else (None, out, None)
        found = F.conv2d_backward(dy, x, w, *sizes, needs=(row.kind,), out=outs)[place]
        assert found is not None
        return found

    return _with_out(gradient, reuse)


def _pool(row: Pool, arrays: dict[str, Array], reuse: bool) -> Task:
    x, dy = arrays["x"], arrays["dy"]
    window = (row.kernel, row.stride, row.padding)
    match row.op, row.way:
        case "max", "forward":
            return _with_out(lambda out: np.asarray(F.max_pool2d(x, *window, out=out)), reuse)
        case "max", "indices":
            return _with_out(lambda out: F.max_pool2d(x, *window, return_indices="compact", out=out)[0], reuse)
        case "max", "backward":
            winners = F.max_pool2d(x, *window, return_indices="compact")[1]
            return _with_out(lambda out: F.max_pool2d_backward(dy, winners, x.shape, *window, out=out), reuse)
        case "avg", "forward":
            return _with_out(lambda out: F.avg_pool2d(x, *window, out=out), reuse)
        case "avg", "backward":
            return _with_out(lambda out: F.avg_pool2d_backward(dy, x.shape, *window, out=out), reuse)
        case "global", "forward":
            return _with_out(lambda out: F.adaptive_avg_pool2d(x, 1, out=out), reuse)
        case "global", "backward":
            return _with_out(lambda out: F.adaptive_avg_pool2d_backward(dy, x.shape, 1, out=out), reuse)
    raise ValueError(f"no such pooling: {row}")


def _with_out(compute: Callable[[Array | None], Array], reuse: bool) -> Task:
    first = compute(None)
    out = first if reuse else None
    return Task(lambda: compute(out), lambda: compute(out))


def batches(row: Step, arrays: dict[str, Array]) -> Iterator[tuple[Array, Array]]:
    """Yield images and labels of the steps that make up the row."""
    from pycnn import data

    x, labels = arrays["x"], arrays["labels"]
    if not row.images:
        yield x, labels
        return
    mean, std = data.channel_stats(x[:256])
    for images, wanted in data.batches(x, labels, row.batch, rng=np.random.default_rng(0)):
        yield data.normalize(images, mean, std), wanted


def _step(row: Step, arrays: dict[str, Array]) -> Task:
    from pycnn import models, nn, optim

    dtype = row.dtype if row.images else arrays["x"].dtype
    net = models.build(row.network, in_channels=row.channels, input_size=row.size, rng=0).to(dtype).train()
    loss = nn.CrossEntropyLoss()
    update = optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)

    def gradients(x: Array, labels: Array) -> float:
        value = float(loss(net(x), labels))
        update.zero_grad()
        net.backward(loss.backward(), needs_input_grad=False)
        return value

    def run() -> None:
        for x, labels in batches(row, arrays):
            gradients(x, labels)
            update.step()

    def answer() -> Array:
        """Loss and all gradients of the first step without dropout, which is random."""
        drops = [part for part in net.modules() if isinstance(part, nn.Dropout)]
        chances = [part.p for part in drops]
        for part in drops:
            part.p = 0.0
        flat = [np.array([gradients(*next(batches(row, arrays)))], dtype)]
        flat += [np.ravel(p.grad) for p in net.parameters() if p.grad is not None]
        for part, p in zip(drops, chances, strict=True):
            part.p = p
        return np.concatenate(flat)

    return Task(run, answer)
