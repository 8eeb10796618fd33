"""Checks `import pycnn`: at most 60 ms over `import numpy`, and nothing but NumPy and the standard library comes in."""

import statistics
import subprocess
import sys
import time

LIMIT_MS = 60


def seconds(statement: str) -> float:
    """Time a fresh interpreter that runs `statement`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def strangers() -> list[str]:
    """Return the top-level modules that `import pycnn` brings beyond NumPy and the standard library."""
    code = (
        "import sys, numpy; before = set(sys.modules); import pycnn;"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    known = sys.stdlib_module_names | {"pycnn", "numpy"}
    return sorted(m for m in out if m not in known and not m.startswith(("_cython", "cython_runtime")))


if __name__ == "__main__":
    pairs = [(seconds("import numpy"), seconds("import pycnn")) for _ in range(9)]
    without, having = (statistics.median(times) * 1e3 for times in zip(*pairs))
    extra = having - without
    print(f"import numpy {without:.0f} ms, import pycnn {having:.0f} ms: {extra:.0f} ms more (medians of {len(pairs)})")
    found = strangers()
    if found:
        sys.exit(f"import pycnn also imports {', '.join(found)}")
    if extra > LIMIT_MS:
        sys.exit(f"more than {LIMIT_MS} ms")
