from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Folded = tuple[int, int, int]

def forward(
    x: _Array,
    folded: _Folded,
    running_mean: _Array | None,
    running_var: _Array | None,
    weight: _Array | None,
    bias: _Array | None,
    training: bool,
    share: float,
    eps: float,
    y: _Array,
    mean_out: _Array | None,
    inv_std_out: _Array | None,
    relu: bool,
    gate_out: _Array | None,
) -> None: ...
def backward(
    dy: _Array,
    x: _Array,
    folded: _Folded,
    given_mean: _Array | None,
    given_var: _Array | None,
    given_inv_std: _Array | None,
    weight: _Array | None,
    training: bool,
    eps: float,
    gate: _Array | None,
    dx: _Array | None,
    dweight: _Array | None,
    dbias: _Array | None,
) -> None: ...
def response_norm(
    dy: _Array | None,
    x: _Array,
    y: _Array,
    folded: _Folded,
    before: int,
    after: int,
    scale: float,
    beta: float,
    k: float,
) -> None: ...
