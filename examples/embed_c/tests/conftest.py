import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pycnn train` leaves with all its defaults but the number of epochs."""
    run = tmp_path_factory.mktemp("runs") / "digits"
    command = [sys.executable, "-m", "pycnn_command", "train", "--epochs", "2", "--out", str(run), "--progress", "none"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return run
