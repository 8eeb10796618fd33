"""Builds the extensions: Cython modules, and under `_runtime` the C sources, some once per instruction set.

Environment: PYCNN_BUILD = release (default) | profile (release with symbols) | debug (bounds checks) |
coverage (line tracing) | sanitize (ASan, UBSan).
"""

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KIND = os.environ.get("PYCNN_BUILD", "release")
KINDS = ("release", "profile", "debug", "coverage", "sanitize")
if KIND not in KINDS:
    sys.exit(f"PYCNN_BUILD: must be one of {', '.join(KINDS)}, got {KIND!r}")

MACHINE = platform.machine().lower()
X86 = MACHINE in ("x86_64", "amd64")
ARM = MACHINE in ("aarch64", "arm64")

# Sources of the C floor that are compiled once, and the instruction sets with their flags (GCC and Clang, MSVC).
COMMON = ["cpu.c", "threadpool.c", "allocator.c", "workspace.c", "status.c", "dispatch.c"]
ISAS = {"generic": ([], [])}
if X86:
    ISAS["avx2"] = (["-mavx2", "-mfma"], ["/arch:AVX2"])
    ISAS["avx512"] = (
        ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx2", "-mfma", "-mprefer-vector-width=512"],
        ["/arch:AVX512"],
    )
if ARM:
    ISAS["neon"] = ([], [])
HAVE = [(f"PYCNN_HAVE_{name.upper()}", "1") for name in ISAS if name != "generic"]

# gnu11, not c11: GCC contracts a * b + c to a fused multiply-add only outside strict ISO mode.
UNIX_FLAGS = ["-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]
# Unwind tables are for exceptions, which C has none of, and would be a twentieth of the wheel.
SMALL = ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
OPTIMISE = {"release": ["-O2", "-g0", *SMALL], "profile": ["-O2", "-g"]}
OPTIMISE |= {"debug": ["-O1", "-g"], "coverage": ["-O1", "-g0"]}
OPTIMISE["sanitize"] = [
    "-O1",
    "-g",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
]
LINK = {"release": ["-Wl,-s"] if sys.platform.startswith("linux") else []}
LINK |= {"profile": [], "debug": [], "coverage": []}
LINK["sanitize"] = ["-fsanitize=address,undefined"]

MODULES = sorted(path.stem for path in Path("pycnn/kernels").glob("*.pyx"))
if not MODULES:
    sys.exit("setup.py: no .pyx files under pycnn/kernels: run it in the folder that holds it")
HEADERS = [str(path) for path in [*sorted(Path("csrc").glob("*.h")), Path("pycnn/include/pycnn.h")]]
SOURCES = [str(path) for path in sorted(Path("csrc").glob("*.c"))]


class BuildExt(build_ext):
    """Compiles the C floor into `_runtime`, each instruction set with flags of its own; on all cores."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extension(self, ext):
        msvc = self.compiler.compiler_type == "msvc"
        ext.extra_compile_args = ["/O2"] if msvc else UNIX_FLAGS + OPTIMISE[KIND] + ["-Wno-unreachable-code"]
        ext.extra_link_args = [] if msvc else LINK[KIND]
        if ext.name.endswith("._runtime"):
            ext.extra_objects = self._compile_c_floor(ext.extra_compile_args, msvc)
        super().build_extension(ext)

    def _compile_c_floor(self, flags, msvc):
        def compile_one(name, extra):
            return self.compiler.compile(
                [f"csrc/{name}"],
                output_dir=self.build_temp,
                macros=HAVE,
                include_dirs=["csrc", "pycnn/include"],
                extra_postargs=flags + extra,
                depends=HEADERS,
            )

        jobs = [(name, []) for name in COMMON]
        for isa, (unix, windows) in ISAS.items():
            # Not -O3: what gains by unrolling says so (UNROLL), and the rest would make the wheel a sixth larger.
            jobs.append((f"isa_{isa}.c", windows if msvc else unix))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = [o for made in pool.map(lambda job: compile_one(*job), jobs) for o in made]
        return objects


directives = {
    "language_level": 3,
    "boundscheck": KIND == "debug",
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    # Functions are the interpreter's own, with a signature that `inspect` can read: the type that Cython makes for them
    # otherwise would be in every module once more, an eighth of the wheel.
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    "freethreading_compatible": True,
    "linetrace": KIND == "coverage",
}
macros = [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if KIND == "coverage" else []
extensions = [
    Extension(
        f"pycnn.kernels.{name}",
        [f"pycnn/kernels/{name}.pyx"],
        include_dirs=["csrc", "pycnn/include"],
        define_macros=macros + HAVE,
        depends=HEADERS + (SOURCES if name == "_runtime" else []),
    )
    for name in MODULES
]

setup(
    ext_modules=cythonize(extensions, compiler_directives=directives),
    cmdclass={"build_ext": BuildExt},
)
