"""Comparison of a result with what the reference says, and of arguments before and after."""

from typing import Any

import numpy as np
import tolerances


def as_tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def copied(value: Any) -> Any:
    """Copy of the arrays in an argument, so that a function that updates in place can be called twice."""
    if isinstance(value, np.ndarray):
        return value.copy(order="K")
    if isinstance(value, tuple):
        return tuple(copied(v) for v in value)
    return value


def image(value: Any) -> Any:
    """Everything about an argument that a call must not change."""
    if isinstance(value, np.ndarray):
        return value.tobytes(), value.shape, value.strides, value.dtype.str, value.flags.writeable
    if isinstance(value, (tuple, list)):
        return [image(v) for v in value]
    return repr(value)


def identical(got: Any, want: Any) -> bool:
    """Same shape and dtype; same values, NaN equal to NaN and -0.0 different from 0.0."""
    got, want = np.asarray(got), np.asarray(want)
    if got.dtype != want.dtype or got.shape != want.shape:
        return False
    if got.dtype.kind != "f":
        return bool(np.array_equal(got, want))
    same_sign = np.signbit(got) == np.signbit(want)
    return bool(np.array_equal(got, want, equal_nan=True) and np.all(same_sign | np.isnan(want)))


def assert_kind(got: Any, want: Any, where: str) -> None:
    """A plain array (or a NumPy scalar where the reference returns one) of the right type and shape."""
    if want is None:
        assert got is None, f"{where}: must be None"
        return
    assert type(got) is type(want), f"{where}: {type(got)} instead of {type(want)}"
    assert got.dtype == want.dtype and got.dtype.isnative, f"{where}: {got.dtype} instead of {want.dtype}"
    assert got.shape == want.shape, f"{where}: shape {got.shape} instead of {want.shape}"


def assert_close(got: Any, want: Any, bound: Any, where: str) -> None:
    """Infinities and NaN in the same places; the rest within `bound`."""
    got, want = np.asarray(got), np.asarray(want)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite], err_msg=where)
    distance = np.abs(got[finite].astype(np.float64) - want[finite].astype(np.float64))
    allowed = np.broadcast_to(bound, want.shape)[finite]
    worst = float(np.max(distance / np.maximum(allowed, 1e-300), initial=0.0))
    assert np.all(distance <= allowed), (
        f"{where}: off by {distance.max():.3g}, {worst:.3g} times what rounding explains"
    )


def assert_matches(
    name: str, got: Any, want: Any, args: tuple[Any, ...], options: dict[str, Any], exact: bool = False
) -> None:
    """`got` is what the reference says, up to rounding, or bit for bit."""
    got, want = as_tuple(got), as_tuple(want)
    assert len(got) == len(want), f"{name}: {len(got)} results instead of {len(want)}"
    for number, pair in enumerate(zip(got, want, strict=True)):
        assert_kind(*pair, f"{name}, result {number}")
    floats = [w.dtype for w in want if w is not None and w.dtype.kind == "f"]
    limits = [None] * len(want)
    if not exact and floats:
        with np.errstate(all="ignore"):
            limits = tolerances.bounds(name, args, options, want, floats[0])
    for number, (g, w) in enumerate(zip(got, want, strict=True)):
        where = f"{name}, result {number}"
        if w is None:
            continue
        if exact or w.dtype.kind != "f":
            np.testing.assert_array_equal(g, w, err_msg=where)
            if "pool" in name or "relu" in name:
                assert not name.startswith("max_pool") or identical(g, w), f"{where}: the sign of a zero"
        else:
            assert_close(g, w, limits[number], where)
