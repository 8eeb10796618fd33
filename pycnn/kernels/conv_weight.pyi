from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Ints = tuple[int, ...]

def conv_backward_weight(dy: _Array, x: _Array, dw: _Array, order: _Ints, numbers: _Ints) -> None: ...
def channel_sums(dy: _Array, db: _Array, order: _Ints) -> None: ...
