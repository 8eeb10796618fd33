"""Ctrl-C and kill -9 while a network is trained, in processes of their own."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from tiny import ENVIRONMENT, StopAt, assert_same_run, network, trainer

from pycnn.train import TrainingInterrupted, read_checkpoint

# Says when a step begins, and takes a while over it, so that the signal comes in the middle.
CHILD = """
import sys, time
sys.path.insert(0, {tests!r})
import tiny
from pycnn.train import Callback, TrainingInterrupted

class Slow(Callback):
    def on_step(self, trainer, result):
        print(result.step, flush=True)
        time.sleep({pause})

run = tiny.trainer(checkpoint={path!r}, checkpoint_every={every}, callbacks=[Slow()])
{resume}
try:
    run.fit()
except TrainingInterrupted as stop:
    print("stopped:", stop, flush=True)
    raise SystemExit(130)
print("done", flush=True)
"""

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def child(path, pause=0.05, every=None, resume=False):
    code = CHILD.format(
        tests=os.path.dirname(__file__),
        path=str(path),
        pause=pause,
        every=every,
        resume=f"run.load_checkpoint({str(path)!r})" if resume else "",
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT, **pipes)


@posix
def test_ctrl_c_and_resume(tmp_path):
    path = tmp_path / "checkpoint.npz"
    process = child(path)
    for line in process.stdout:
        if line == "6\n":
            process.send_signal(signal.SIGINT)
            break
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors == ""
    assert rest == "stopped: interrupted in epoch 2 of 3, step 2 of 4\n"
    run = trainer(model=network(4))
    run.load_checkpoint(path)
    assert (run.epoch, run.step_of_epoch) == (1, 2)
    run.fit()
    straight = trainer()
    straight.fit()
    assert_same_run(run, straight)


@posix
def test_a_second_ctrl_c_does_not_wait(tmp_path):
    process = child(tmp_path / "checkpoint.npz", pause=30)
    assert process.stdout.readline() == "1\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begin < 10
    assert process.returncode not in (0, 130) and "KeyboardInterrupt" in errors


@posix
def test_handlers_come_and_go():
    usual = signal.getsignal(signal.SIGINT)
    assert usual is signal.default_int_handler
    with pytest.raises(TrainingInterrupted):
        trainer(callbacks=[Kill(3)]).fit()
    assert signal.getsignal(signal.SIGINT) is usual


@posix
def test_the_suite_in_the_background():
    """A shell lets what it starts with & ignore the signal."""
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider '{__file__}::test_handlers_come_and_go' & wait $!"
    done = subprocess.run(["sh", "-c", command], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


@posix
@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda number, frame: None])
def test_a_handler_of_the_program_stays(own):
    before = signal.signal(signal.SIGINT, own)
    try:
        assert len(trainer(callbacks=[Kill(3)]).fit()) == 3
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)


class Kill(StopAt):
    """Sends the signal itself."""

    def on_step(self, trainer, result):
        if result.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def killed_and_resumed(path, delays):
    """Kill a run that saves every step, at random moments, until it gets through; return the number of kills."""
    kills = 0
    trainer().save_checkpoint(path)
    for delay in delays:
        process = child(path, pause=0.004, every=1, resume=True)
        process.stdout.readline()  # it has begun
        time.sleep(delay)
        process.kill()
        rest, errors = process.communicate(timeout=60)
        assert errors == ""
        read_checkpoint(path)  # the file is whole
        if rest.endswith("done\n"):
            break
        kills += 1
    run = trainer(model=network(8))
    run.load_checkpoint(path)
    run.fit()
    straight = trainer()
    straight.fit()
    assert_same_run(run, straight)
    assert [entry.name for entry in path.parent.iterdir() if entry.suffix == ".npz"] == [path.name]
    return kills


@posix
def test_kill_9(tmp_path):
    random.seed(1)
    assert killed_and_resumed(tmp_path / "checkpoint.npz", [random.uniform(0.0, 0.02) for _ in range(10)]) > 0


@posix
@pytest.mark.slow
def test_kill_9_hundreds_of_times(tmp_path):
    random.seed(2)
    kills = 0
    for number in range(200):
        (tmp_path / str(number)).mkdir()
        delays = [random.uniform(0, 0.04) for _ in range(10)]
        kills += killed_and_resumed(tmp_path / str(number) / "checkpoint.npz", delays)
    assert kills >= 500
