from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Folded = tuple[int, int, int]

SQUARE: int
LOGIT: int

def softmax(x: _Array, y: _Array, folded: _Folded, log: bool) -> None: ...
def softmax_backward(dy: _Array, y: _Array, dx: _Array, folded: _Folded, log: bool) -> None: ...
def cross_entropy(
    x: _Array,
    labels: _Array,
    w: _Array | None,
    folded: _Folded,
    smooth: float,
    has_ignored: bool,
    ignored: int,
    losses: _Array,
) -> tuple[float, float]: ...
def cross_entropy_backward(
    dy: _Array | None,
    x: _Array,
    labels: _Array,
    w: _Array | None,
    folded: _Folded,
    smooth: float,
    has_ignored: bool,
    ignored: int,
    scale: float,
    dx: _Array,
) -> None: ...
def bad_label(labels: _Array, classes: int, has_ignored: bool, ignored: int) -> int: ...
def error(kind: int, x: _Array, t: _Array, w: _Array | None, p: _Array | None, y: _Array | None) -> float: ...
def error_backward(
    kind: int,
    dy: _Array | None,
    x: _Array,
    t: _Array,
    w: _Array | None,
    p: _Array | None,
    scale: float,
    dx: _Array,
) -> None: ...
