from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Three = tuple[int, ...]

def conv_forward(
    x: _Array, w: _Array, bias: _Array | None, y: _Array, stride: _Three, pad: _Three, dilation: _Three, groups: int
) -> None: ...
def conv_backward_input(
    dy: _Array, w: _Array, bias: _Array | None, dx: _Array, stride: _Three, pad: _Three, dilation: _Three, groups: int
) -> None: ...
