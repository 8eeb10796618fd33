"""In eval mode a network keeps nothing and serves many threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pycnn import models


@pytest.mark.parametrize("name", ["lenet", "resnet8"])
def test_eight_threads_get_the_same_bits(name):
    net = models.build(name, in_channels=1, input_size=8, rng=0).eval()
    batches = [np.random.default_rng(i).normal(size=(2, 1, 8, 8)).astype(np.float32) for i in range(8)]
    want = [net(x) for x in batches]
    state = {key: value.copy() for key, value in net.state_dict().items()}

    def work(index):
        return [net(batches[(index + i) % 8]) for i in range(6)]

    with ThreadPoolExecutor(8) as pool:
        for index, results in enumerate(pool.map(work, range(8))):
            for i, y in enumerate(results):
                np.testing.assert_array_equal(y, want[(index + i) % 8])
    assert all(module._saved is None for module in net.modules())
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value, state[key])
