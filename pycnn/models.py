"""Small networks that train on a CPU in minutes.

Every factory takes the same arguments and returns an untrained network that maps ``(N, in_channels, H, W)``
images to ``(N, num_classes)`` logits:

in_channels : int
    1 for grey images, 3 for colour. `lenet` and `vgg_small` take 1 by default, the ResNets 3.
num_classes : int
input_size : int or pair of int
    Height and width of the images, at least 8.
rng : Generator, int or None
    Source of the initial weights and of the dropout masks; the same seed gives the same network.
dtype : float32 or float64

`REGISTRY` has the factories by name.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pycnn import nn
from pycnn.functional import _args

__all__ = ["REGISTRY", "build", "lenet", "resnet8", "resnet20", "vgg_small"]

Rng: TypeAlias = np.random.Generator | int | None
Size: TypeAlias = int | tuple[int, int]


def lenet(
    in_channels: int = 1,
    num_classes: int = 10,
    input_size: Size = 28,
    rng: Rng = None,
    *,
    dtype: npt.DTypeLike = np.float32,
) -> nn.Sequential:
    """Return LeNet-5 with max pooling and ReLU: convolutions of 6 and 16 filters, layers of 120 and 84.

    LeCun et al., "Gradient-based learning applied to document recognition", 1998. Images of 28 x 28 are
    padded by 2 to the 32 x 32 of the paper; images smaller than 28 get 3 x 3 kernels with padding 1 instead
    of 5 x 5 ones. By default for grey images (`in_channels` 1) of 28 x 28.

    Parameters
    ----------
    in_channels : int
    num_classes : int
        Outputs of the last layer.
    input_size : int
        Height and width of the images.
    rng : numpy.random.Generator, int or None
        Where the initial weights come from: a generator, a seed, or the system.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    Sequential

    Examples
    --------
    >>> from pycnn import models
    >>> models.lenet(rng=0).summary((1, 1, 28, 28)).parameters
    61706
    >>> models.lenet(input_size=8, rng=0).output_shape((5, 1, 8, 8))
    (5, 10)
    """
    rng, size = np.random.default_rng(rng), _size("lenet", input_size)
    new: dict[str, Any] = {"rng": rng, "dtype": dtype}
    small = min(size) < 28
    kernel, first, second = (3, 1, 1) if small else (5, 2 if min(size) < 32 else 0, 0)
    features: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(in_channels, 6, kernel, padding=first, **new),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(6, 16, kernel, padding=second, **new),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
    }
    flat = _features(nn.Sequential(features), in_channels, size)
    return nn.Sequential(
        features
        | {
            "fc1": nn.Linear(flat, 120, **new),
            "relu3": nn.ReLU(),
            "fc2": nn.Linear(120, 84, **new),
            "relu4": nn.ReLU(),
            "fc3": nn.Linear(84, num_classes, **new),
        }
    )


def vgg_small(
    in_channels: int = 1,
    num_classes: int = 10,
    input_size: Size = 28,
    rng: Rng = None,
    *,
    dtype: npt.DTypeLike = np.float32,
) -> nn.Sequential:
    """Return two blocks of two 3 x 3 convolutions with batch normalisation, and a layer of 128 with dropout.

    The blocks have 32 and 64 filters. The style is that of Simonyan and Zisserman, "Very deep convolutional
    networks", 2015. By default for grey images (`in_channels` 1) of 28 x 28.

    Parameters
    ----------
    in_channels : int
    num_classes : int
        Outputs of the last layer.
    input_size : int
        Height and width of the images.
    rng : numpy.random.Generator, int or None
        Where the initial weights come from: a generator, a seed, or the system.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    Sequential

    Examples
    --------
    >>> from pycnn import models
    >>> net = models.vgg_small(rng=0)
    >>> net.output_shape((5, 1, 28, 28)), net.summary((1, 1, 28, 28)).parameters
    ((5, 10), 468010)
    """
    rng, size = np.random.default_rng(rng), _size("vgg_small", input_size)
    layers: list[nn.Module] = []
    channels = in_channels
    for filters in (32, 64):
        for _ in range(2):
            layers += [
                _conv3(channels, filters, 1, rng, dtype),
                nn.BatchNorm2d(filters, dtype=dtype),
                nn.ReLU(),
            ]
            channels = filters
        layers += [nn.MaxPool2d(2), nn.Dropout(0.25, rng=rng)]
    features = nn.Sequential(*layers, nn.Flatten())
    flat = _features(features, in_channels, size)
    classifier = nn.Sequential(
        nn.Linear(flat, 128, rng=rng, dtype=dtype),
        nn.ReLU(),
        nn.Dropout(0.5, rng=rng),
        nn.Linear(128, num_classes, rng=rng, dtype=dtype),
    )
    return nn.Sequential({"features": features, "classifier": classifier})


def resnet8(
    in_channels: int = 3,
    num_classes: int = 10,
    input_size: Size = 32,
    rng: Rng = None,
    *,
    dtype: npt.DTypeLike = np.float32,
) -> nn.Graph:
    """Return the CIFAR ResNet with one block a stage; see `resnet20`.

    By default for colour images (`in_channels` 3) of 32 x 32.

    Parameters
    ----------
    in_channels : int
    num_classes : int
        Outputs of the last layer.
    input_size : int
        Height and width of the images.
    rng : numpy.random.Generator, int or None
        Where the initial weights come from: a generator, a seed, or the system.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    Graph

    Examples
    --------
    >>> from pycnn import models
    >>> models.resnet8(rng=0).output_shape((5, 3, 32, 32))
    (5, 10)
    """
    return _resnet("resnet8", 1, in_channels, num_classes, input_size, rng, dtype)


def resnet20(
    in_channels: int = 3,
    num_classes: int = 10,
    input_size: Size = 32,
    rng: Rng = None,
    *,
    dtype: npt.DTypeLike = np.float32,
) -> nn.Graph:
    """Return the CIFAR ResNet with three blocks a stage, of 16, 32 and 64 filters.

    Behind them come global average pooling and a linear layer. He et al., "Deep residual learning for image
    recognition", 2016, section 4.2, with shortcuts of type B: a 1 x 1 convolution where the shape changes.
    Names are those of the torchvision ResNets: ``layer1.0.conv1``, ``downsample``. By default for colour images
    (`in_channels` 3) of 32 x 32.

    Parameters
    ----------
    in_channels : int
    num_classes : int
        Outputs of the last layer.
    input_size : int
        Height and width of the images.
    rng : numpy.random.Generator, int or None
        Where the initial weights come from: a generator, a seed, or the system.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    Graph

    Examples
    --------
    >>> from pycnn import models
    >>> models.resnet20(rng=0).summary((1, 3, 32, 32)).parameters
    272474
    """
    return _resnet("resnet20", 3, in_channels, num_classes, input_size, rng, dtype)


def _resnet(
    name: str,
    blocks: int,
    in_channels: int,
    num_classes: int,
    input_size: Size,
    rng: Rng,
    dtype: npt.DTypeLike,
) -> nn.Graph:
    rng = np.random.default_rng(rng)
    _size(name, input_size)
    net = nn.Graph()
    net.input("x")
    net.add("conv1", _conv3(in_channels, 16, 1, rng, dtype))
    net.add("bn1", nn.BatchNorm2d(16, dtype=dtype))
    last = net.add("relu", nn.ReLU())
    channels = 16
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            last = _residual_block(net, f"layer{stage}.{block}", last, channels, filters, stride, rng, dtype)
            channels = filters
    net.add("avgpool", nn.AdaptiveAvgPool2d(1), last)
    net.add("flatten", nn.Flatten())
    net.output(net.add("fc", nn.Linear(channels, num_classes, rng=rng, dtype=dtype)))
    return net


def _residual_block(
    net: nn.Graph,
    name: str,
    x: str,
    channels: int,
    filters: int,
    stride: int,
    rng: np.random.Generator,
    dtype: npt.DTypeLike,
) -> str:
    """Add relu(x + bn(conv(relu(bn(conv(x)))))) and return its name."""
    net.add(f"{name}.conv1", _conv3(channels, filters, stride, rng, dtype), x)
    net.add(f"{name}.bn1", nn.BatchNorm2d(filters, dtype=dtype))
    net.add(f"{name}.relu1", nn.ReLU())
    net.add(f"{name}.conv2", _conv3(filters, filters, 1, rng, dtype))
    branch = net.add(f"{name}.bn2", nn.BatchNorm2d(filters, dtype=dtype))
    if stride != 1 or channels != filters:
        shrink = nn.Conv2d(channels, filters, 1, stride, bias=False, rng=rng, dtype=dtype)
        nn.init.kaiming_normal(shrink.weight, mode="fan_out", nonlinearity="relu", rng=rng)
        net.add(f"{name}.downsample.0", shrink, x)
        x = net.add(f"{name}.downsample.1", nn.BatchNorm2d(filters, dtype=dtype))
    net.add(f"{name}.add", nn.Add(), branch, x)
    return net.add(f"{name}.relu2", nn.ReLU())


def _conv3(channels: int, filters: int, stride: int, rng: np.random.Generator, dtype: npt.DTypeLike) -> nn.Conv2d:
    """Return a 3 x 3 convolution with He's initial values; batch normalisation behind it has the bias."""
    conv = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False, rng=rng, dtype=dtype)
    nn.init.kaiming_normal(conv.weight, mode="fan_out", nonlinearity="relu", rng=rng)
    return conv


def _features(net: nn.Sequential, in_channels: int, size: tuple[int, ...]) -> int:
    """Return how many features a network with `Flatten` at its end puts out."""
    return int(net.output_shape((1, in_channels, *size))[1])


def _size(name: str, input_size: Size) -> tuple[int, ...]:
    return _args.per_axis(name, "input_size", input_size, 2, 8)


REGISTRY: dict[str, Callable[..., nn.Module]] = {
    "lenet": lenet,
    "vgg-small": vgg_small,
    "resnet8": resnet8,
    "resnet20": resnet20,
}


def build(name: str, **options: Any) -> nn.Module:
    """Return a network of the `REGISTRY`; ValueError with the list of names for an unknown one.

    Parameters
    ----------
    name : str
    **options
        Arguments of the factory.

    Returns
    -------
    Module

    Examples
    --------
    >>> from pycnn import models
    >>> type(models.build("resnet8", in_channels=1, input_size=28)).__name__
    'Graph'
    """
    return REGISTRY[_args.choice("build", "name", name, tuple(REGISTRY))](**options)
