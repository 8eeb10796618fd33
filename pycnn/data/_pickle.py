"""A reader for the pickles in which CIFAR is distributed, which never unpickles.

A pickle is a small program; `pickle.load` runs it and may import and call anything. Restricting what it may
import is not enough: NumPy's own reconstruction accepts states that were never meant to be read from
strangers, and the C unpickler sets memory aside as the file tells it. Here `pickletools.genops` takes the
program apart, and the machine below knows only the instructions by which such a file builds dictionaries,
lists, texts, numbers and arrays of bytes. The four names that these files mention are compared as text:
nothing is looked up, nothing of the file is called. Whatever else it holds is a ValueError.
"""

import enum
import io
import math
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt


class _Name(enum.Enum):
    RECONSTRUCT = "numpy _reconstruct"
    NDARRAY = "numpy ndarray"
    DTYPE = "numpy dtype"
    ENCODE = "_codecs encode"


_NAMES = {
    "numpy.core.multiarray _reconstruct": _Name.RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": _Name.RECONSTRUCT,
    "numpy ndarray": _Name.NDARRAY,
    "numpy dtype": _Name.DTYPE,
    "_codecs encode": _Name.ENCODE,
}


class _Bytes8:
    """Stands for NumPy's dtype of unsigned bytes."""


class Array:
    """Stands for an array of unsigned bytes until, and after, its content is known."""

    def __init__(self) -> None:
        self.value: npt.NDArray[np.uint8] | None = None


_PUSHED = {
    "BININT", "BININT1", "BININT2", "LONG1", "SHORT_BINSTRING", "BINSTRING",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read(data: bytes) -> Any:
    """Give the value of a pickle made of dict, list, tuple, str, bytes, int, bool, None and `Array`.

    Byte strings of Python 2 come back as str, a character a byte. Raises ValueError for anything else.
    """
    machine = _Machine(len(data))
    position = -1
    try:
        for opcode, argument, offset in pickletools.genops(io.BytesIO(data)):
            position = offset or 0
            machine.step(opcode.name, argument)
    except IndexError:
        raise ValueError(f"pickle takes from an empty stack at byte {position}") from None
    except KeyError:
        raise ValueError(f"pickle refers to nothing at byte {position}") from None
    except ValueError as error:
        raise ValueError(f"pickle is damaged or not of the plain kind: {error}") from None
    if position + 1 != len(data):
        raise ValueError(f"pickle ends at byte {position + 1}, the file at {len(data)}")
    return machine.stack[-1]


class _Machine:
    """Stack, marks and memo of a pickle program, and the instructions it may use."""

    def __init__(self, budget: int) -> None:
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._budget = budget
        self._handlers: dict[str, Callable[[Any], None]] = {
            "MARK": self._mark,
            "TUPLE": lambda _: self._push(tuple(self._to_mark())),
            "EMPTY_LIST": lambda _: self._push([]),
            "EMPTY_DICT": lambda _: self._push({}),
            "APPEND": lambda _: self._extend([self.stack.pop()]),
            "APPENDS": lambda _: self._extend(self._to_mark()),
            "SETITEM": lambda _: self._update(self._take(2)),
            "SETITEMS": lambda _: self._update(self._to_mark()),
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            "BINGET": lambda key: self._push(self._memo[key]),
            "LONG_BINGET": lambda key: self._push(self._memo[key]),
            "GLOBAL": self._global,
            "STACK_GLOBAL": lambda _: self._global(" ".join(map(_text, self._take(2)))),
            "REDUCE": self._reduce,
            "BUILD": self._build,
        }

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        if name in _PUSHED:
            self._push(argument)
        elif name in _CONSTANTS:
            self._push(_CONSTANTS[name])
        elif name in _TUPLES:
            self._push(tuple(self._take(_TUPLES[name])))
        elif name in self._handlers:
            self._handlers[name](argument)
        elif name == "STOP":
            if len(self.stack) != 1 or self._below:
                raise ValueError("it must leave one value")
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"instruction {name} is not allowed")

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    def _take(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise IndexError
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def _mark(self, _: Any) -> None:
        self._below.append(self.stack)
        self.stack = []

    def _to_mark(self) -> list[Any]:
        taken, self.stack = self.stack, self._below.pop()
        return taken

    def _put(self, key: int) -> None:
        self._memo[key] = self.stack[-1]

    def _extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise ValueError("it appends to something that is not a list")
        target.extend(values)

    def _update(self, values: list[Any]) -> None:
        target = self.stack[-1]
        keys = values[::2]
        if not isinstance(target, dict) or len(values) % 2 or not all(isinstance(k, (str, bytes)) for k in keys):
            raise ValueError("it sets items of something that is not a dictionary by text")
        target.update(zip(keys, values[1::2], strict=True))

    def _global(self, name: str) -> None:
        if name not in _NAMES:
            raise ValueError(f"it names {name[:100]!r}, which CIFAR files do not")
        self._push(_NAMES[name])

    def _reduce(self, _: Any) -> None:
        function, arguments = self._take(2)
        if not isinstance(arguments, tuple):
            raise ValueError("it calls with something that is not a tuple")
        if function is _Name.RECONSTRUCT and arguments[:1] == (_Name.NDARRAY,):
            self._push(Array())
        elif function is _Name.DTYPE and arguments and _text(arguments[0]) in ("u1", "|u1"):
            self._push(_Bytes8())
        elif function is _Name.ENCODE and len(arguments) == 2 and arguments[1] in ("latin1", "latin-1"):
            # Each text of the file is encoded once, so all of them together are no longer than the file.
            text = _text(arguments[0])
            self._budget -= len(text)
            if self._budget < 0:
                raise ValueError("it copies the same text many times")
            self._push(text.encode("latin-1"))
        else:
            raise ValueError("it calls something that CIFAR files do not")

    def _build(self, _: Any) -> None:
        target, state = self._take(2)
        if isinstance(target, Array):
            target.value = _filled(state)
        elif not isinstance(target, _Bytes8) or not isinstance(state, tuple):
            raise ValueError("it sets the state of something that has none")
        self._push(target)


def _filled(state: Any) -> npt.NDArray[np.uint8]:
    """Make the array of a state (version, shape, dtype, is_fortran, bytes)."""
    if not isinstance(state, tuple) or len(state) != 5:
        raise ValueError("an array's state must have 5 parts")
    _, shape, dtype, fortran, raw = state
    if not isinstance(dtype, _Bytes8):
        raise ValueError("an array must be of unsigned bytes")
    if not isinstance(shape, tuple) or not 1 <= len(shape) <= 4 or not all(type(n) is int for n in shape):
        raise ValueError("an array's shape must be 1 to 4 integers")
    data = raw if isinstance(raw, bytes) else _text(raw).encode("latin-1")
    if min(shape) < 1 or math.prod(shape) != len(data):
        raise ValueError(f"an array of shape {shape} cannot have {len(data)} bytes")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran is True else "C")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text expected, got {type(value).__name__}")
    return value
