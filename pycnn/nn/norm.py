"""Normalisation layers."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pycnn import functional as F
from pycnn.functional.norm import fold, normalise, slopes

from . import _check
from ._types import Array, Shape
from .layer import Layer, ShapelessLayer, one_shape
from .parameter import Parameter

# The layouts of batch_norm, by where the channels are: behind the batch, last, or last but one.
_LAYOUTS = {"NCL": "NCHW", "NLC": "NHWC", "LCN": "HWCN", "NCHW": "NCHW", "NHWC": "NHWC", "HWCN": "HWCN"}
_CHANNEL_AXIS = {"NCHW": 1, "NHWC": -1, "HWCN": -2}


class _BatchNorm(Layer):
    ndims: ClassVar[tuple[int, ...]]
    formats: ClassVar[tuple[str, ...]]
    buffer_names = ("running_mean", "running_var", "num_batches_tracked")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        data_format: str | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        name = type(self).__name__
        self.num_features = _check.integer(name, "num_features", num_features, 1)
        self.eps = _check.real(name, "eps", eps, 0, open_low=True)
        self.momentum = None if momentum is None else _check.real(name, "momentum", momentum, 0, 1)
        self.affine = _check.boolean(name, "affine", affine)
        self.track_running_stats = _check.boolean(name, "track_running_stats", track_running_stats)
        self.data_format = _check.choice(name, "data_format", data_format or self.formats[0], self.formats)
        dtype = _check.float_dtype(name, dtype)
        ones, zeros = np.ones(self.num_features, dtype), np.zeros(self.num_features, dtype)
        self.weight = Parameter(ones) if self.affine else None
        self.bias = Parameter(zeros) if self.affine else None
        tracked = self.track_running_stats
        self.running_mean: Array | None = zeros if tracked else None
        self.running_var: Array | None = ones if tracked else None
        self.num_batches_tracked: Array | None = np.array(0, np.int64) if tracked else None

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        return self._normalise(x, training, False)

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        return self._slopes(grad_output, saved, None, needs_input_grad)

    def _normalise(self, x: Array, training: bool, relu: bool) -> tuple[Array, Any]:
        """Return the output, or the larger of it and 0, and what `_slopes` needs, its gate the last."""
        self._check_shape(x.shape if type(x) is np.ndarray else np.shape(x))
        y, stats, gate = normalise(
            x,
            self.running_mean,
            self.running_var,
            None if self.weight is None else self.weight.data,
            None if self.bias is None else self.bias.data,
            training or self.running_mean is None,  # without running statistics the batch's own in both modes
            self._step() if training else 0.0,
            self.eps,
            training,
            _LAYOUTS[self.data_format],
            relu=relu,
        )
        count = self.num_batches_tracked
        if training and count is not None:
            count += 1  # in place
        return y, (x, stats, gate)

    def _slopes(self, grad_output: Array, saved: Any, gate: Array | None, needs_input_grad: bool) -> Array | None:
        """Return the gradient of the input and add those of the parameters; with a gate through the ReLU as well."""
        x, stats, _ = saved
        needs = (("input",) if needs_input_grad else ()) + (("weight", "bias") if self.affine else ())
        if not needs:
            return None
        dx, dweight, dbias = slopes(
            grad_output,
            x,
            self.running_mean,
            self.running_var,
            None if self.weight is None else self.weight.data,
            True,
            self.eps,
            stats,
            _LAYOUTS[self.data_format],
            needs,
            gate=gate,
        )
        if self.weight is not None and self.bias is not None:
            self.weight.add_grad(dweight)
            self.bias.add_grad(dbias)
        return dx

    def _step(self) -> float:
        """Weight of this batch in the running statistics: momentum, or 1/n for a plain mean of n batches."""
        if self.momentum is not None:
            return self.momentum
        return 0.0 if self.num_batches_tracked is None else 1.0 / (int(self.num_batches_tracked) + 1)

    def _check_shape(self, shape: Shape) -> None:
        name, axis = type(self).__name__, _CHANNEL_AXIS[_LAYOUTS[self.data_format]]
        if len(shape) not in self.ndims:
            raise ValueError(f"{name}: expects {' or '.join(map(str, self.ndims))} axes, got shape {shape}")
        if shape[axis] != self.num_features:
            raise ValueError(f"{name}: expects {self.num_features} channels, got {shape[axis]} in shape {shape}")

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the shape of the input."""
        shape = one_shape(self, input_shapes)
        self._check_shape(shape)
        return shape

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        # The statistics; where a channel has several values side by side, the coefficients of its map as well.
        _, _, inner = fold(type(self).__name__, input_shapes[0], _LAYOUTS[self.data_format])
        numbers = 5 if inner > 1 else 2
        return ("input",), numbers * self.num_features * self.dtype.itemsize

    def extra_repr(self) -> str:
        """Return the arguments."""
        text = (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )
        return text + ("" if self.data_format == self.formats[0] else f", data_format={self.data_format!r}")


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of ``(N, C)`` or ``(N, C, L)`` arrays; see `BatchNorm2d`.

    `data_format` is "NCL", "NLC" or "LCN".

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.BatchNorm1d(2)(np.array([[1, 5], [3, 5]], np.float32)).round(3)
    array([[-1.,  0.],
           [ 1.,  0.]], dtype=float32)
    """

    ndims = (2, 3)
    formats = ("NCL", "NLC", "LCN")


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of ``(N, C, H, W)`` arrays.

    In ``train()`` mode every channel is brought to mean 0 and variance 1 over the batch, and the running
    statistics move towards those of the batch; in ``eval()`` mode the running statistics are used. Then
    ``weight`` scales and ``bias`` shifts.

    Parameters
    ----------
    num_features : int
        C.
    eps : float
        Added to the variance, > 0.
    momentum : float or None
        Weight of a batch in the running statistics; None makes them the mean over all batches.
    affine : bool
        Whether ``weight`` and ``bias`` are there.
    track_running_stats : bool
        False: no running statistics, the batch's own are used in both modes.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Order of the axes.
    dtype : float32 or float64

    Raises
    ------
    ValueError
        By ``forward`` in ``train()`` mode for a batch with a single value a channel.

    Notes
    -----
    Ioffe and Szegedy, "Batch normalization", 2015. As in PyTorch the running variance is the unbiased one.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> norm = nn.BatchNorm2d(3)
    >>> y = norm(np.random.default_rng(0).normal(5, 2, (4, 3, 8, 8)).astype(np.float32))
    >>> bool(abs(y.mean()) < 1e-5), sorted(norm.state_dict())
    (True, ['bias', 'num_batches_tracked', 'running_mean', 'running_var', 'weight'])
    """

    ndims = (4,)
    formats = ("NCHW", "NHWC", "HWCN")


