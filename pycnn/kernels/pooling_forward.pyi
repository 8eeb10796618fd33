from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Ints = tuple[int, ...]

def max_forward(
    x: _Array, y: _Array, codes: _Array | None, places: _Array | None, order: _Ints, numbers: _Ints
) -> None: ...
def mean_forward(x: _Array, y: _Array, order: _Ints, numbers: _Ints, padded: bool, divisor: float) -> None: ...
