"""How many threads a process starts with: the CPUs that it may use, as its container grants; names of the package."""

import os
from pathlib import Path

import pytest

import pycnn
from pycnn import _config

QUOTAS = {
    "v2": ({"cpu.max": "150000 100000\n"}, 1.5),
    "v2, no limit": ({"cpu.max": "max 100000\n"}, float("inf")),
    "v1": ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3.0),
    "v1, no limit": ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
    "v2 unreadable, v1": ({"cpu.max": "?", "cpu/cpu.cfs_quota_us": "5", "cpu/cpu.cfs_period_us": "10"}, 0.5),
    "nothing there": ({}, float("inf")),
    "both unreadable": ({"cpu.max": "one two", "cpu/cpu.cfs_quota_us": "many"}, float("inf")),
}


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, files: dict[str, str]) -> None:
    """Let `files` lie where the kernel keeps a container's limits; nothing else limits."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(_config, "Path", lambda name: folder / Path(name).relative_to("/sys/fs/cgroup"))


@pytest.mark.parametrize("case", QUOTAS)
def test_quota(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, quota = QUOTAS[case]
    pretend(monkeypatch, tmp_path, files)
    assert _config._quota() == quota


@pytest.mark.parametrize(
    ("cpus", "quota", "threads"),
    [(8, "max", 8), (8, "150000", 2), (8, "400000", 4), (8, "10000", 1), (2, "800000", 2), (1, "max", 1)],
)
def test_default_number(cpus: int, quota: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, tmp_path, {"cpu.max": f"{quota} 100000"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cpus)), raising=False)
    assert _config._default_threads() == threads


@pytest.mark.parametrize(
    ("share", "threads"), [("2", 2), ("64", 8), ("0", 1), ("", 8), ("4,2", 8), ("all", 8), ("9" * 5000, 8)]
)
def test_share_of_a_process(share: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, tmp_path, {})
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", share)
    assert _config._default_threads() == threads


@pytest.mark.parametrize(("count", "threads"), [(6, 6), (None, 1)])
def test_default_number_where_there_is_no_affinity(
    count: int | None, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, tmp_path, {})
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert _config._default_threads() == threads


def test_include_folder_holds_the_headers_of_cython() -> None:
    assert (Path(pycnn.get_include()) / "pycnn.h").is_file()


def test_an_unknown_name_says_so() -> None:
    with pytest.raises(AttributeError, match="module 'pycnn' has no attribute 'nonsense'"):
        pycnn.nonsense  # noqa: B018  # the name is the test
