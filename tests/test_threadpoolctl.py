"""threadpoolctl sees the pool and limits it, whichever of the two is imported first."""

import json
import os
import subprocess
import sys
import threading

import pytest

import pycnn

threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")


@pytest.fixture(autouse=True)
def registered():
    old = pycnn.get_num_threads()
    pycnn.register_threadpoolctl()
    pycnn.set_num_threads(4)
    yield
    pycnn.set_num_threads(old)


def ours():
    return [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "pycnn"]


def test_the_pool_is_listed_once():
    pycnn.register_threadpoolctl()
    (pool,) = ours()
    assert pool["num_threads"] == 4
    assert pool["internal_api"] == "pycnn"
    assert pool["version"] == pycnn.__version__
    assert os.path.samefile(pool["filepath"], sys.modules["pycnn.kernels._runtime"].__file__)


@pytest.mark.parametrize("limits", [1, {"pycnn": 1}])
def test_a_limit_holds_in_its_context(limits):
    with threadpoolctl.threadpool_limits(limits):
        assert pycnn.get_num_threads() == 1
        with threadpoolctl.threadpool_limits(3):
            assert pycnn.get_num_threads() == 3
        assert pycnn.get_num_threads() == 1
    assert pycnn.get_num_threads() == 4
    pycnn.set_num_threads(6)  # nothing of the limit is left
    assert pycnn.get_num_threads() == 6


def test_a_limit_for_others_is_none_for_this_pool():
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        assert pycnn.get_num_threads() == 4


def test_a_limit_above_the_pool_changes_nothing():
    with threadpoolctl.threadpool_limits(64):
        assert pycnn.get_num_threads() == 4


def test_a_limit_is_that_of_its_thread():
    seen = []
    with threadpoolctl.threadpool_limits(1):
        other = threading.Thread(target=lambda: seen.append(pycnn.get_num_threads()))
        other.start()
        other.join()
    assert seen == [4]


def test_a_limit_inside_a_limit_of_our_own():
    with pycnn.threads(2):
        with threadpoolctl.threadpool_limits(1):
            assert pycnn.get_num_threads() == 1
        assert pycnn.get_num_threads() == 2
    assert pycnn.get_num_threads() == 4


@pytest.mark.parametrize(
    ("imports", "count"),
    [
        ("threadpoolctl, pycnn", 1),
        ("pycnn, threadpoolctl", 0),
        ("pycnn, threadpoolctl; pycnn.register_threadpoolctl()", 1),
    ],
)
def test_order_of_import(imports, count):
    code = f"import {imports}; import json; print(json.dumps([p['user_api'] for p in threadpoolctl.threadpool_info()]))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(run.stdout).count("pycnn") == count
