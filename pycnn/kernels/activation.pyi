from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

RELU: int
LEAKY_RELU: int
SIGMOID: int
TANH: int
SILU: int
GELU: int
GELU_TANH: int
HARDSWISH: int
EXP: int
LOG: int

def forward(op: int, x: _Array, y: _Array, a: float) -> None: ...
def backward(op: int, dy: _Array, x: _Array, dx: _Array, a: float) -> None: ...
def add(a: _Array, b: _Array, y: _Array) -> None: ...
def keep(x: _Array, kept: _Array, y: _Array, scale: float) -> None: ...
def roll(kept: _Array, key: int, threshold: int) -> None: ...
