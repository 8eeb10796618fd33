"""`Graph`: a network with branches."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np

from pycnn.functional._sum import add

from . import _fused
from ._types import Array, Shape
from .activation import ReLU
from .containers import check_new, check_training, drop_kept, naming
from .layer import kept
from .module import Module
from .summary import Tracer, Value

#: A node's or an input's name means its (first) output; ("name", 1) the second output of a module with
#: several.
Ref: TypeAlias = str | tuple[str, int]


class Node(NamedTuple):
    """One step of a `Graph`: a module, and which values go into it.

    Attributes
    ----------
    name : str
    module : Module
    inputs : tuple of str
        Names of the nodes, or of the graph's input, whose values go in.
    """

    name: str
    module: Module
    inputs: tuple[tuple[str, int], ...]


class _Plan(NamedTuple):
    """What is worked out once: which nodes the outputs need, when a value is used for the last time."""

    nodes: list[Node]
    frees: list[tuple[tuple[str, int], ...]]
    relus: dict[str, Module]  # by node: the ReLU that alone takes its value
    fronts: dict[str, Module]  # by the node of such a ReLU: the module in front of it
    with_parameters: set[str]  # nodes that have parameters
    after_parameters: set[str]  # nodes that have them or follow one that has: their values need a gradient


class Graph(Module):
    """A network whose layers are nodes with names, so that it can branch and join.

    ``add`` appends a node; its inputs are nodes that are there already. `Add` and `Concat` join branches;
    every other module can be a node too, `Sequential` and `Graph` included. ``state_dict`` keys are
    "<node>.<key>", and a node's name may have dots, so that the keys of any PyTorch model can be had.

    Notes
    -----
    A gradient that reaches a value on several ways is added up. Values and gradients are dropped as soon as
    no later node needs them. Nodes that no output needs do not run.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> net = nn.Graph()
    >>> x = net.input("x")
    >>> a = net.add("conv", nn.Conv2d(4, 4, 3, padding=1), x)
    >>> b = net.add("relu", nn.ReLU(), a)
    >>> c = net.add("sum", nn.Add(), x, b)
    >>> net.output(c)
    >>> net
    Graph(
      (conv): Conv2d(4, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)) <- x
      (relu): ReLU() <- conv
      (sum): Add() <- x, relu
    )
    >>> y = net(np.ones((1, 4, 8, 8), np.float32))
    >>> net.backward(np.ones_like(y)).shape
    (1, 4, 8, 8)
    >>> sorted(net.state_dict())
    ['conv.bias', 'conv.weight']
    """

    def __init__(self) -> None:
        self._inputs: list[str] = []
        self._nodes: dict[str, Node] = {}
        self._outputs: list[tuple[str, int]] = []
        self._plan: _Plan | None = None
        self._taken: tuple[dict[int, str], set[str]] | None = None  # ids of the modules, keys of the state

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_plan": None, "_taken": None}

    # Building

    def input(self, name: str = "x") -> str:
        """Add an input and return its name; ``forward`` takes the inputs in the order of these calls."""
        self._check_name(name)
        self._inputs.append(name)
        self._plan = None
        return name

    def add(self, name: str, module: Module, *inputs: Ref) -> str:
        """Add a node and return its name.

        Parameters
        ----------
        name : str
            A name that no input and no node has yet.
        module : Module
            What the node computes; an object that is not in the graph yet.
        *inputs : str or (str, int)
            Names of inputs and nodes whose values it takes; without any, that of the last node (or input). A
            pair means another than the first output of a module that has several.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            For a name that is taken, an input that is not known (a cycle cannot be built), or a module that
            is in the graph already.
        TypeError
            When `module` is not a Module.
        """
        where = f"Graph: node {name!r}"
        self._check_name(name)
        if not isinstance(module, Module):
            raise TypeError(f"{where} must be a Module, got {type(module).__name__}")
        if self._taken is None:  # kept from call to call, or building would take quadratic time
            self._taken = (
                {id(part): key for key, part in self.named_modules()},
                set(self.state_dict(copy=False)),
            )
        ids, taken = self._taken
        check_new(where, ids, module)
        if not inputs:
            if not (self._inputs or self._nodes):
                raise ValueError(f"{where} has no inputs, and the graph has none that it could take")
            inputs = (next(reversed(self._nodes), None) or self._inputs[-1],)
        node = Node(name, module, tuple(self._known(where, ref) for ref in inputs))
        keys = {f"{name}.{key}" for key in module.state_dict(copy=False)}
        if not taken.isdisjoint(keys):
            raise ValueError(f"{where}: the graph has a state key {min(taken & keys)!r} already")
        ids.update((id(part), key) for key, part in module.named_modules(name))
        taken.update(keys)
        self._nodes[name] = node
        self._plan = None
        return name

    def output(self, *names: Ref) -> None:
        """Say which values the network returns; without this call that of the last node."""
        if not names:
            raise ValueError("Graph: output needs at least one name")
        self._outputs = [self._known("Graph: output", ref) for ref in names]
        self._plan = None

    @classmethod
    def from_nodes(
        cls, inputs: Sequence[str], nodes: Mapping[str, tuple[Module, Sequence[Ref]]], outputs: Sequence[Ref]
    ) -> Self:
        """Build a graph from nodes in any order.

        Parameters
        ----------
        inputs : sequence of str
        nodes : mapping of str to (Module, sequence of str or (str, int))
            Module and inputs of each node.
        outputs : sequence of str or (str, int)

        Returns
        -------
        Graph

        Raises
        ------
        ValueError
            For an unknown name, or when a node's value goes into itself by way of others; the message names
            it.

        Examples
        --------
        >>> from pycnn import nn
        >>> nn.Graph.from_nodes(["x"], {"b": (nn.ReLU(), ["a"]), "a": (nn.Tanh(), ["x"])}, ["b"])
        Graph(
          (a): Tanh() <- x
          (b): ReLU() <- a
        )
        >>> nn.Graph.from_nodes(["x"], {"a": (nn.ReLU(), ["b"]), "b": (nn.ReLU(), ["a"])}, ["b"])
        Traceback (most recent call last):
            ...
        ValueError: Graph: node 'a' is part of a cycle: a -> b -> a
        """
        graph = cls()
        for name in inputs:
            graph.input(name)
        before = {}
        for name, (_, refs) in nodes.items():
            names = [ref if isinstance(ref, str) else ref[0] for ref in refs]
            for ref in names:
                if ref not in nodes and ref not in graph._inputs:
                    raise ValueError(f"Graph: node {name!r}: unknown input {ref!r}")
            before[name] = [ref for ref in names if ref in nodes]
        try:
            order = list(TopologicalSorter(before).static_order())
        except CycleError as error:
            cycle = error.args[1]
            raise ValueError(f"Graph: node {cycle[0]!r} is part of a cycle: {' -> '.join(cycle)}") from None
        for name in order:
            graph.add(name, nodes[name][0], *nodes[name][1])
        graph.output(*outputs)
        return graph

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"Graph: a name is a string that is not empty, got {name!r}")
        if name in self._nodes or name in self._inputs:
            raise ValueError(f"Graph: the name {name!r} is taken")

    def _known(self, where: str, ref: Ref) -> tuple[str, int]:
        name, index = (ref, 0) if isinstance(ref, str) else ref
        if name in self._inputs and index != 0:
            raise ValueError(f"{where}: the input {name!r} is one value, got index {index}")
        if name not in self._nodes and name not in self._inputs:
            known = ", ".join(map(repr, [*self._inputs, *self._nodes]))
            raise ValueError(f"{where}: unknown input {name!r}; known are {known}")
        return name, index

    # Looking

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(self._inputs)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in the order in which they run."""
        return tuple(self._nodes.values())

    @property
    def outputs(self) -> tuple[tuple[str, int], ...]:
        """Name and index of the values that the network returns."""
        if self._outputs or not self._nodes:
            return tuple(self._outputs)
        return ((next(reversed(self._nodes)), 0),)

    def __getitem__(self, name: str) -> Module:
        if name not in self._nodes:
            raise KeyError(
                f"Graph: no node has the name {name!r}; the nodes are {', '.join(map(repr, self._nodes)) or 'none'}"
            )
        return self._nodes[name].module

    def named_children(self) -> Iterable[tuple[str, Module]]:  # type: ignore[override]
        """Yield the nodes' modules with their names."""
        return ((node.name, node.module) for node in self._nodes.values())

    def _child_note(self, name: str) -> str:
        return " <- " + ", ".join(ref if index == 0 else f"{ref}[{index}]" for ref, index in self._nodes[name].inputs)

    # Running

    def forward(self, *inputs: Array) -> Any:
        """Run the network.

        Parameters
        ----------
        *inputs : ndarray
            One array for each input.

        Returns
        -------
        ndarray or tuple of ndarray
            The output; a tuple when there are several.
        """
        if self.training:
            self._saved = None
        plan = self._prepared()
        outputs = self._run(inputs, lambda node, arguments: _node_forward(node, plan, arguments))
        if self.training:
            self._saved = (None,)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def backward(self, *grad_outputs: Array | None, needs_input_grad: bool = True) -> Any:
        """Add to ``grad`` of every parameter and return the gradient of the input.

        Parameters
        ----------
        *grad_outputs : ndarray or None
            Gradient of the loss by each output; None for an output that the loss does not depend on.
        needs_input_grad : bool
            False: compute the gradients of the parameters only.

        Returns
        -------
        ndarray, tuple or None
            Gradient of the input (None where nothing depends on it); a tuple when there are several inputs;
            None where ``needs_input_grad`` is False.

        Raises
        ------
        RuntimeError
            In ``eval()`` mode, or when no ``forward`` came before; each ``forward`` serves one ``backward``.
        """
        kept(self)
        outputs, plan = self.outputs, self._prepared()
        if len(grad_outputs) != len(outputs):
            raise ValueError(
                f"Graph: backward takes {len(outputs)} gradients, one for each output, got {len(grad_outputs)}"
            )
        check_training("Graph: node", ((node.name, node.module) for node in plan.nodes))
        grads = _Gradients()
        for ref, grad in zip(outputs, grad_outputs):
            grads.add(ref, grad)
        for node in reversed(plan.nodes):
            self._node_backward(node, plan, grads, needs_input_grad)
        self._saved = None
        if not needs_input_grad:
            return None
        result = tuple(grads.take((name, 0)) for name in self._inputs)
        return result[0] if len(result) == 1 else result

    def _node_backward(self, node: Node, plan: _Plan, grads: "_Gradients", needs_input_grad: bool) -> None:
        count = len(node.module.outputs) if isinstance(node.module, Graph) else 1
        arriving = [grads.take((node.name, index)) for index in range(count)]
        wanted = [needs_input_grad or name in plan.after_parameters for name, _ in node.inputs]
        if all(grad is None for grad in arriving) or not (any(wanted) or node.name in plan.with_parameters):
            drop_kept(node.module)
            return
        relu = _relu_behind(node, plan)
        if _runs_in_front(node, plan):
            leaving: Any = arriving[0]  # its part is done where the module in front of it is
        elif relu is not None:
            leaving = _fused.backward(node.module, relu, arriving[0], any(wanted))
        else:
            leaving = node.module.backward(*arriving, needs_input_grad=any(wanted))
        leaving = leaving if isinstance(leaving, tuple) else (leaving,)
        for ref, want, grad in zip(node.inputs, wanted, leaving):
            if want:
                grads.add(ref, grad)

    def output_shape(self, *input_shapes: Shape) -> Any:
        """Return the output's shape for inputs of these shapes; a tuple when there are several outputs.

        Raises
        ------
        ValueError
            When a node cannot take what goes into it; the message names the node.
        """
        shapes = self._run(input_shapes, lambda node, arguments: node.module.output_shape(*arguments))
        return shapes[0] if len(shapes) == 1 else tuple(shapes)

    def _trace(self, tracer: Tracer, name: str, inputs: list[Value]) -> list[Value]:
        prefix = f"{name}." if name else ""
        return self._run(
            inputs,
            lambda node, arguments: _Several(node.module._trace(tracer, prefix + node.name, arguments)),
        )

    def _run(self, inputs: Sequence[Any], step: Callable[[Node, list[Any]], Any]) -> list[Any]:
        """Send arrays, shapes or traced values through the nodes."""
        plan = self._prepared()
        if len(inputs) != len(self._inputs):
            raise ValueError(f"Graph: takes {len(self._inputs)} inputs ({', '.join(self._inputs)}), got {len(inputs)}")
        values = {(name, 0): value for name, value in zip(self._inputs, inputs)}
        for node, frees in zip(plan.nodes, plan.frees):
            with naming(f"Graph: node {node.name!r}", node.module):
                _store(values, node.name, step(node, [values[ref] for ref in node.inputs]))
            for ref in frees:
                del values[ref]
        return [values[ref] for ref in self.outputs]

    def _prepared(self) -> _Plan:
        if self._plan is not None:
            return self._plan
        if not self._inputs or not self._nodes:
            raise ValueError("Graph: needs at least one input and one node")
        live = {name for name, _ in self.outputs}
        for node in reversed(self._nodes.values()):
            if node.name in live:
                live.update(name for name, _ in node.inputs)
        nodes = [node for node in self._nodes.values() if node.name in live]
        seen, frees = set(self.outputs), []
        for node in reversed(nodes):
            frees.append(tuple(dict.fromkeys(ref for ref in node.inputs if ref not in seen)))
            seen.update(node.inputs)
        with_parameters = {node.name for node in nodes if next(node.module.parameters(), None) is not None}
        after = set(with_parameters)
        for node in nodes:
            if any(name in after for name, _ in node.inputs):
                after.add(node.name)
        self._plan = _Plan(nodes, frees[::-1], *_find_relus(nodes, self.outputs), with_parameters, after)
        return self._plan


