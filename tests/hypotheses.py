"""What the property tests share: drawing calls, spoiling them, and judging the outcome.

A call is a dict of named arguments. Drawn calls have sensible types; their numbers may still make no sense together,
and then the reference says so. A spoiled call has one argument that no rule allows.
"""

import inspect
from collections.abc import Callable
from typing import Any

import memory
import numpy as np
import pytest
from case import fill
from compare import as_tuple, assert_matches, copied, image
from hypothesis import strategies as st

from pycnn import functional, reference

Call = dict[str, Any]
Draw = Callable[..., Any]

#: Parameters that the tables of bounds take by position.
LEADING = {
    *("grad_output", "x", "weight", "bias", "indices", "input_shape", "output_size", "output", "target"),
    *("running_mean", "running_var", "mask"),
}
NOT_A_COUNT = [0, -1, True, 1.5, "2", 2**63, np.float32(1.0), [], (1,) * 4, 1j]
NOT_A_PADDING = [-1, True, 1.5, "smae", None, 2**63, (1, 1, 1, 1), [], ((1, 2, 3), (1, 1)), {1: 2}, (-1,), ((0, -1),)]
NOT_A_FORMAT = ["NCWH", "nchw", "", None, 3]


def split(name: str, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments as the tables of bounds want them."""
    lead = []
    for parameter in inspect.signature(getattr(reference, name)).parameters:
        if parameter not in LEADING or parameter not in call:
            break
        lead.append(parameter)
    return tuple(call[p] for p in lead), {k: v for k, v in call.items() if k not in lead}


def copy_call(call: Call) -> Call:
    return {key: copied(value) for key, value in call.items()}


def function(name: str) -> Any:
    found = getattr(functional, name, None)
    if found is None:
        pytest.skip(f"pycnn.functional has no {name}")
    return found


def refused(name: str, call: Call) -> str | None:
    """Why pycnn refuses the call, or None. Only the two types, a message that names the function, nothing written."""
    before = [image(value) for value in call.values()]
    try:
        function(name)(**call)
    except (ValueError, TypeError) as error:
        assert str(error).startswith(f"{name}: "), f"message does not start with the name: {error}"
        assert before == [image(value) for value in call.values()], "refused, but something was written"
        return str(error)
    return None


def check(name: str, call: Call, exact: bool = False) -> None:
    """A call of sensible types: matches the reference, or both refuse it."""
    try:
        with np.errstate(all="ignore"):
            want = getattr(reference, name)(**copy_call(call))
    except ValueError as error:
        assert refused(name, copy_call(call)) is not None, f"the reference says: {error}"
        return
    got = function(name)(**copy_call(call))
    args, options = split(name, call)
    assert_matches(name, got, want, args, options, exact)


def check_spoiled(name: str, call: Call, spoil: str, value: Any) -> None:
    """A call with one impossible argument is refused, and leaves `out` alone."""
    try:
        with np.errstate(all="ignore"):
            want = as_tuple(getattr(reference, name)(**copy_call(call)))
    except ValueError:
        want = ()
    bad = {**copy_call(call), spoil: value}
    takes_out = "out" in inspect.signature(getattr(reference, name)).parameters
    if takes_out and want and spoil != "out":
        outs = tuple(None if w is None else memory.out_like(np.asarray(w), "contiguous")[0] for w in want)
        bad["out"] = outs if "needs" in inspect.signature(getattr(reference, name)).parameters else outs[0]
    assert refused(name, bad) is not None, f"{spoil}={value!r} passed"


def pick(draw: Draw, choices: list[Any]) -> Any:
    """One of `choices`, which may be arrays."""
    return choices[draw(st.integers(0, len(choices) - 1))]


def pick_spoiler(draw: Draw, spoilers: dict[str, list[Any]]) -> tuple[str, Any]:
    """An argument and an impossible value of it."""
    name = draw(st.sampled_from(sorted(spoilers)))
    return name, pick(draw, spoilers[name])


def bad_arrays(good: np.ndarray, floats_only: bool = True) -> list[Any]:
    """What cannot stand for a float array of this shape."""
    bad: list[Any] = [
        None,
        good.tolist(),
        "array",
        1.5,
        np.ma.masked_array(good),
        good.astype(np.float16),
        good.astype(complex),
        good.astype(object),
        good.astype("U4"),
        np.zeros((2,) * 7, good.dtype),
        np.zeros((), good.dtype),
        np.zeros((*good.shape, 1), good.dtype),
    ]
    if floats_only:
        bad += [np.zeros(good.shape, np.int32), good.astype(bool), np.zeros(good.shape, "M8[s]")]
    return bad


def bad_outs(shape: tuple[int, ...], dtype: Any) -> list[Any]:
    """What cannot be written to."""
    frozen = np.zeros(shape, dtype)
    frozen.flags.writeable = False
    other = np.float32 if dtype == np.float64 else np.float64
    return [frozen, np.zeros(shape, other), np.zeros((*shape, 1), dtype), np.zeros((3, 1, 2), dtype), [], "out", 1.0]


DTYPES = st.sampled_from([np.float32, np.float64])
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def counts(draw: Draw, dims: int, low: int, high: int) -> Any:
    """One number or one for each axis, as an int, a NumPy integer, a tuple or a list."""
    if draw(st.booleans()):
        value = draw(st.integers(low, high))
        return draw(st.sampled_from([value, np.int64(value), np.int32(value)]))
    values = draw(st.lists(st.integers(low, high), min_size=dims, max_size=dims))
    return draw(st.sampled_from([tuple(values), values]))


@st.composite
def paddings(draw: Draw, dims: int, high: int) -> Any:
    """Every way to write a padding."""
    kind = draw(st.sampled_from(["count", "pairs", "name"]))
    if kind == "count":
        return draw(counts(dims, 0, high))
    if kind == "name":
        return draw(st.sampled_from(["valid", "same", "same_lower"]))
    return tuple((draw(st.integers(0, high)), draw(st.integers(0, high))) for _ in range(dims))


@st.composite
def sizes(draw: Draw, dims: int, high: int) -> tuple[int, ...]:
    """Spatial sizes; sometimes one that crosses a vector."""
    shape = [draw(st.integers(1, high)) for _ in range(dims)]
    if draw(st.integers(0, 4)) == 0:
        shape[-1] = draw(st.integers(1, 70))
    return tuple(shape)


def numbers(seed: int, shape: tuple[int, ...], dtype: Any, kind: str = "small integers") -> np.ndarray:
    return fill(np.random.default_rng(seed), shape, dtype, kind)
