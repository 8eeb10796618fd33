from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Ints = tuple[int, ...]

def forward(x: _Array, y: _Array, order: _Ints, numbers: _Ints, p: float) -> None: ...
def backward(dy: _Array, x: _Array, dx: _Array, order: _Ints, numbers: _Ints, p: float) -> None: ...
