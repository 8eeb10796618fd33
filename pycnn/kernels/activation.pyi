from collections.abc import Callable, Mapping

import numpy as np

RELU: int
LEAKY_RELU: int
SIGMOID: int
TANH: int
SILU: int
GELU: int
GELU_TANH: int
HARDSWISH: int
EXP: int
LOG: int

# One function for each number type: "float", "double".
forward: Mapping[str, Callable[..., None]]
backward: Mapping[str, Callable[..., None]]
keep: Mapping[str, Callable[..., None]]

def roll(kept: np.ndarray[tuple[int], np.dtype[np.uint8]], key: int, threshold: int) -> None: ...