def _find_relus(nodes: list[Node], outputs: Sequence[tuple[str, int]]) -> tuple[dict[str, Module], dict[str, Module]]:
    """Return the ReLUs that alone take a node's value, by that node, and the modules in front, by the ReLU's."""
    uses = Counter(ref for node in nodes for ref in node.inputs) + Counter(outputs)
    modules = {node.name: node.module for node in nodes}
    relus: dict[str, Module] = {}
    fronts: dict[str, Module] = {}
    for node in nodes:
        if type(node.module) is ReLU and len(node.inputs) == 1 and uses[node.inputs[0]] == 1:
            name, _ = node.inputs[0]
            if name in modules:
                relus[name], fronts[node.name] = node.module, modules[name]
    return relus, fronts


def _relu_behind(node: Node, plan: _Plan) -> Module | None:
    """Return the ReLU that runs as one with a node, as both are now."""
    relu = plan.relus.get(node.name)
    return relu if relu is not None and _fused.fuses(node.module, relu) else None


def _runs_in_front(node: Node, plan: _Plan) -> bool:
    """Return whether a node is a ReLU that runs as one with the module in front of it."""
    front = plan.fronts.get(node.name)
    return front is not None and _fused.fuses(front, node.module)


def _node_forward(node: Node, plan: _Plan, arguments: list[Any]) -> Any:
    relu = _relu_behind(node, plan)
    if relu is not None:
        return _fused.forward(node.module, relu, arguments[0])
    return arguments[0] if _runs_in_front(node, plan) else node.module(*arguments)


class _Several(list[Any]):
    """Marks the outputs of a node as several, where one output is a tuple itself."""


class _Gradients:
    """Gradients on their way back, by value; those that meet are added up."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int], Array] = {}
        self._own: set[tuple[str, int]] = set()

    def add(self, ref: tuple[str, int], grad: Array | None) -> None:
        """Add one. The first sum makes a new array: the gradient may have gone to other values as well."""
        if grad is None:
            return
        if ref not in self._sums:
            self._sums[ref] = grad
        elif ref in self._own:
            add(self._sums[ref], grad, out=self._sums[ref])
        else:
            self._sums[ref] = add(self._sums[ref], grad)
            self._own.add(ref)

    def take(self, ref: tuple[str, int]) -> Array | None:
        """Return the sum and forget it."""
        return self._sums.pop(ref, None)


def _store(values: dict[tuple[str, int], Any], name: str, result: Any) -> None:
    """Put a node's result under its name; a tuple of arrays or of shapes has an entry each."""
    several = isinstance(result, _Several) or (
        isinstance(result, tuple) and len(result) > 0 and not isinstance(result[0], (int, np.integer))
    )
    for index, value in enumerate(result if several else (result,)):
        values[name, index] = value
