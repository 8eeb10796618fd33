"""Threads without a lock between them: what Python's free-threaded build allows, and other builds where kernels run."""

import subprocess
import sys
import sysconfig
import threading

import numpy as np
import pytest

import pycnn
from pycnn import functional as F
from pycnn import nn


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has its lock built in")
def test_import_leaves_the_lock_off():
    code = "import sys, pycnn, pycnn.nn, pycnn.optim; print(sys._is_gil_enabled())"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == ("False\n", "")


def in_threads(work, count):
    """Run work(0) .. work(count - 1) in threads that start together; raise what one of them raised."""
    gate, raised = threading.Barrier(count), []

    def one(index):
        try:
            gate.wait()
            work(index)
        except BaseException as error:
            raised.append(error)

    workers = [threading.Thread(target=one, args=(index,)) for index in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if raised:
        raise raised[0]


def test_settings_change_while_others_compute():
    old = pycnn.get_num_threads()
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 8, 20, 20)), rng.standard_normal((8, 8, 3, 3))
    y, grads = F.conv2d(x, w, padding=1), F.conv2d_backward(x, x, w, padding=1)

    def work(index):
        for step in range(60):
            if index == 0:
                pycnn.set_num_threads(1 + step % 4)
            elif index == 1:
                pycnn.empty_cache()
            with pycnn.threads(1 + (index + step) % 3):
                np.testing.assert_array_equal(F.conv2d(x, w, padding=1), y)
                for got, want in zip(F.conv2d_backward(x, x, w, padding=1), grads):
                    np.testing.assert_array_equal(got, want)

    try:
        in_threads(work, 6)
    finally:
        pycnn.set_num_threads(old)


def test_first_calls_with_many_hyperparameters_at_once():
    """What is remembered of checked hyperparameters is filled, and emptied, by all at once."""
    x, w = np.ones((1, 1, 9, 9)), np.ones((1, 1, 2, 2))
    want = {pad: F.conv2d(x, w, padding=pad).sum() for pad in range(5)}

    def work(index):
        for step in range(400):
            pad, odd = step % 5, 3 + (index * 400 + step) % 1500
            assert F.conv2d(x, w, padding=pad).sum() == want[pad]
            assert F.max_pool2d(np.ones((1, 1, 3, odd)), 2, 1).shape == (1, 1, 2, odd - 1)

    in_threads(work, 6)


def test_each_thread_trains_a_network_of_its_own():
    rng = np.random.default_rng(0)
    x, dy = rng.random((4, 3, 12, 12), np.float32), rng.random((4, 6, 6, 6), np.float32)

    def gradients():
        net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, rng=0), nn.ReLU(), nn.MaxPool2d(2))
        net(x)
        dx = net.backward(dy)
        return [dx, *(parameter.grad for parameter in net.parameters())]

    want = gradients()

    def work(index):
        for _ in range(10):
            for got, right in zip(gradients(), want):
                np.testing.assert_array_equal(got, right)

    in_threads(work, 6)
