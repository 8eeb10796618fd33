"""What convolution and transposed convolution share: the gradients of weight and bias."""

from pycnn.functional._args import Array
from pycnn.kernels import conv_weight as _kernels


def three(values: tuple[int, ...], fill: int) -> tuple[int, ...]:
    """Return hyperparameters of one to three spatial axes as those of three."""
    return (fill,) * (3 - len(values)) + values


def weight_gradient(x: Array, dy: Array, dw: Array, order: tuple[int, ...], numbers: tuple[int, ...]) -> None:
    """Write the gradient for the weight; x and dy are the convolution's input and output."""
    if x.size == 0 or dy.size == 0:
        dw[...] = 0
    else:
        _kernels.conv_backward_weight(dy, x, dw, order, numbers)
