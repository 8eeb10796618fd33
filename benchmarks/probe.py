"""The machine's limits, measured: multiply-adds per second and copied bytes per second, on some threads."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

# Bytes of a vector and flags of the compiler for each instruction set that pycnn may have chosen.
VECTORS = {
    "avx512": (64, ["-mavx512f", "-mprefer-vector-width=512"]),
    "avx2": (32, ["-mavx2", "-mfma"]),
    "neon": (16, []),
    "generic": (16, []),
}


class Probe:
    """Measures for a few milliseconds at a time, so that it can take turns with what is compared with it."""

    def __init__(self, isa: str, threads: int) -> None:
        self.threads = threads
        self._library = _build(isa)
        self._to = self._from = np.empty(0, np.uint8)

    def fma(self, dtype: str, seconds: float = 0.01) -> float:
        """Return operations per second, two a multiply-add, of sums that stay in registers."""
        return float(getattr(self._library, f"fma_{dtype}")(self.threads, ctypes.c_double(seconds)))

    def copy(self, moved: int, seconds: float = 0.01) -> float:
        """Return bytes per second of a copy that reads and writes so many bytes together, again and again."""
        half = max(moved // 2, 4096)
        if self._to.size < half:
            self._to, self._from = np.zeros(half, np.uint8), np.ones(half, np.uint8)
        to, source = (ctypes.c_char_p(a.ctypes.data) for a in (self._to, self._from))
        return float(self._library.copy(self.threads, ctypes.c_double(seconds), to, source, ctypes.c_size_t(half)))


def _build(isa: str) -> ctypes.CDLL:
    """Compile probe.c and load it; OSError without a compiler."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise OSError("no C compiler")
    width, flags = VECTORS[isa]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "probe.so"
        source = Path(__file__).with_name("probe.c")
        options = ["-std=gnu11", "-O2", "-shared", "-fPIC", "-pthread", f"-DVECTOR_BYTES={width}", *flags]
        done = subprocess.run(
            [*compiler.split(), *options, str(source), "-o", str(made)], capture_output=True, text=True
        )
        if done.returncode:
            raise OSError(f"{compiler} failed: {done.stderr.strip()[:300]}")
        library = ctypes.CDLL(str(made))
    for name in ("fma_float32", "fma_float64", "copy"):
        getattr(library, name).restype = ctypes.c_double
    return library
