"""`Module`: what every layer, container and network can do."""

import copy
import functools
import types
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from . import _check, _state
from ._types import Array, Shape
from .parameter import Parameter
from .summary import Summary, Tracer, Value, summarize


class LoadResult(NamedTuple):
    """Keys that ``load_state_dict(..., strict=False)`` left out.

    Attributes
    ----------
    missing : list of str
        Names of the module that the state lacks.
    unexpected : list of str
        Names of the state that the module lacks.
    """

    missing: list[str]
    unexpected: list[str]


class Module:
    """Base class of layers and networks.

    A module finds its parts among its attributes: every `Parameter` is a parameter, every `Module` a child,
    and `buffer_names` names arrays that belong to the state but are not learnt. So a network of your own is a
    class with layers as attributes, and a ``forward`` and a ``backward`` that call theirs; ``backward`` takes
    ``needs_input_grad``. Most networks need neither: see `Sequential` and `Graph`.

    In ``train()`` mode (the start) a module keeps what ``backward`` needs, for one backward pass. The arrays
    are kept, not copied: do not write into an input or an output between ``forward`` and ``backward``, or the
    gradients are those of the new values. In ``eval()`` mode it keeps nothing and may be called from many
    threads at once.

    Attributes
    ----------
    training : bool
        True in ``train()`` mode.
    buffer_names : tuple of str
        Names of the attributes that hold arrays of the state. An attribute that is None is left out.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> class Twice(nn.Module):
    ...     def __init__(self):
    ...         self.first = nn.Linear(4, 4, rng=0)
    ...         self.second = nn.Linear(4, 2, rng=1)
    ...     def forward(self, x):
    ...         return self.second(self.first(x))
    ...     def backward(self, grad_output, *, needs_input_grad=True):
    ...         grad = self.second.backward(grad_output)
    ...         return self.first.backward(grad, needs_input_grad=needs_input_grad)
    >>> net = Twice()
    >>> net(np.ones((3, 4), np.float32)).shape
    (3, 2)
    >>> net.backward(np.ones((3, 2), np.float32)).shape
    (3, 4)
    >>> sorted(net.state_dict())
    ['first.bias', 'first.weight', 'second.bias', 'second.weight']
    """

    training: bool = True
    buffer_names: tuple[str, ...] = ()
    # What backward needs, wrapped in a 1-tuple so that "nothing is kept" differs from "kept None".
    _saved: tuple[Any] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        inherited = cls.__init__
        if "__init__" not in vars(cls) and isinstance(inherited, types.FunctionType):
            # A function of its own, so that Python's complaint about an argument names this class.
            own = types.FunctionType(
                inherited.__code__, inherited.__globals__, "__init__", inherited.__defaults__, inherited.__closure__
            )
            functools.update_wrapper(own, inherited)
            del own.__wrapped__  # type: ignore[attr-defined]
            own.__kwdefaults__, own.__qualname__ = inherited.__kwdefaults__, f"{cls.__qualname__}.__init__"
            cls.__init__ = own  # type: ignore[method-assign]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *args: Any, **kwargs: Any) -> Any:
        """Add to ``grad`` of every parameter and return the gradient of the input."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def output_shape(self, *input_shapes: Shape) -> Any:
        """Return the output's shape for inputs of these shapes, without computing an output."""
        raise NotImplementedError(f"{type(self).__name__} has no output_shape")

    def multiply_adds(self, *input_shapes: Shape) -> int:
        """Return how many products convolution and matrix multiplication sum up in one forward pass."""
        return 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call `forward`."""
        return self.forward(*args, **kwargs)

    # Parts

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield the modules that this one is made of, with their names."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator["Module"]:
        """Yield the modules that this one is made of."""
        for _, child in self.named_children():
            yield child

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield this module (named "") and all modules below it, depth first, each once."""
        seen: set[int] = set()
        for name, module in _walk(self, prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all modules below it, depth first, each once."""
        for _, module in self.named_modules():
            yield module

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter once, under its key in ``state_dict``."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield _join(prefix, name), value

    def parameters(self) -> Iterator[Parameter]:
        """Yield every parameter once."""
        for _, parameter in self.named_parameters():
            yield parameter

    def _named_state(self) -> Iterator[tuple[str, "Module", str]]:
        """Yield (key, module, attribute) of each array of the state, in PyTorch's order."""
        for prefix, module in _walk(self, ""):
            own = [name for name, value in vars(module).items() if isinstance(value, Parameter)]
            own += [name for name in module.buffer_names if getattr(module, name) is not None]
            for name in own:
                yield _join(prefix, name), module, name

    # Modes and gradients

    def train(self, mode: bool = True) -> Self:
        """Keep from now on what backward needs; with ``mode=False`` as `eval`."""
        mode = _check.boolean(f"{type(self).__name__}.train", "mode", mode)
        for module in self.modules():
            module.training = mode
            if not mode:
                module._saved = None
        return self

    def eval(self) -> Self:
        """Keep nothing from now on; what was kept is dropped."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, dtype: npt.DTypeLike) -> Self:
        """Turn parameters and buffers into float32 or float64, in place; gradients and kept arrays go."""
        target = _check.float_dtype(f"{type(self).__name__}.to", dtype)
        for parameter in self.parameters():
            parameter.data, parameter.grad = parameter.data.astype(target), None
        for module in self.modules():
            module._saved = None
            for name in module.buffer_names:
                values = getattr(module, name)
                if values is not None and values.dtype.kind == "f":
                    setattr(module, name, values.astype(target))
        return self

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the first parameter; float32 where there is none."""
        first = next(self.parameters(), None)
        return np.dtype(np.float32) if first is None else first.dtype

    # State

    def state_dict(self, *, copy: bool = True) -> dict[str, Array]:
        """Return all parameters and buffers by name; names and shapes equal PyTorch's.

        Parameters
        ----------
        copy : bool
            True: arrays of their own, which later training does not change. False: the module's own arrays.

        Returns
        -------
        dict of str to ndarray
        """
        state = {}
        for key, module, name in self._named_state():
            values = _state.array_of(module, name)
            state[key] = values.copy() if copy else values
        return state

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike], strict: bool = True) -> LoadResult:
        """Set parameters and buffers; all of them, or none when something does not fit.

        Parameters
        ----------
        state : mapping of str to array
            As `state_dict` gives it; arrays of another float type are converted.
        strict : bool
            False: leave keys alone that only one side has, and return them.

        Returns
        -------
        LoadResult
            The missing and the unexpected keys; both empty with `strict`.

        Raises
        ------
        ValueError
            For a missing or extra key (with `strict`) or an array of another shape.
        TypeError
            For an array that has no float values where floats belong.
        """
        owner = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state, Mapping):
            raise TypeError(f"{owner}: state must be a mapping of names to arrays, got {type(state).__name__}")
        own = {key: (module, name) for key, module, name in self._named_state()}
        missing = [key for key in own if key not in state]
        unexpected = [key for key in state if key not in own]
        if strict and (missing or unexpected):
            raise ValueError(f"{owner}: {_state.key_mismatch(missing, unexpected)}")
        ready = [
            (_state.array_of(*own[key]), _state.fitting(owner, key, state[key], _state.array_of(*own[key])))
            for key in own
            if key in state
        ]
        for target, values in ready:
            target[...] = values
        return LoadResult(missing, unexpected)

    def rng_states(self) -> dict[str, dict[str, Any]]:
        """Return the state of every random generator below this module (those of `Dropout`), by name.

        Together with ``state_dict`` and the optimiser's state this is what a run needs to go on bit for bit.
        The values are dicts of strings and integers, which JSON can hold.
        """
        return {key: copy.deepcopy(dict(rng.bit_generator.state)) for key, rng in self._named_rngs()}

    def load_rng_states(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        """Set the generators as `rng_states` saved them; ValueError, and no change, for other names."""
        owner = f"{type(self).__name__}.load_rng_states"
        rngs = dict(self._named_rngs())
        missing, unexpected = [k for k in rngs if k not in states], [k for k in states if k not in rngs]
        if missing or unexpected:
            raise ValueError(f"{owner}: {_state.key_mismatch(missing, unexpected)}")
        for key, rng in rngs.items():  # try all of them on generators that nobody uses
            _state.check_rng_state(owner, key, rng, states[key])
        for key, rng in rngs.items():
            rng.bit_generator.state = states[key]

    def _named_rngs(self) -> Iterator[tuple[str, np.random.Generator]]:
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, np.random.Generator):
                    yield _join(prefix, name), value

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_saved"}

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(vars(self).get(name), Parameter) and not isinstance(value, Parameter):
            raise TypeError(f"{type(self).__name__}: {name} is a Parameter; set {name}.data to change its values")
        object.__setattr__(self, name, value)

    # Looks

    def summary(self, *input_shapes: Shape, dtype: npt.DTypeLike | None = None) -> Summary:
        """Describe the network layer by layer: shapes, parameters, multiply-adds, memory.

        Parameters
        ----------
        *input_shapes : tuple of int
            Shape of the input with its batch axis, ``(N, C, H, W)``; one for each input.
        dtype : dtype, optional
            Type of the activations; that of the parameters by default.

        Returns
        -------
        Summary
            Prints as a table; ``rows`` and the totals hold the same as data.

        Raises
        ------
        ValueError
            When a layer cannot follow the one before it; the message names it.
        """
        return summarize(self, input_shapes, self.dtype if dtype is None else np.dtype(dtype))

    def extra_repr(self) -> str:
        """Return what stands between the parentheses when the module is printed."""
        return ""

    def __repr__(self) -> str:
        lines = []
        for name, child in self.named_children():
            lines.append(f"({name}): {child!r}{self._child_note(name)}".replace("\n", "\n  "))
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return "\n  ".join([f"{type(self).__name__}({self.extra_repr()}", *lines]) + "\n)"

    def _child_note(self, name: str) -> str:
        return ""

    def _trace(self, tracer: Tracer, name: str, inputs: list[Value]) -> list[Value]:
        """Record this module in a summary; containers record their children instead."""
        return tracer.leaf(self, name, inputs)

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        """Return which of ("input", "output") backward needs, and the bytes it needs beside them."""
        return (), 0


def _walk(module: Module, prefix: str) -> Iterator[tuple[str, Module]]:
    yield prefix, module
    for name, child in module.named_children():
        yield from _walk(child, _join(prefix, name))


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
