"""Layers, containers and losses: parameters and what backward needs. The arithmetic is in `pycnn.functional`.

Names, arguments and ``state_dict`` keys follow PyTorch where it has the thing.
"""

from . import init
from .activation import (
    GELU,
    Hardswish,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    make_activation,
)
from .average import AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, AvgPool3d, LPPool2d
from .containers import Sequential
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose2d
from .dropout import Dropout
from .graph import Graph, Node
from .layer import Layer
from .linear import Linear
from .loss import BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss, make_loss
from .merge import Add, Concat
from .module import LoadResult, Module
from .norm import BatchNorm1d, BatchNorm2d, LocalResponseNorm
from .parameter import Parameter
from .pooling import AdaptiveMaxPool2d, MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool2d
from .shape import Flatten, Identity
from .summary import Row, Summary

__all__ = [
    "GELU",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "Add",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Concat",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Graph",
    "Hardswish",
    "Identity",
    "LPPool2d",
    "Layer",
    "LeakyReLU",
    "Linear",
    "LoadResult",
    "LocalResponseNorm",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool2d",
    "Module",
    "Node",
    "Parameter",
    "ReLU",
    "Row",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Summary",
    "Tanh",
    "init",
    "make_activation",
    "make_loss",
]
