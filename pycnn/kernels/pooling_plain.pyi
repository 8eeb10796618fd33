from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

def max_forward(
    x: _Array, y: _Array, codes: _Array | None, places: _Array | None, numbers: tuple[int, ...]
) -> None: ...
def ties_backward(dy: _Array, x: _Array, dx: _Array, numbers: tuple[int, ...], split: bool) -> None: ...
