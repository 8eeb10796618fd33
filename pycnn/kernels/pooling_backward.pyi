from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Ints = tuple[int, ...]

def max_backward(dy: _Array, codes: _Array, dx: _Array, order: _Ints, numbers: _Ints) -> None: ...
def mean_backward(dy: _Array, dx: _Array, order: _Ints, numbers: _Ints, padded: bool, divisor: float) -> None: ...
