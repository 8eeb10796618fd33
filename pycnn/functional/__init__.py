"""The public NumPy API: every function validates its arguments, allocates, and calls one kernel.

Shapes are written x (N, C, H, W), weight (F, C/groups, KH, KW), y (N, F, OH, OW); `grad_output` is the gradient that
arrives, dx, dweight, dbias are the ones that leave. `pycnn.reference` holds the slow twin of every function.
"""

from pycnn.functional.activation import relu

__all__ = [
    "relu",
]
