"""Threads, instruction sets, memory and the environment: what every kernel stands on."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import pycnn
from pycnn import functional as F
from pycnn.kernels import _runtime


def python(code, **environment):
    """Run `code` in a fresh interpreter."""
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)


def sample(seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((3, 17, 19, 23)).astype(dtype)
    w = rng.standard_normal((29, 17, 3, 3)).astype(dtype)
    return x, w


def step(x, w):
    """Forward and backward of a convolution, as one digest of bits."""
    y = F.conv2d(x, w, padding=1)
    parts = [y, *F.conv2d_backward(y, x, w, padding=1)]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


@pytest.fixture
def threads():
    old = pycnn.get_num_threads()
    yield pycnn.set_num_threads
    pycnn.set_num_threads(old)


# ---- threads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_threads_gives_the_same_bits(threads, dtype):
    x, w = sample(dtype=dtype)
    digests = set()
    for n in (1, 2, 3, 4, 8):
        threads(n)
        digests |= {step(x, w) for _ in range(5)}
    assert len(digests) == 1


def test_many_python_threads_compute_what_one_does(threads):
    threads(2)
    x, w = sample()
    expected = step(x, w)
    results = []

    def work():
        results.extend(step(x, w) for _ in range(20))

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 160
    assert set(results) == {expected}


def test_threads_context_limits_this_python_thread_only(threads):
    threads(3)
    seen = []
    with pycnn.threads(1):
        assert pycnn.get_num_threads() == 1
        other = threading.Thread(target=lambda: seen.append(pycnn.get_num_threads()))
        other.start()
        other.join()
        with pycnn.threads(2):
            assert pycnn.get_num_threads() == 2
        assert pycnn.get_num_threads() == 1
    assert seen == [3]
    assert pycnn.get_num_threads() == 3


@pytest.mark.parametrize("call", [pycnn.set_num_threads, pycnn.threads])
@pytest.mark.parametrize(
    ("n", "error"),
    [
        *[(n, ValueError) for n in (0, -1, 257, 2**31, 2**40, 2**70, np.int64(2**40))],
        *[(n, TypeError) for n in (1.5, True, "a", None)],
    ],
)
def test_number_of_threads_is_checked(call, n, error):
    before = pycnn.get_num_threads()
    with pytest.raises(error, match=r"threads: n must be .*got"):
        call(n)
    assert pycnn.get_num_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forked_children_compute_with_threads_of_their_own(threads):
    threads(2)
    x, w = sample()
    expected = step(x, w)  # the pool is running
    children = []
    start = time.monotonic()
    for _ in range(10):
        child = os.fork()
        if child == 0:
            os._exit(0 if step(x, w) == expected else 1)
        children.append(child)
    deadline = start + 30
    for child in children:
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                assert os.waitstatus_to_exitcode(status) == 0
                break
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                pytest.fail("a forked child hangs")
            time.sleep(0.002)
    assert step(x, w) == expected


def test_process_exits_while_another_thread_computes():
    code = (
        "import threading, numpy as np; from pycnn import functional as F\n"
        "x = np.ones((4, 32, 64, 64), 'f'); w = np.ones((32, 32, 3, 3), 'f')\n"
        "def work():\n    while True: F.conv2d(x, w)\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "F.conv2d(x, w)"
    )
    assert python(code).returncode == 0


# ---- instruction sets and the environment


def test_every_instruction_set_can_be_chosen():
    assert "generic" in _runtime.available_isas()
    before = _runtime.active_isa()
    for name in _runtime.available_isas():
        assert python("import pycnn; print(pycnn.config()['isa'])", PYCNN_ISA=name).stdout.strip() == name
        _runtime.select_isa(name)
        assert _runtime.active_isa() == name
    _runtime.select_isa(before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYCNN_ISA", "sse9"),
        ("PYCNN_NUM_THREADS", "0"),
        ("PYCNN_NUM_THREADS", "two"),
        ("PYCNN_NUM_THREADS", "257"),
        ("PYCNN_NUM_THREADS", "9" * 5000),
        ("PYCNN_CACHE_MB", "-1"),
    ],
)
def test_unusable_environment_raises_at_import(name, value):
    run = python("import pycnn", **{name: value})
    assert run.returncode == 1
    assert run.stderr.strip().splitlines()[-1].startswith(f"ValueError: {name}: must be")
    assert repr(value) in run.stderr


def test_environment_sets_the_number_of_threads():
    assert python("import pycnn; print(pycnn.get_num_threads())", PYCNN_NUM_THREADS="3").stdout.strip() == "3"


def test_show_config_names_what_is_active(capsys):
    pycnn.show_config()
    text = capsys.readouterr().out
    for word in (pycnn.__version__, _runtime.active_isa(), np.__version__, str(pycnn.get_num_threads())):
        assert word in text


def test_import_brings_nothing_but_numpy():
    code = (
        "import sys, numpy; before = set(sys.modules); import pycnn;"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    came = set(python(code).stdout.split()) - sys.stdlib_module_names - {"pycnn", "numpy"}
    assert not {name for name in came if "cython" not in name}


# ---- memory


def test_outputs_are_aligned_and_recycled():
    _runtime.empty_cache()
    first = _runtime.empty((1000, 1000), np.dtype(np.float32))
    address = first.ctypes.data
    assert address % 64 == 0
    first[...] = 1
    view = first[::2]
    del first
    assert _runtime.cached_bytes() == 0  # the view keeps the block
    del view
    assert _runtime.cached_bytes() >= 4_000_000
    assert _runtime.empty((1000, 1000), np.dtype(np.float32)).ctypes.data == address
    _runtime.empty_cache()
    assert _runtime.cached_bytes() == 0


def test_kept_memory_has_a_limit():
    _runtime.set_cache_limit(1 << 20)
    try:
        del_me = _runtime.empty((1 << 21,), np.dtype(np.uint8))
        del del_me
        assert _runtime.cached_bytes() <= 1 << 20
    finally:
        _runtime.set_cache_limit(512 << 20)


def test_poison_fills_recycled_memory_with_nan():
    _runtime.set_poison(True)
    try:
        assert np.isnan(_runtime.empty((100_000,), np.dtype(np.float64))).all()
    finally:
        _runtime.set_poison(False)


def test_impossible_output_is_a_memory_error():
    x = np.broadcast_to(np.float32(1), (1 << 20, 1, 1024, 1024))
    with pytest.raises(MemoryError, match="conv2d: no memory for an output of shape"):
        F.conv2d(x, np.ones((64, 1, 1, 1), np.float32))


@pytest.mark.parametrize(
    "call",
    [
        lambda x, w: F.conv2d(x, w, padding=1),
        lambda x, w: F.conv2d_backward(np.ones((3, 29, 19, 23), np.float32), x, w, padding=1),
        lambda x, w: F.conv_transpose2d(np.ones((3, 29, 19, 23), np.float32), w, padding=1),
        lambda x, w: F.linear(x.reshape(3 * 17, -1), np.ones((100, 19 * 23), np.float32)),
    ],
    ids=["conv2d", "conv2d_backward", "conv_transpose2d", "linear"],
)
def test_every_failing_allocation_is_a_clean_memory_error(call):
    x, w = sample()
    before = x.tobytes(), w.tobytes()
    expected = call(x, w)
    failures = 0
    for n in range(1, 100):
        _runtime.fail_after(n)
        try:
            call(x, w)
        except MemoryError:
            failures += 1
        else:
            break
        finally:
            _runtime.fail_after(0)
    assert failures >= 2
    assert (x.tobytes(), w.tobytes()) == before
    again = call(x, w)
    for a, b in zip(again, expected):
        np.testing.assert_array_equal(a, b)


def test_exact_from_the_environment():
    code = "import pycnn; print(pycnn.config()['exact'])"
    assert python(code, PYCNN_EXACT="1").stdout == "True\n"
    assert python(code, PYCNN_EXACT="").stdout == "False\n"
    assert "PYCNN_EXACT: must be 0 or 1, got 'yes'" in python(code, PYCNN_EXACT="yes").stderr
