"""Prints the rounding error of each convolution algorithm by channel count, against the plain sum in float64.

    python -m benchmarks.accuracy

Each entry is max |y - y64| / max |y64| over a 16 x 16 image, the largest of several seeds. Data: uniform in [-1, 1],
normal, and normal cut off at 0 as behind a ReLU (weights normal).
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pycnn import functional as F
from pycnn.kernels import _runtime

Array = npt.NDArray[Any]
KINDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "uniform": lambda rng, shape: rng.uniform(-1, 1, shape),
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "relu": lambda rng, shape: np.maximum(rng.standard_normal(shape), 0),
}
PASSES = ("forward", "input", "weight")
# Name, stride.
ALGORITHMS = (("direct", 1), ("winograd2", 1), ("winograd4", 1), ("direct", 2), ("winograd4", 2))


def passes(x: Array, weight: Array, delta: Array, stride: int) -> tuple[Any, Any, Any]:
    """Return y, dx and dw of a 3 x 3 convolution with padding 1."""
    dx, dw, _ = F.conv2d_backward(delta, x, weight, stride, 1, needs=("input", "weight"))
    return F.conv2d(x, weight, None, stride, 1), dx, dw


def errors(channels: int, kind: str, algorithm: str, stride: int, seed: int) -> list[float]:
    """Relative errors of the three passes."""
    rng = np.random.default_rng([channels, seed])
    x = KINDS[kind](rng, (1, channels, 16, 16)).astype(np.float32)
    weight = rng.standard_normal((channels, channels, 3, 3)).astype(np.float32)
    delta = rng.standard_normal((1, channels, 16 // stride, 16 // stride)).astype(np.float32)
    _runtime.set_algorithm("direct")
    want = passes(x.astype(np.float64), weight.astype(np.float64), delta.astype(np.float64), stride)
    _runtime.set_algorithm(algorithm)
    got = passes(x, weight, delta, stride)
    return [float(np.abs(g - w).max() / np.abs(w).max()) for g, w in zip(got, want)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    print(f"{'algorithm':10} stride {'data':8} {'channels':>8}" + "".join(f"{name:>10}" for name in PASSES))
    try:
        for algorithm, stride in ALGORITHMS:
            for kind in KINDS:
                for channels in (4, 16, 64, 128, 256, 512):
                    found = [errors(channels, kind, algorithm, stride, seed) for seed in range(args.seeds)]
                    line = "".join(f"{e:10.1e}" for e in np.max(found, axis=0))
                    print(f"{algorithm:10} {stride:6} {kind:8} {channels:8}{line}", flush=True)
    finally:
        _runtime.set_algorithm("")


if __name__ == "__main__":
    main()
