"""Checks a built wheel: size, no debug information, no source that does not belong, the files that must be there.

Usage: python tools/check_wheel.py dist/pycnn-*.whl
"""

import sys
import zipfile
from pathlib import Path

LIMIT = 1_500_000  # bytes
WANTED = (
    "pycnn_command.py",
    "pycnn/py.typed",
    "pycnn/kernels/_runtime.pyi",
    "pycnn/kernels/_runtime.pxd",
    "pycnn/kernels/__init__.pxd",
    "pycnn/include/pycnn.h",
    "licenses/LICENSE",
)
STRANGE = ("tests/", "csrc/", "examples/", "benchmarks/")


def check(path: Path) -> list[str]:
    """Return what is wrong with the wheel."""
    size = path.stat().st_size
    faults = [f"{size} bytes, more than {LIMIT}"] if size > LIMIT else []
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        faults += [f"{wanted} is missing" for wanted in WANTED if not any(n.endswith(wanted) for n in names)]
        if not any(n.startswith("pycnn/kernels/_runtime.") and n.endswith((".so", ".pyd")) for n in names):
            faults.append("the compiled modules are missing")
        compiled = {n.split(".")[0] for n in names if n.startswith("pycnn/kernels/") and n.endswith((".so", ".pyd"))}
        faults += [
            f"{name}.pyi is missing"
            for name in sorted(compiled)
            if f"{name}.pyi" not in names and "_cython" not in name
        ]
        strays = [n for n in names if n.startswith(STRANGE) or n.endswith((".pyx", ".c"))]
        faults += [f"{name} does not belong" for name in strays]
        for name in names:
            if name.endswith(".so") and b".debug_info" in wheel.read(name):
                faults.append(f"{name} has debug information")
    print(f"{path.name}: {size / 1e6:.2f} MB, {len(names)} files")
    return faults


if __name__ == "__main__":
    faults = [fault for name in sys.argv[1:] for fault in check(Path(name))]
    sys.exit("\n".join(faults) or None)
