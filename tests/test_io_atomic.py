"""A file that is being replaced is the old one or the new one, whatever happens in between."""

import errno
import io as stdio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycnn import io

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


def no_space(*args: Any, **kwargs: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(*args: Any, **kwargs: Any) -> Any:
    raise KeyboardInterrupt


class _FullDisk(stdio.FileIO):
    """A file that takes `room` bytes."""

    room = 0

    def write(self, data: Any) -> int:
        if len(data) > self.room:
            no_space()
        self.room -= len(data)
        return super().write(data)


def _full_after(room: int) -> Callable[..., Any]:
    def fdopen(fd: int, mode: str) -> Any:
        raw = _FullDisk(fd, mode)
        raw.room = room
        return stdio.BufferedWriter(raw, 100)

    return fdopen


FAULTS = [
    ("open", no_space),
    ("chmod", no_space),
    ("fsync", no_space),
    ("replace", no_space),
    ("fsync", interrupt),
    ("replace", interrupt),
    *[("fdopen", _full_after(room)) for room in (0, 1, 150, 300, 500)],
]


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".txt"])
@pytest.mark.parametrize(("function", "fault"), FAULTS)
def test_any_failing_step_leaves_the_old_file(
    function: str, fault: Any, suffix: str, existing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    path = tmp_path / f"file{suffix}"
    if existing:
        path.write_bytes(b"old")
    elif function == "chmod":
        pytest.skip("a fresh file needs no chmod")
    monkeypatch.setattr(os, function, fault)
    with pytest.raises((OSError, KeyboardInterrupt)) as caught:
        if suffix == ".txt":
            with io.atomic_write(path, "w") as file:
                file.write("new" * 1000)
        else:
            io.save({"w": np.arange(1000)}, path, {"note": "x"})
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ([path.name] if existing else [])
    if existing:
        assert path.read_bytes() == b"old"
    if isinstance(caught.value, OSError):
        assert caught.value.errno == errno.ENOSPC and str(path) in str(caught.value)


def test_a_failing_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("old")
    for mode, text in (("w", "new"), ("wb", b"new")):
        with pytest.raises(RuntimeError, match="mine"), io.atomic_write(path, mode) as file:  # type: ignore[call-overload]
            file.write(text)
            raise RuntimeError("mine")
        assert path.read_text() == "old" and os.listdir(tmp_path) == ["history.csv"]


def test_content_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "ü.csv"
    with io.atomic_write(path, "w") as text:
        text.write("a\r\nä\n")
        assert not path.exists()
    assert path.read_bytes() == "a\r\nä\n".encode()
    with io.atomic_write(str(path)) as file:
        file.write(b"abc")
        file.seek(0)
        file.write(b"X")
    assert path.read_bytes() == b"Xbc"
    with pytest.raises(ValueError, match="mode must be"):
        io.atomic_write(path, "a")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="path must be"):
        io.atomic_write(3)  # type: ignore[call-overload]


@posix
def test_permissions_stay_and_new_files_follow_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    before = os.umask(0o027)
    try:
        io.save({}, path)
        assert path.stat().st_mode & 0o7777 == 0o640
        for mode in (0o600, 0o664, 0o755):
            path.chmod(mode)
            io.save({}, path)
            assert path.stat().st_mode & 0o7777 == mode
    finally:
        os.umask(before)


