"""The table of layers: shapes, parameters, multiply-adds, memory."""

import sys

import numpy as np
import pytest

from pycnn import nn
from pycnn.nn.summary import format_bytes


def bytes_kept(net):
    """Count the distinct memory that layers hold after forward."""
    blocks = {}

    def visit(value):
        if isinstance(value, np.ndarray):
            while isinstance(value.base, np.ndarray):
                value = value.base
            blocks[value.__array_interface__["data"][0]] = value.nbytes
        elif isinstance(value, (tuple, list)):
            for item in value:
                visit(item)

    for module in net.modules():
        visit(module._saved)
    return sum(blocks.values())


def branched():
    net = nn.Graph()
    x = net.input()
    a = net.add("conv", nn.Conv2d(2, 4, 3, padding=1), x)
    b = net.add("relu", nn.ReLU(), a)
    net.add("add", nn.Add(), a, b)
    net.add("cat", nn.Concat(), "add", b)
    net.add("head", nn.Sequential(nn.Flatten(), nn.Linear(8 * 64, 3)))
    return net


NETS = {
    "chain": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(64, 5),
    ),
    "kinds": lambda: nn.Sequential(
        nn.ConvTranspose2d(2, 4, 2, 2),
        nn.LeakyReLU(),
        nn.MaxPool2d(3, 1, ties="split"),
        nn.AvgPool2d(2, 1),
        nn.LPPool2d(2, 2, 1),
        nn.LocalResponseNorm(2),
        nn.Identity(),
        nn.AdaptiveMaxPool2d(3),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(data_format="NHWC"),
        nn.Softmax(),
    ),
    "graph": branched,
}


@pytest.mark.parametrize("name", NETS)
def test_memory_is_what_forward_keeps(name):
    net = NETS[name]()
    x = np.random.default_rng(0).normal(size=(3, 2, 8, 8)).astype(np.float32)
    table = net.summary(x.shape)
    y = net(x)
    assert table.rows[-1].output_shape == y.shape
    assert table.kept_bytes == bytes_kept(net)
    assert table.parameter_bytes == 4 * table.parameters == 4 * sum(p.size for p in net.parameters())


def test_rows_hold_what_the_table_prints():
    net = NETS["chain"]()
    table = net.summary((10, 2, 8, 8))
    first = table.rows[0]
    assert (first.name, first.type) == ("0", "Conv2d")
    assert first.input_shapes == ((10, 2, 8, 8),)
    assert first.output_shape == (10, 4, 8, 8)
    assert first.parameters == 4 * 2 * 9 + 4
    assert first.multiply_adds == 10 * 4 * 64 * 2 * 9
    assert table.rows[-1].multiply_adds == 10 * 64 * 5
    assert table.multiply_adds == sum(row.multiply_adds for row in table.rows)
    text = str(table)
    assert text.splitlines()[0] == "Sequential"
    assert "(10, 4, 8, 8)" in text
    assert f"{first.multiply_adds:,}" in text
    assert len({len(line) for line in text.splitlines()[1:-1]}) == 1


def test_transposed_convolution_counts_its_products():
    up = nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2)
    assert up.multiply_adds((5, 6, 7, 7)) == 5 * 6 * 49 * 2 * 9


def test_float64_activations_take_twice_the_memory():
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU())
    small, large = net.summary((1, 2, 8, 8)), net.summary((1, 2, 8, 8), dtype=np.float64)
    assert large.kept_bytes == 2 * small.kept_bytes
    assert net.to(np.float64).summary((1, 2, 8, 8)).kept_bytes == large.kept_bytes


def test_big_shapes_cost_nothing():
    table = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.MaxPool2d(2)).summary((1024, 3, 4096, 4096))
    assert table.rows[1].output_shape == (1024, 64, 2048, 2048)
    assert table.kept_bytes > sys.maxsize // 2**30


def test_one_layer_has_a_summary_too():
    table = nn.Linear(4, 2).summary((3, 4))
    assert [row.type for row in table.rows] == ["Linear"]
    assert table.multiply_adds == 24


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (2**20, "1.0 MiB"),
        (5 * 2**30, "5.0 GiB"),
        (2**53, "8192.0 TiB"),
    ],
)
def test_bytes_are_written_short(count, text):
    assert format_bytes(count) == text
