from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Three = tuple[int, ...]

def conv_backward_weight(
    dy: _Array, x: _Array, dw: _Array, stride: _Three, pad: _Three, dilation: _Three, groups: int
) -> None: ...
def channel_sums(dy: _Array, db: _Array) -> None: ...
