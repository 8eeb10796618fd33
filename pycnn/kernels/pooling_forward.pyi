from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

# By the name of the C type: "float" or "double".
max_forward: Mapping[str, Callable[[_Array, _Array, _Array | None, _Array | None, tuple[int, ...]], None]]
mean_forward: Mapping[str, Callable[[_Array, _Array, tuple[int, ...], bool, float], None]]
