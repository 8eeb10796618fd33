from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

def gemm(a: _Array, b: _Array, bias: _Array | None, c: _Array) -> None: ...
