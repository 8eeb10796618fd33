"""Other libraries with pools of their own in one process: any order of import, no crash, no more threads than CPUs."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pycnn

LIBRARIES = ["torch", "sklearn", "onnxruntime"]
# An ONNX model of one node, Relu from x to y, any size along the four axes: so onnxruntime's pool is started too.
MODEL = bytes.fromhex(
    "08083a3b0a0c0a0178120179220452656c751201675a130a0178120e0a0c080112080a000a000a00"
    "0a0062130a0179120e0a0c080112080a000a000a000a0042040a00100d"
)
USE = {
    "pycnn": "from pycnn import functional as F; y = F.conv2d(x, w, padding=1)",
    "torch": "import torch; z = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w), padding=1)",
    "sklearn": "from sklearn.cluster import KMeans; KMeans(4, n_init=1, random_state=0).fit(x.reshape(-1, 8))",
    "onnxruntime": f"import onnxruntime; onnxruntime.InferenceSession({MODEL!r}).run(None, {{'x': x}})",
}
START = "import numpy as np; x = np.ones((4, 8, 32, 32), np.float32); w = np.ones((8, 8, 3, 3), np.float32)\n"


def run(code, tmp_path):
    """Run a script of its own, as joblib's processes need one; it finds the pycnn that is tested here."""
    (tmp_path / "script.py").write_text(code)
    env = {name: value for name, value in os.environ.items() if name not in ("PYCNN_NUM_THREADS", "OMP_NUM_THREADS")}
    env["PYTHONPATH"] = str(Path(pycnn.__file__).parents[1])
    command = [sys.executable, str(tmp_path / "script.py")]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "order", [[*LIBRARIES, "pycnn"], ["pycnn", *LIBRARIES], ["torch", "pycnn", "sklearn"]], ids="-".join
)
def test_any_order_of_import(order, tmp_path):
    for name in set(order) - {"pycnn"}:
        pytest.importorskip(name, reason=f"{name} is not installed")
    uses = "\n".join(USE[name] for name in order)
    done = run(f"{START}{uses}\n{uses}\nassert np.allclose(y, z.numpy()); print('done')", tmp_path)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(["torch", "pycnn"])))
def test_a_forked_child_of_both(first, second, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this platform")
    code = f"{START}import os\n{USE[first]}\n{USE[second]}\nchild = os.fork()\n{USE['pycnn']}\n"
    code += "assert np.allclose(y, z.numpy())\nif child: assert os.waitpid(child, 0)[1] == 0\nelse: os._exit(0)"
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr


JOBLIB = """
import joblib, pycnn
from pycnn import functional as F
import numpy as np

def work():
    F.conv2d(np.ones((8, 8, 64, 64), np.float32), np.ones((8, 8, 3, 3), np.float32))
    return pycnn.get_num_threads()

if __name__ == "__main__":
    with joblib.parallel_config("loky", OPTIONS):
        got = joblib.Parallel(n_jobs=2)(joblib.delayed(work)() for _ in range(4))
    print(*got, WANT)
"""


@pytest.mark.parametrize(
    ("options", "want"),
    [("", "max(1, joblib.cpu_count() // 2)"), ("inner_max_num_threads=1", "1")],
    ids=["shared out", "as the user says"],
)
def test_processes_of_joblib_share_the_cpus(options, want, tmp_path):
    """joblib tells its workers through OMP_NUM_THREADS how many threads each may have."""
    pytest.importorskip("joblib", reason="joblib is not installed")
    done = run(JOBLIB.replace("OPTIONS", options).replace("WANT", want), tmp_path)
    assert done.returncode == 0, done.stderr
    *got, want = done.stdout.split()
    assert set(got) == {want}


def test_a_limit_inside_of_a_thread_of_joblib(tmp_path):
    """joblib leaves the threads of its threading backend alone; threadpoolctl limits each of them for itself."""
    pytest.importorskip("joblib", reason="joblib is not installed")
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    code = START + (
        "import joblib, pycnn, threadpoolctl; from pycnn import functional as F\n"
        "pycnn.register_threadpoolctl(); pycnn.set_num_threads(4)\n"
        "def limited(n):\n"
        "    with threadpoolctl.threadpool_limits(n, 'pycnn'):\n"
        "        y = F.conv2d(x, w)\n"
        "        return pycnn.get_num_threads()\n"
        "jobs = (joblib.delayed(limited)(1 + n % 3) for n in range(12))\n"
        "print(joblib.Parallel(n_jobs=3, backend='threading')(jobs) == [1, 2, 3] * 4, pycnn.get_num_threads())"
    )
    done = run(code, tmp_path)
    assert (done.returncode, done.stdout) == (0, "True 4\n"), done.stderr


def test_threads_of_joblib_do_not_multiply(tmp_path):
    """Only one Python thread at a time has the pool; the others compute alone."""
    pytest.importorskip("joblib", reason="joblib is not installed")
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("the system does not list threads")
    code = START + (
        "import joblib, os, pycnn; from pycnn import functional as F; pycnn.set_num_threads(2)\n"
        "def many(): return [F.conv2d(x, w).sum() for _ in range(50)] and len(os.listdir('/proc/self/task'))\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "most = max(joblib.Parallel(n_jobs=4, backend='threading')(joblib.delayed(many)() for _ in range(8)))\n"
        "print(most - before)"
    )
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    # 4 workers and a few threads of joblib's own executor; one helper of ours, not one for each worker
    assert int(done.stdout) <= 4 + 3 + 1
