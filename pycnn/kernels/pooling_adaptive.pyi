from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Ints = tuple[int, ...]

def mean_forward(x: _Array, y: _Array, order: _Ints, divisor: float) -> None: ...
def mean_backward(dy: _Array, dx: _Array, order: _Ints, divisor: float) -> None: ...