class LocalResponseNorm(ShapelessLayer):
    """Divide every value by a power of the mean square of its neighbour channels.

    ``y = x / (k + alpha / size * sum of x^2 over `size` channels)^beta``: Krizhevsky et al., "ImageNet
    classification with deep convolutional neural networks", 2012.

    Parameters
    ----------
    size : int
        How many channels are summed.
    alpha, beta, k : float
    data_format : {"NCHW", "NHWC", "HWCN"}

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.LocalResponseNorm(3)(np.ones((1, 4, 2, 2), np.float32)).shape
    (1, 4, 2, 2)
    """

    def __init__(
        self,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        *,
        data_format: str | None = None,
    ) -> None:
        name = "LocalResponseNorm"
        self.size = _check.integer(name, "size", size, 1)
        self.alpha, self.beta = _check.real(name, "alpha", alpha), _check.real(name, "beta", beta)
        self.k = _check.real(name, "k", k)
        self.data_format = _check.choice(name, "data_format", data_format or "NCHW", ("NCHW", "NHWC", "HWCN"))

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k, data_format=self.data_format), x

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        if not needs_input_grad:
            return None
        return F.local_response_norm_backward(
            grad_output, saved, self.size, self.alpha, self.beta, self.k, data_format=self.data_format
        )

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        return ("input",), 0

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