@posix
def test_symbolic_links_keep_pointing(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    target, link = tmp_path / "runs" / "m.npz", tmp_path / "latest.npz"
    link.symlink_to(target)
    for number in (1, 2):
        io.save({"n": np.array(number)}, link)
        assert link.is_symlink() and int(io.load(target)["n"]) == number
    assert sorted(os.listdir(tmp_path)) == ["latest.npz", "runs"] and os.listdir(tmp_path / "runs") == ["m.npz"]


def test_missing_and_wrong_directories(tmp_path: Path) -> None:
    path = tmp_path / "none" / "m.npz"
    with pytest.raises(FileNotFoundError) as caught:
        io.save({}, path)
    assert caught.value.filename == str(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"m\.npz"):
        io.save({}, tmp_path / "file" / "m.npz")


UNPRIVILEGED = """
import os, sys
import numpy as np
import numpy.ma  # imported on first use, which below could be refused: the package may lie in a private folder
from pycnn import data, io
folder = sys.argv[1]
path = os.path.join(folder, "m.npz")
if os.geteuid() == 0:  # root may read and write everything
    os.chown(folder, 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
io.save({}, path)
old = open(path, "rb").read()

def refused(function, *arguments):
    try:
        function(*arguments)
    except PermissionError as error:
        assert error.filename == path, error
    else:
        raise SystemExit(f"{function} was not refused")
    assert os.listdir(folder) == ["m.npz"]

os.chmod(path, 0o444)
refused(io.save, {"w": np.ones(1)}, path)
os.chmod(path, 0)
refused(io.save, {"w": np.ones(1)}, path)
for function in (io.load, io.load_metadata, data.load):
    refused(function, path)
os.chmod(path, 0o644)
os.chmod(folder, 0o555)
refused(io.save, {"w": np.ones(1)}, path)
os.chmod(folder, 0o755)
assert open(path, "rb").read() == old
"""


@posix
def test_without_permission() -> None:
    """Write-protected file, unreadable file, read-only directory; root tries as nobody."""
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path: nobody may not enter that
        subprocess.run([sys.executable, "-c", UNPRIVILEGED, folder], check=True, timeout=60)


@posix
def test_order_of_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data to the disk, then the rename, then the directory: what a power cut needs."""
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(fd: int) -> None:
        steps.append("directory" if os.path.isdir(f"/proc/self/fd/{fd}") else f"file of {os.fstat(fd).st_size}")
        fsync(fd)

    def spy_replace(source: str, target: str) -> None:
        steps.append(f"rename to {os.path.basename(target)}")
        assert os.path.dirname(source) == os.path.dirname(target)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    with io.atomic_write(tmp_path / "x", "w") as file:
        file.write("12345")
    expected = "directory" if os.path.isdir("/proc/self/fd") else steps[2]
    assert steps == ["file of 5", "rename to x", expected]


@posix
def test_a_directory_that_cannot_be_flushed_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, calls = os.fsync, []

    def second_fails(fd: int) -> None:
        calls.append(fd)
        no_space() if len(calls) == 2 else fsync(fd)

    monkeypatch.setattr(os, "fsync", second_fails)
    io.save({"n": np.array(1)}, tmp_path / "m.npz")
    assert len(calls) == 2 and int(io.load(tmp_path / "m.npz")["n"]) == 1


LIMITED = """
import errno, os, resource, sys
import numpy as np
from pycnn import io
path = sys.argv[1]
io.save({"w": np.ones(10)}, path)
old = open(path, "rb").read()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    io.save({"w": np.ones(1_000_000)}, path)
except OSError as error:
    assert error.errno == errno.EFBIG and path in str(error), error
else:
    raise SystemExit("no error")
assert open(path, "rb").read() == old
assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
io.save({"w": np.ones(11)}, path)
assert len(io.load(path)["w"]) == 11
"""


@posix
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_file_size_limit(suffix: str, tmp_path: Path) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / f"m{suffix}")], check=True, timeout=60)


KILLED = """
import os, random, signal, sys, time
import numpy as np
from pycnn import io
path, count = sys.argv[1], int(sys.argv[2])
io.save({"w": np.zeros(20_000)}, path)
sizes, versions = random.Random(count), set()
for number in range(count):
    child = os.fork()
    if child == 0:
        version = 1000 * number
        while True:
            version += 1
            arrays = {"w": np.full(20_000, version), "v": np.full(5, version)}
            io.save(arrays, path, {"version": str(version)})
    time.sleep(sizes.uniform(0.001, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    arrays = io.load(path)
    found = {float(x) for array in arrays.values() for x in np.unique(array)}
    assert len(found) == 1, found
    assert float(io.load_metadata(path).get("version", "0")) == found.pop()
    versions.add(arrays["w"][0])
left = [name for name in os.listdir(os.path.dirname(path)) if name != os.path.basename(path)]
assert all(name.startswith(".pycnn-") and name.endswith(".tmp") for name in left), left
print(len(versions))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_killed_at_any_moment(suffix: str, count: int, tmp_path: Path) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    command = [sys.executable, "-c", KILLED, str(tmp_path / f"m{suffix}"), str(count)]
    result = subprocess.run(command, check=True, timeout=300, capture_output=True, text=True)
    assert int(result.stdout) > count // 4, "the children hardly ever wrote: the test says nothing"
