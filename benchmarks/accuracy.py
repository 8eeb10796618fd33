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
ALGORITHMS = ("direct", "winograd2", "winograd4")


def passes(x: Array, weight: Array, delta: Array) -> tuple[Any, Any, Any]:
    """Return y, dx and dw of a 3 x 3 convolution with padding 1."""
    dx, dw, _ = F.conv2d_backward(delta, x, weight, padding=1, needs=("input", "weight"))
    return F.conv2d(x, weight, padding=1), dx, dw


def errors(channels: int, kind: str, algorithm: str, seed: int) -> list[float]:
    """Relative errors of the three passes."""
    rng = np.random.default_rng([channels, seed])
    x = KINDS[kind](rng, (1, channels, 16, 16)).astype(np.float32)
    weight = rng.standard_normal((channels, channels, 3, 3)).astype(np.float32)
    delta = rng.standard_normal((1, channels, 16, 16)).astype(np.float32)
    _runtime.set_algorithm("direct")
    want = passes(*(a.astype(np.float64) for a in (x, weight, delta)))
    _runtime.set_algorithm(algorithm)
    got = passes(x, weight, delta)
    return [float(np.abs(g - w).max() / np.abs(w).max()) for g, w in zip(got, want)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    print(f"{'algorithm':10} {'data':8} {'channels':>8}" + "".join(f"{name:>10}" for name in PASSES))
    try:
        for algorithm in ALGORITHMS:
            for kind in KINDS:
                for channels in (4, 16, 64, 128, 256, 512):
                    worst = np.max([errors(channels, kind, algorithm, seed) for seed in range(args.seeds)], axis=0)
                    print(f"{algorithm:10} {kind:8} {channels:8}" + "".join(f"{e:10.1e}" for e in worst), flush=True)
    finally:
        _runtime.set_algorithm("")


if __name__ == "__main__":
    main()
