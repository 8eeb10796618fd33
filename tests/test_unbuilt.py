"""What `import pycnn` says in a checkout whose extensions are not built, which hides an installed pycnn."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pycnn


def imported_in(folder):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", "import pycnn"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


def test_the_source_folder(tmp_path):
    package = tmp_path / "pycnn"
    (package / "kernels").mkdir(parents=True)
    shutil.copy(Path(pycnn.__file__), package)
    (package / "kernels" / "__init__.py").touch()
    (package / "kernels" / "_runtime.pyx").touch()
    run = imported_in(tmp_path)
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert last.startswith(
        f"ImportError: pycnn: {package} is its source folder, and the extensions there are not built"
    )
    assert "start Python in another folder, or build them" in last and "`pip install -e .`" in last
    assert run.stderr.count("Error: ") == 1


def test_a_damaged_installation_says_what_is_missing(tmp_path):
    package = tmp_path / "pycnn"
    (package / "kernels").mkdir(parents=True)
    shutil.copy(Path(pycnn.__file__), package)
    (package / "kernels" / "__init__.py").touch()
    assert "No module named 'pycnn.kernels._runtime'" in imported_in(tmp_path).stderr
