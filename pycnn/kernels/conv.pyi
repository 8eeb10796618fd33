from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Ints = tuple[int, ...]

def conv_forward(x: _Array, w: _Array, bias: _Array | None, y: _Array, order: _Ints, numbers: _Ints) -> None: ...
def conv_backward_input(
    dy: _Array, w: _Array, bias: _Array | None, dx: _Array, order: _Ints, numbers: _Ints
) -> None: ...
