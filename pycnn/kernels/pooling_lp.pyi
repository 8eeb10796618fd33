from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

# By the name of the C type: "float" or "double".
forward: Mapping[str, Callable[[_Array, _Array, tuple[int, ...], float], None]]
backward: Mapping[str, Callable[[_Array, _Array, _Array, tuple[int, ...], float], None]]
