from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Numbers = tuple[float, ...]

def sgd(p: _Array, velocity: _Array | None, grad: _Array, numbers: _Numbers) -> None: ...
def adam(p: _Array, mean: _Array, square: _Array, grad: _Array, numbers: _Numbers) -> None: ...
