"""pycnn.h compiles alone in every dialect, its table computes, one of another version is one clear ImportError."""

import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import pycnn
from pycnn import functional as F

ROOT = Path(__file__).resolve().parent.parent
HEADER = Path(pycnn.get_include()) / "pycnn.h"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)] or ["cc"]
# What the header offers, each used once.
USES = """
#include <pycnn.h>

int uses(const pycnn_api *pycnn, const float *x, const float *w, float *y);

int uses(const pycnn_api *pycnn, const float *x, const float *w, float *y) {
    pycnn_conv_geometry g = pycnn_conv2d(1, 8, 8, 8, 8, 3, 3, 1, 1);
    const pycnn_pool_geometry p = pycnn_pool2d(1, 8, 8, 8, 2, 2, 0);
    const pycnn_gemm_geometry m = pycnn_matrices(2, 3, 4);
    size_t bytes = 0;
    int status = pycnn->conv_forward_workspace(&g, sizeof(float), &bytes);
    pycnn_channels_last(g.x_shape, g.x_steps);
    if (status != PYCNN_OK) return pycnn->strerror(status)[0];
    return pycnn->conv_forward_f32(&g, x, w, NULL, y, NULL, 0) + pycnn->max_pool_forward_f32(&p, x, y, NULL, NULL, 0) +
           pycnn->gemm_f32(&m, x, w, NULL, y, NULL, 0) + (int)pycnn_output_size(8, 3, 1, 1, 0, 0);
}
"""
WITH_PYTHON = "#define PY_SSIZE_T_CLEAN\n#include <pycnn.h>\nconst void *imported(void);\n"
WITH_PYTHON += "const void *imported(void) { return pycnn_import(); }\n"
# A module whose only function correlates (8, 8, 8) images with eight filters.
MODULE = r"""
#define PY_SSIZE_T_CLEAN
#include <pycnn.h>
static const pycnn_api *pycnn;
static PyObject *conv(PyObject *self, PyObject *args) {
    Py_buffer x, w, y;
    const pycnn_conv_geometry g = pycnn_conv2d(1, 8, 8, 8, 8, 3, 3, 1, 1);
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*w*", &x, &w, &y)) return NULL;
    const int status = pycnn->conv_forward_f32(&g, (const float *)x.buf, (const float *)w.buf, NULL, (float *)y.buf,
                                               NULL, 0);
    PyBuffer_Release(&x);
    PyBuffer_Release(&w);
    PyBuffer_Release(&y);
    return PyLong_FromLong(status);
}
static PyMethodDef methods[] = {{"conv", conv, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "built", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_built(void) {
    pycnn = pycnn_import();
    return pycnn ? PyModule_Create(&definition) : NULL;
}
"""


