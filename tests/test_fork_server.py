"""A process that has used the pool forks workers, itself or through a fork server: each gets a pool of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pycnn

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")

WORKERS = 100
# A worker computes alone: what is measured is how long it takes, not how the system shares two cores among a hundred.
SERVER = """
import json, multiprocessing, sys

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["forked"])
    import forked
    out = []
    for _ in range(int(sys.argv[1])):
        here, there = context.Pipe(duplex=False)
        worker = context.Process(target=forked.report, args=(there,))
        worker.start()
        there.close()
        out.append(here.recv() if here.poll(30) else None)
        worker.join(30)
        if out[-1] is None or worker.exitcode != 0:
            worker.kill()
            break
    print(json.dumps(out))
"""
FORK = """
import json, os, select, sys
import forked

out = []
for _ in range(int(sys.argv[1])):
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(there, json.dumps(forked.work()).encode())
        os._exit(0)
    os.close(there)
    came = select.select([here], [], [], 30)[0]
    out.append(json.loads(os.read(here, 1000)) if came else None)
    os.close(here)
    if not came:
        os.kill(child, 9)
        break
    os.waitpid(child, 0)
print(json.dumps(out))
"""


@pytest.mark.parametrize("script", [SERVER, FORK], ids=["forkserver", "fork"])
def test_a_hundred_workers_compute_with_threads_of_their_own(script, tmp_path):
    (tmp_path / "script.py").write_text(script)
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(pycnn.__file__).parents[1])])
    run = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(WORKERS)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    reports = json.loads(run.stdout)
    assert len(reports) == WORKERS
    assert None not in reports, "a worker hangs"
    for seconds, same, before, after in reports:
        assert same
        assert seconds < 1
        if before is not None:
            assert (before, after) == (1, 2)
