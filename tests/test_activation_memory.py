"""Every vectorised function on every instruction set, with any number of threads, and nowhere outside its arrays."""

import mmap
from typing import Any

import numpy as np
import pytest
from cases import CASES
from compare import as_tuple, assert_matches, copied
from vectors import ACTIVATIONS, ALL, FLOATS, ISAS, bits, guarded, isa, poison, thread_count

from pycnn import functional as F
from pycnn import reference


@pytest.mark.parametrize("name", [name for name in ISAS if name != ISAS[-1]])
@pytest.mark.parametrize("function", ALL)
def test_every_instruction_set(function: str, name: str) -> None:
    """The best one is what test_oracle runs; here are the others, on every third of its cases."""
    with isa(name), np.errstate(all="ignore"):
        for case in CASES[function][::3]:
            args, options = case.arguments()
            want = getattr(reference, function)(*copied(args), **options)
            got = getattr(F, function)(*copied(args), **options)
            assert_matches(function, got, want, args, options, case.exact)


def in_guarded(value: Any, at_end: bool) -> Any:
    if isinstance(value, np.ndarray):
        return guarded(np.ascontiguousarray(value).reshape(value.shape), at_end)
    if isinstance(value, tuple) and value and isinstance(value[0], np.ndarray):
        return tuple(in_guarded(v, at_end) for v in value)
    return value


@pytest.mark.skipif(not hasattr(mmap, "PROT_READ"), reason="needs mprotect")
@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("name", ISAS)
@pytest.mark.parametrize("function", ALL)
def test_nothing_outside_the_arrays(function: str, name: str, at_end: bool) -> None:
    """A read or a write one value too far ends in a segmentation fault."""
    cases = [case for case in CASES[function] if case.arguments()[0][0] is not None][::4]
    with isa(name), np.errstate(all="ignore"):
        for case in cases:
            args, options = case.arguments()
            want = getattr(F, function)(*copied(args), **options)
            args = tuple(in_guarded(a, at_end) for a in args)
            options = {key: in_guarded(value, at_end) for key, value in options.items()}
            results = as_tuple(want)
            outs = tuple(None if r is None else guarded(np.asarray(r), at_end) for r in results)
            several = function.endswith("_backward") and len(results) == 3
            if function in ("cross_entropy", "mse_loss", "binary_cross_entropy_with_logits"):
                got = getattr(F, function)(*args, **options)
            else:
                got = getattr(F, function)(*args, **options, out=outs if several else outs[0])
            assert bits(got) == bits(want)


def large_calls(dtype: Any) -> dict[str, Any]:
    """Calls with work for several threads, by name: functions without arguments."""
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal((6, 13, 41, 53)).astype(dtype) for _ in range(2))
    flat, labels = x.reshape(-1, 53), rng.integers(0, 53, x.size // 53)
    space = rng.integers(0, 13, (6, 41, 53))
    w = rng.random(13).astype(dtype)
    target = rng.random(x.shape).astype(dtype)
    mask = rng.random(x.shape) < 0.5
    calls: dict[str, Any] = {}
    for name in ACTIVATIONS:
        calls[name] = lambda name=name: (getattr(F, name)(x), getattr(F, f"{name}_backward")(g, x))
    for name in ("softmax", "log_softmax"):
        for dim in (1, 3):
            calls[f"{name} {dim}"] = lambda name=name, dim=dim: (
                y := getattr(F, name)(x, dim),
                getattr(F, f"{name}_backward")(g, y, dim),
            )
    calls["cross_entropy"] = lambda: (F.cross_entropy(flat, labels), F.cross_entropy_backward(1.0, flat, labels))
    calls["cross_entropy over space"] = lambda: (
        F.cross_entropy(x, space, w, label_smoothing=0.1),
        F.cross_entropy_backward(1.0, x, space, w, label_smoothing=0.1),
    )
    calls["mse_loss"] = lambda: (F.mse_loss(x, g), F.mse_loss_backward(1.0, x, g))
    logits = "binary_cross_entropy_with_logits"
    calls[logits] = lambda: (getattr(F, logits)(x, target), getattr(F, f"{logits}_backward")(1.0, x, target))
    for data_format in ("NCHW", "NHWC", "HWCN"):
        channels = x.shape[{"NCHW": 1, "NHWC": 3, "HWCN": 2}[data_format]]
        scale = rng.random(channels).astype(dtype)
        calls[f"batch_norm {data_format}"] = lambda f=data_format, s=scale: (
            *F.batch_norm(x, None, None, s, s, True, return_stats=True, data_format=f),
            *F.batch_norm_backward(g, x, None, None, s, True, data_format=f),
        )
        calls[f"local_response_norm {data_format}"] = lambda f=data_format: (
            F.local_response_norm(x, 5, data_format=f),
            F.local_response_norm_backward(g, x, 5, data_format=f),
        )
    calls["dropout"] = lambda: (*F.dropout(x, rng=3, return_mask=True), F.dropout_backward(g, mask))
    return calls


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", list(large_calls(np.float32)))
def test_any_number_of_threads_gives_the_same_bits(name: str, dtype: Any) -> None:
    call = large_calls(dtype)[name]
    seen = set()
    for n in (1, 2, 3, 8):
        with thread_count(n):
            seen |= {bits(call()) for _ in range(3)}
    assert len(seen) == 1


@pytest.mark.parametrize("name", list(large_calls(np.float32)))
def test_every_value_is_written(name: str) -> None:
    """Recycled memory full of NaN gives the same result."""
    call = large_calls(np.float32)[name]
    want = bits(call())
    with poison():
        assert bits(call()) == want
