from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Ints = tuple[int, ...]

def max_forward(x: _Array, y: _Array, indices: _Array | None, order: _Ints, numbers: _Ints) -> None: ...
def ties_backward(dy: _Array, x: _Array, dx: _Array, order: _Ints, numbers: _Ints, split: bool) -> None: ...
