from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

SQUARE: int
LOGIT: int

# One function for each number type: "float", "double".
softmax: Mapping[str, Callable[..., None]]
softmax_backward: Mapping[str, Callable[..., None]]
cross_entropy: Mapping[str, Callable[..., tuple[float, float]]]
cross_entropy_backward: Mapping[str, Callable[..., None]]
error: Mapping[str, Callable[..., float]]
error_backward: Mapping[str, Callable[..., None]]

def bad_label(labels: np.ndarray[Any, Any], classes: int, has_ignored: bool, ignored: int) -> int: ...
