"""The same network in PyTorch: same layers, same names of the weights, same initial weights."""

from typing import Any

import torch

from pycnn import models, nn
from pycnn._bench_rows import Step


def network(row: Step) -> torch.nn.Module:
    """Return the network of a training step as PyTorch has it."""
    ours = models.build(row.network, in_channels=row.channels, input_size=row.size, rng=0)
    return copy(ours)


def copy(module: nn.Module) -> torch.nn.Module:
    """Return PyTorch's counterpart of a network, with its weights."""
    made = translate(module)
    made.load_state_dict({name: torch.from_numpy(value) for name, value in module.state_dict().items()})
    return made


def translate(module: nn.Module) -> torch.nn.Module:
    """Return PyTorch's module for one of pycnn's; the names of the parts, and so of the weights, stay."""
    t = torch.nn
    match module:
        case nn.Sequential():
            parts = t.Sequential()
            for name, child in module.named_children():
                parts.add_module(name, translate(child))
            return parts
        case nn.Graph():
            return Graph(module)
        case nn.Conv2d():
            filters, channels, height, width = module.weight.shape
            same: dict[str, Any] = {"stride": module.stride, "padding": module.padding, "bias": module.bias is not None}
            return t.Conv2d(channels, filters, (height, width), **same)
        case nn.Linear():
            return t.Linear(module.in_features, module.out_features)
        case nn.BatchNorm2d():
            assert module.weight is not None
            return t.BatchNorm2d(module.weight.size, module.eps, module.momentum)
        case nn.MaxPool2d():
            return t.MaxPool2d(module.kernel_size, module.stride)
        case nn.AdaptiveAvgPool2d():
            return t.AdaptiveAvgPool2d(module.output_size)
        case nn.Dropout():
            return t.Dropout(module.p)
        case nn.ReLU():
            return t.ReLU()
        case nn.Flatten():
            return t.Flatten()
    raise TypeError(f"no translation of {type(module).__name__}")


class Graph(torch.nn.Module):  # type: ignore[misc]
    """A network with branches that are added: the nodes in pycnn's order."""

    def __init__(self, graph: nn.Graph) -> None:
        super().__init__()
        self.start, self.end = graph.inputs[0], graph.outputs[0][0]
        self.steps: list[tuple[str, torch.nn.Module | None, list[str]]] = []
        for name, module, inputs in graph.nodes:
            part = None if isinstance(module, nn.Add) else translate(module)
            if part is not None:
                _put(self, name.split("."), part)
            self.steps.append((name, part, [source for source, _ in inputs]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the nodes; a node without a module adds its inputs."""
        values = {self.start: x}
        for name, part, sources in self.steps:
            if part is None:
                first, second = sources
                values[name] = values[first] + values[second]
            else:
                values[name] = part(values[sources[0]])
        return values[self.end]


def _put(parent: torch.nn.Module, path: list[str], part: torch.nn.Module) -> None:
    """Add a module under a name with dots, so that its weights get the same name."""
    for name in path[:-1]:
        if name not in parent._modules:
            parent.add_module(name, torch.nn.Module())
        parent = parent.get_submodule(name)
    parent.add_module(path[-1], part)
