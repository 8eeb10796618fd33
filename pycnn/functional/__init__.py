"""The public NumPy API: every function validates its arguments, allocates, and calls one kernel.

Shapes are written x (N, C, H, W), weight (F, C/groups, KH, KW), y (N, F, OH, OW); `grad_output` is the gradient that
arrives, dx, dweight, dbias are the ones that leave. `pycnn.reference` holds the slow twin of every function.
"""

from pycnn.functional.activation import relu
from pycnn.functional.conv import conv1d, conv1d_backward, conv2d, conv2d_backward, conv3d, conv3d_backward
from pycnn.functional.conv_transpose import conv_transpose2d, conv_transpose2d_backward
from pycnn.functional.linear import linear, linear_backward

__all__ = [
    "conv1d",
    "conv1d_backward",
    "conv2d",
    "conv2d_backward",
    "conv3d",
    "conv3d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "linear",
    "linear_backward",
    "relu",
]
