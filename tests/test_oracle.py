"""Every case of every public function against its slow twin."""

import inspect
from typing import Any

import memory
import numpy as np
import pytest
from case import Case
from cases import CASES
from compare import as_tuple, assert_matches, copied, identical, image

from pycnn import functional, reference

#: Updated in place by batch_norm: compared with what the reference makes of them.
IN_PLACE = {"batch_norm": (1, 2)}

ALL = [pytest.param(name, case, id=f"{name}-{case}") for name, cases in CASES.items() for case in cases]


def function(name: str) -> Any:
    """The function under test. A missing one is reported by test_twins, once."""
    found = getattr(functional, name, None)
    if found is None:
        pytest.skip(f"pycnn.functional has no {name}")
    return found


def outputs(name: str) -> bool:
    return "out" in inspect.signature(getattr(reference, name)).parameters


def expected(name: str, args: Any, options: Any) -> Any:
    """What the reference says, leaving `args` alone; and its copies of the arguments."""
    args = copied(args)
    with np.errstate(all="ignore"):
        return getattr(reference, name)(*args, **copied_options(options)), args


def copied_options(options: dict[str, Any]) -> dict[str, Any]:
    return {key: copied(value) for key, value in options.items()}


@pytest.mark.parametrize(("name", "case"), ALL)
def test_case(name: str, case: Case) -> None:
    """The result, its memory, the arguments afterwards, and the same through `out`."""
    run = function(name)
    args, options = case.arguments()
    want, twin_args = expected(name, args, options)
    before = (
        [image(a) for n, a in enumerate(args) if n not in IN_PLACE.get(name, ())],
        image(tuple(options.values())),
    )
    fresh = copied(args) if name in IN_PLACE else args
    got = run(*fresh, **options)
    assert_matches(name, got, want, args, options, case.exact)
    after = (
        [image(a) for n, a in enumerate(fresh) if n not in IN_PLACE.get(name, ())],
        image(tuple(options.values())),
    )
    assert before == after, "the call changed its arguments"
    for place in IN_PLACE.get(name, ()):
        if args[place] is not None:
            np.testing.assert_allclose(fresh[place], twin_args[place], rtol=8 * np.finfo(args[place].dtype).eps)
    for result in as_tuple(got):
        assert result is None or result.ndim == 0 or (result.flags.c_contiguous and result.flags.writeable)
    if outputs(name):
        for form in ("contiguous", "stepped", "reversed"):
            check_out(name, run, args, options, got, form)


def check_out(name: str, run: Any, args: Any, options: Any, plain: Any, form: str) -> None:
    """`out` gets the bits of the plain call; nothing around it is written."""
    several = name.endswith("_backward") and isinstance(plain, tuple)
    results = as_tuple(plain) if several else as_tuple(plain)[:1]
    made = [None if r is None else memory.out_like(np.asarray(r), form) for r in results]
    outs = tuple(None if m is None else m[0] for m in made)
    got = as_tuple(run(*copied(args), **copied_options(options), out=outs if several else outs[0]))
    for given, back, want in zip(outs, got, results, strict=False):
        assert back is given or want is None, "out must be what is returned"
        assert want is None or identical(given, want), f"out, {form}: other values than without out"
    for m, r in zip(made, results, strict=True):
        if m is not None and form == "stepped":
            room = m[1].copy()
            room[tuple(slice(1, 2 * n, 2) for n in np.shape(r))] = memory.poison(room.dtype)
            assert identical(room, np.full_like(room, memory.poison(room.dtype))), "the call wrote beside out"


# Other memory, same numbers. A few cases of each function are enough: the forms are undone, or walked
# through, in the same place whatever the hyperparameters.


def few(name: str) -> list[Case]:
    plain = [case for case in CASES[name] if "empty" not in case.label and "width 1-" not in case.label]
    return plain[:2] + plain[len(plain) // 2 : len(plain) // 2 + 2] + plain[-2:]


MEMORY = [pytest.param(name, form, id=f"{name}-{form}") for name in CASES for form in (*memory.FORMS, *memory.FOREIGN)]


@pytest.mark.parametrize(("name", "form"), MEMORY)
def test_memory(name: str, form: str) -> None:
    """Strides, byte order, alignment, flags and foreign arrays do not matter."""
    run = function(name)
    change = memory.FORMS.get(form) or memory.FOREIGN[form]
    for case in few(name):
        args, options = case.arguments()
        skip = IN_PLACE.get(name, ())
        args = tuple(changed(a, change) if n not in skip else a for n, a in enumerate(args))
        options = {key: changed(value, change) for key, value in options.items()}
        plain_args = tuple(as_plain(a) for a in args)
        plain_options = {key: as_plain(value) for key, value in options.items()}
        want, _ = expected(name, plain_args, plain_options)
        before = image(args), image(tuple(options.values()))
        got = run(*(a.copy() if n in skip and a is not None else a for n, a in enumerate(args)), **options)
        assert_matches(name, got, want, plain_args, plain_options, case.exact and form in memory.FOREIGN)
        assert before == (image(args), image(tuple(options.values()))), "the call changed its arguments"


def changed(value: Any, change: Any) -> Any:
    if isinstance(value, np.ndarray):
        return change(value)
    if isinstance(value, tuple) and value and isinstance(value[0], np.ndarray):
        return tuple(change(v) for v in value)
    return value


def as_plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, memoryview)) or hasattr(value, "_values"):
        return memory.plain(np.asarray(getattr(value, "_values", value)))
    if isinstance(value, tuple):
        return tuple(as_plain(v) for v in value)
    return value


OUTPUTS = [name for name in CASES if outputs(name)]


@pytest.mark.parametrize("name", OUTPUTS)
def test_out_overlaps_an_input(name: str) -> None:
    """`out` may be an input, or lie across one: the result is as if the inputs had been copied."""
    run = function(name)
    met = 0
    for case in CASES[name]:
        args, options = case.arguments()
        plain = as_tuple(run(*copied(args), **copied_options(options)))
        results = plain if name.endswith("_backward") and len(plain) == 3 else plain[:1]
        for place, value in enumerate(args):
            for number, result in enumerate(results):
                if not isinstance(value, np.ndarray) or result is None or place in IN_PLACE.get(name, ()):
                    continue
                if value.dtype != result.dtype or value.shape != result.shape or value.size == 0:
                    continue
                met += 1
                check_overlap(run, args, options, place, number, results)
        if met > 12:
            return
    if not name.startswith(("lp_", "conv", "avg", "max", "adaptive")) and met == 0:
        pytest.fail("no case has a result of the shape of an input")


def check_overlap(run: Any, args: Any, options: Any, place: int, number: int, results: Any) -> None:
    for shift in (0, 1):
        room = np.empty(args[place].size + shift, dtype=args[place].dtype)
        x = room[: args[place].size].reshape(args[place].shape)
        out = room[shift:].reshape(args[place].shape)
        mixed = [copied(a) for a in args]
        mixed[place] = x
        x[...] = args[place]
        outs = tuple(out if n == number else None for n in range(len(results)))
        run(*mixed, **copied_options(options), out=outs if len(results) == 3 else out)
        assert identical(out, results[number]), f"out across argument {place}, shifted by {shift}"