def compiles(compiler: str, flags: list[str], source: Path) -> subprocess.CompletedProcess[str]:
    python = ["-isystem", sysconfig.get_path("include"), "-isystem", sysconfig.get_path("platinclude")]
    command = [compiler, *flags, f"-I{HEADER.parent}", *python, "-fsyntax-only", str(source)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture(params=COMPILERS)
def compiler(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A compiler of C, with the headers of Python."""
    if not shutil.which(request.param):
        pytest.skip("there is no C compiler here")
    trivial = tmp_path / "trivial.c"
    trivial.write_text("#include <Python.h>\n")
    if compiles(request.param, [], trivial).returncode:
        pytest.skip(f"{request.param} does not find Python.h")
    return request.param


@pytest.mark.parametrize("standard", ["c99", "c11", "c17", "c++11", "c++17", "c++20"])
@pytest.mark.parametrize(
    ("source", "definitions"), [(USES, ["-DPYCNN_NO_PYTHON"]), (USES, []), (WITH_PYTHON, [])], ids=range(3)
)
def test_it_compiles_alone_without_a_warning(
    compiler: str, standard: str, source: str, definitions: list[str], tmp_path: Path
) -> None:
    cxx = "++" in standard
    path = tmp_path / "one.c"
    flags = ["-x", "c++" if cxx else "c", f"-std={standard}"]
    path.write_text("#include <cstddef>\n" if cxx else "")
    if cxx and compiles(compiler, flags, path).returncode:
        pytest.skip(f"{compiler} has no C++ here")
    path.write_text(source)
    done = compiles(compiler, [*flags, *STRICT, *definitions], path)
    assert done.returncode == 0, done.stderr


BLOCK = re.compile(r"^```(c|cython)\n(.*?)^```$", re.M | re.S)
DOCUMENTS = [path for path in (ROOT / "README.md", ROOT / "docs" / "embedding.md") if path.is_file()]
BLOCKS = [(path, *block) for path in DOCUMENTS for block in BLOCK.findall(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    ("language", "text"),
    [block[1:] for block in BLOCKS],
    ids=[f"{path.name}-{language}" for path, language, _ in BLOCKS],
)
def test_the_documents_compile(compiler: str, language: str, text: str, tmp_path: Path) -> None:
    path, flags = tmp_path / "block.c", [*STRICT, "-std=c99"]
    if language == "cython":
        main = pytest.importorskip("Cython.Compiler.Main", reason="Cython is not installed")
        source = tmp_path / "block.pyx"
        source.write_text(text)
        options = main.CompilationOptions(main.default_options, language_level=3, output_file=str(path))
        assert main.compile(str(source), options).num_errors == 0
        flags = []
    else:
        path.write_text(text)
    done = compiles(compiler, flags, path)
    assert done.returncode == 0, done.stderr


def build(folder: Path, header: str) -> None:
    """Compile MODULE with a header of this text."""
    command = shlex.split(sysconfig.get_config_var("CC") or "cc")
    if not (sysconfig.get_config_var("LDSHARED") and shutil.which(command[0])):
        pytest.skip("there is no C compiler here")
    (folder / "pycnn.h").write_text(header)
    (folder / "built.c").write_text(MODULE)
    link = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared", "-fPIC"]
    include = [f"-I{folder}", f"-I{sysconfig.get_path('include')}"]
    target = folder / f"built{sysconfig.get_config_var('EXT_SUFFIX')}"
    done = subprocess.run(
        [*command, "-O1", *link, *include, str(folder / "built.c"), "-o", str(target)], capture_output=True, text=True
    )
    if "Python.h" in done.stderr:
        pytest.skip("Python.h is not here")
    assert done.returncode == 0, done.stderr


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that finds the built module and the pycnn that is tested here."""
    code = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(Path(pycnn.__file__).parents[1])!r}]\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_the_table_computes(tmp_path: Path) -> None:
    build(tmp_path, HEADER.read_text())
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape, dtype=np.float32) for shape in ((1, 8, 8, 8), (8, 8, 3, 3)))
    for name, values in (("x", x), ("w", w), ("y", F.conv2d(x, w, padding=1))):
        np.save(tmp_path / f"{name}.npy", values)
    code = f"""
import numpy as np, built
x, w, want = (np.load(r'{tmp_path}/' + name + '.npy') for name in 'xwy')
y = np.full_like(want, np.nan)
assert built.conv(x, w, y) == 0
assert y.tobytes() == want.tobytes()
"""
    done = run(tmp_path, code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("#define PYCNN_ABI_VERSION 1", "#define PYCNN_ABI_VERSION 99"),
        ("} pycnn_api;", "    void (*later)(void);\n} pycnn_api;"),
    ],
    ids=["other version", "more functions"],
)
def test_another_version_is_an_import_error(tmp_path: Path, old: str, new: str) -> None:
    text = HEADER.read_text()
    assert text.count(old) == 1
    build(tmp_path, text.replace(old, new))
    done = run(tmp_path, "import built")
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: pycnn: built against version ")
    assert "build this extension again" in last


def test_no_pycnn_is_an_import_error(tmp_path: Path) -> None:
    build(tmp_path, HEADER.read_text())
    code = f"""
import os, sys
sys.path[:] = [{str(tmp_path)!r}, *(p for p in sys.path if not os.path.isdir(os.path.join(p, "pycnn")))]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
import built
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'pycnn'" in done.stderr


def test_the_folder_is_found_without_importing_the_kernels_by_hand() -> None:
    assert HEADER.is_file()
    assert Path(pycnn.get_include()).is_absolute()
