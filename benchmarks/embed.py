"""What a call from C or Cython costs beside its arithmetic: a convolution of 1x8x8x8 with 8 filters of 3x3.

Compiles two small extensions (benchmarks/embedded) against the pycnn that is imported, in a temporary folder. The
arithmetic is what each further image adds; the rest of a call with one image is its fixed cost. One thread. Needs a C
compiler, setuptools and Cython.
"""

import argparse
import importlib
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import pycnn
from benchmarks.calls import fixed_part
from pycnn import functional as F

SOURCES = Path(__file__).parent / "embedded"
SETUP = """
import pycnn
from Cython.Build import cythonize
from setuptools import Extension, setup
options = {"include_dirs": [pycnn.get_include()]}
extensions = [Extension("embedded_table", ["embedded_table.c"], **options)]
extensions += cythonize([Extension("embedded_cimport", ["embedded_cimport.pyx"], **options)], quiet=True)
setup(ext_modules=extensions)
"""


def build(folder: Path) -> None:
    """Compile both extensions in a folder."""
    for source in SOURCES.iterdir():
        if source.is_file():
            shutil.copy(source, folder)
    (folder / "setup.py").write_text(
        f"import sys; sys.path.insert(0, {str(Path(pycnn.__file__).parents[1])!r})\n{SETUP}"
    )
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"embed: the extensions do not compile:\n{done.stdout}{done.stderr}")


def microseconds(
    calls: Callable[..., int], images: Sequence[int], with_workspace: bool, count: int, rounds: int
) -> list[float]:
    """Return the time of a call with each number of images: the fastest of several loops, which take turns."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 8, 3, 3), dtype=np.float32)
    xs = [rng.standard_normal((n, 8, 8, 8), dtype=np.float32) for n in images]
    ys = [np.full_like(x, np.nan) for x in xs]
    best = [math.inf] * len(xs)
    for _ in range(rounds):
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            begin = time.perf_counter()
            status = calls(count, x, weight, y, with_workspace)
            best[i] = min(best[i], (time.perf_counter() - begin) / count)
            if status:
                sys.exit(f"embed: status {status}")
    if not all(np.array_equal(y, F.conv2d(x, weight, padding=1)) for x, y in zip(xs, ys, strict=True)):
        sys.exit("embed: not the result of functional.conv2d")
    return [1e6 * seconds for seconds in best]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.embed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=2_000, help="calls in a loop")
    parser.add_argument("--rounds", type=int, default=60, help="loops, of which the fastest counts")
    args = parser.parse_args(argv)
    most = 9
    print(f"{'call on (1, 8, 8, 8)':<32}{'fixed us':>10}{'an image us':>13}")
    with tempfile.TemporaryDirectory(prefix="pycnn-bench-") as name, pycnn.threads(1):
        build(Path(name))
        sys.path.insert(0, name)
        for module in ("embedded_table", "embedded_cimport"):
            calls = importlib.import_module(module).calls
            for with_workspace in (True, False):
                short, long = microseconds(calls, (1, most), with_workspace, args.calls, args.rounds)
                each = (long - short) / (most - 1)
                words = f"{module.removeprefix('embedded_')}, {'own' if with_workspace else 'no'} workspace"
                print(f"{words:<32}{short - each:>10.2f}{each:>13.2f}", flush=True)
        weight = np.random.default_rng(1).standard_normal((8, 8, 3, 3), dtype=np.float32)
        fixed, each = fixed_part(lambda x: F.conv2d(x, weight, padding=1), most)
        print(f"{'functional.conv2d':<32}{1e6 * fixed:>10.2f}{1e6 * each:>13.2f}")


if __name__ == "__main__":
    main()
