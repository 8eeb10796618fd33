from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

# By the name of the C type: "float" or "double".
max_backward: Mapping[str, Callable[[_Array, _Array, _Array, tuple[int, ...]], None]]
mean_backward: Mapping[str, Callable[[_Array, _Array, tuple[int, ...], bool, float], None]]
