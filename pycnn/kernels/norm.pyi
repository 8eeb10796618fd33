from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# One function for each number type: "float", "double".
batch_stats: Mapping[str, Callable[..., None]]
gradient_sums: Mapping[str, Callable[..., None]]
move: Mapping[str, Callable[..., None]]
normalise: Mapping[str, Callable[..., None]]
input_gradient: Mapping[str, Callable[..., None]]
response_norm: Mapping[str, Callable[..., None]]

def invert(var: np.ndarray[Any, Any], eps: float, inv_std: np.ndarray[Any, Any]) -> None: ...
