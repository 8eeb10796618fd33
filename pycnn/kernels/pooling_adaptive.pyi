from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

# By the name of the C type: "float" or "double".
mean_forward: Mapping[str, Callable[[_Array, _Array, float], None]]
mean_backward: Mapping[str, Callable[[_Array, _Array, float], None]]
