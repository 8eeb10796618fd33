from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

# By the name of the C type: "float" or "double". Each returns False where it leaves the windows to others.
max_forward: Mapping[str, Callable[[_Array, _Array, _Array | None, tuple[int, ...]], bool]]
mean_forward: Mapping[str, Callable[[_Array, _Array, tuple[int, ...], bool, float], bool]]
max_backward: Mapping[str, Callable[[_Array, _Array, _Array, tuple[int, ...]], bool]]
mean_backward: Mapping[str, Callable[[_Array, _Array, tuple[int, ...], bool, float], bool]]
