"""Instruction set, threads and memory of this process: what is active, and how to change it."""

import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from pycnn.kernels import _runtime

MAX_THREADS = _runtime.MAX_THREADS


def _quota() -> float:
    """CPUs that the container's cgroup grants (v2, then v1); inf where there is no limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return float("inf") if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        base = Path("/sys/fs/cgroup/cpu")
        used = int((base / "cpu.cfs_quota_us").read_text())
        return float("inf") if used <= 0 else used / int((base / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return float("inf")


def _default_threads() -> int:
    """CPUs this process may run on, cut to the container's quota (rounded up) and to OMP_NUM_THREADS.

    That variable is how joblib, dask and batch systems tell the processes that share a machine what each may have.
    """
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cpus = os.cpu_count() or 1
    quota = _quota()
    if quota != float("inf"):
        cpus = min(cpus, -int(-quota // 1))
    share = os.environ.get("OMP_NUM_THREADS", "")
    if share.isdecimal() and len(share) < 12:  # it is not ours to complain of: OpenMP takes lists too
        cpus = min(cpus, int(share))
    return min(MAX_THREADS, max(1, cpus))


def _thread_count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: n must be an integer, got {value!r}")
    if not 1 <= value <= MAX_THREADS:
        raise ValueError(f"{name}: n must be >= 1 and <= {MAX_THREADS}, got {value}")
    return int(value)


def set_num_threads(n: int) -> None:
    """Let every call use at most `n` threads, the calling one included.

    The results are the same bits for any number.

    Parameters
    ----------
    n : int
        1 to 256. The default is ``PYCNN_NUM_THREADS``, or the number of CPUs that the process may use, cut to
        ``OMP_NUM_THREADS`` where that is a number.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is out of range.

    Examples
    --------
    >>> import pycnn
    >>> old = pycnn.get_num_threads()
    >>> pycnn.set_num_threads(2)
    >>> pycnn.get_num_threads()
    2
    >>> pycnn.set_num_threads(old)
    """
    _runtime.set_num_threads(_thread_count("set_num_threads", n))


def get_num_threads() -> int:
    """Return how many threads a call made here and now may use.

    Examples
    --------
    >>> import pycnn
    >>> pycnn.get_num_threads() >= 1
    True
    """
    n: int = _runtime.num_threads()
    return n


def threads(n: int) -> AbstractContextManager[None]:
    """Limit the calls that this Python thread makes inside the block to `n` threads.

    Parameters
    ----------
    n : int
        1 to 256.

    Returns
    -------
    context manager

    Raises
    ------
    TypeError, ValueError
        As `set_num_threads`, at the call.

    Examples
    --------
    >>> import pycnn
    >>> with pycnn.threads(1):
    ...     pycnn.get_num_threads()
    1
    """
    return _limited(_thread_count("threads", n))


@contextmanager
def _limited(n: int) -> Iterator[None]:
    old = _runtime.set_local_threads(n)
    try:
        yield
    finally:
        _runtime.set_local_threads(old)


def set_exact(on: bool) -> None:
    """Choose whether convolutions may use fast algorithms that round differently from the plain sum.

    Winograd's algorithm, used for 3x3 kernels, needs a quarter of the multiplications with stride 1 and 56 % with
    stride 2. Its largest error over the largest value of the result stays below 3e-6 in float32 (up to 512 channels),
    that of the plain sum below 2.5e-6. ``PYCNN_EXACT=1`` in the environment does the same as ``set_exact(True)``.

    Parameters
    ----------
    on : bool
        True: every convolution is the plain sum, exact for small integers. False, the default: whatever is fastest.

    Examples
    --------
    >>> import pycnn
    >>> pycnn.set_exact(True)
    >>> pycnn.config()["exact"]
    True
    >>> pycnn.set_exact(False)
    """
    if not isinstance(on, (bool, np.bool_)):
        raise TypeError(f"set_exact: on must be a bool, got {on!r}")
    _runtime.set_exact(bool(on))


def config() -> dict[str, object]:
    """Return what `show_config` prints, as a dictionary.

    Examples
    --------
    >>> import pycnn
    >>> sorted(pycnn.config())
    ['cached_bytes', 'exact', 'isa', 'isas', 'machine', 'numpy', 'python', 'threads']
    """
    return {
        "isa": _runtime.active_isa(),
        "isas": _runtime.available_isas(),
        "threads": _runtime.num_threads(),
        "exact": _runtime.exact(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cached_bytes": _runtime.cached_bytes(),
    }


def show_config() -> None:
    """Print the instruction set, threads, versions and kept memory of this process.

    Examples
    --------
    >>> import pycnn
    >>> pycnn.show_config()  # doctest: +ELLIPSIS
    pycnn         ...
    """
    from pycnn import __version__

    rows = {"pycnn": __version__} | config()
    for name, value in rows.items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{name:<13} {text}")


def get_include() -> str:
    """Return the folder of `pycnn.h`, for the compiler of code that calls the kernels from C, C++ or Cython.

    Cython finds what ``from pycnn.kernels cimport ...`` names by itself, where pycnn is installed.

    Examples
    --------
    >>> import os, pycnn
    >>> os.path.exists(os.path.join(pycnn.get_include(), "pycnn.h"))
    True
    """
    return str(Path(__file__).parent / "include")


def empty_cache() -> None:
    """Give the memory kept for reuse back to the system.

    Examples
    --------
    >>> import pycnn
    >>> pycnn.empty_cache()
    >>> pycnn.config()["cached_bytes"]
    0
    """
    _runtime.empty_cache()


def _configure() -> None:
    """Read PYCNN_ISA, PYCNN_NUM_THREADS, PYCNN_EXACT and PYCNN_CACHE_MB. An unusable value raises here, at import."""
    _runtime.select_isa(os.environ.get("PYCNN_ISA", ""))
    _runtime.set_num_threads(_environment_int("PYCNN_NUM_THREADS", 1, MAX_THREADS) or _default_threads())
    exact = os.environ.get("PYCNN_EXACT", "")
    if exact not in ("", "0", "1"):
        raise ValueError(f"PYCNN_EXACT: must be 0 or 1, got {exact!r}")
    _runtime.set_exact(exact == "1")
    cache = _environment_int("PYCNN_CACHE_MB", 0)
    if cache is not None:
        _runtime.set_cache_limit(cache << 20)


def _environment_int(name: str, low: int, high: int = 2**31 - 1) -> int | None:
    text = os.environ.get(name, "")
    if text and not (text.isdecimal() and len(text) < 12 and low <= int(text) <= high):
        raise ValueError(f"{name}: must be an integer >= {low} and <= {high}, got {text!r}")
    return int(text) if text else None


_configure()
