"""The bundled networks: sizes, copies, learning."""

import copy
import pickle

import numpy as np
import pytest

from pycnn import models, nn, optim

SIZES = [8, 28, 32]


@pytest.mark.parametrize("name", sorted(models.REGISTRY))
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_model_takes_every_size(name, size, channels):
    net = models.build(name, in_channels=channels, num_classes=7, input_size=size, rng=0)
    assert net.output_shape((5, channels, size, size)) == (5, 7)
    table = net.summary((5, channels, size, size))
    assert table.parameters == sum(p.size for p in net.parameters())
    if size == 8:
        x = np.random.default_rng(0).normal(size=(4, channels, size, size)).astype(np.float32)
        y = net(x)
        assert y.shape == (4, 7)
        assert y.dtype == np.float32
        net.backward(np.ones_like(y), needs_input_grad=False)
        assert all(p.grad is not None and np.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize("name", sorted(models.REGISTRY))
def test_the_seed_decides_the_network(name):
    first, second, other = (models.build(name, in_channels=1, input_size=8, rng=rng) for rng in (3, 3, 4))
    x = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)
    y = first(x)
    np.testing.assert_array_equal(second(x), y)  # the dropout masks too
    assert (other(x) != y).any()
    for twin in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        np.testing.assert_array_equal(twin.eval()(x), first.eval()(x))
        first.train()


def test_sizes_are_those_of_the_papers():
    assert sum(p.size for p in models.lenet(rng=0).parameters()) == 61706
    assert models.lenet(input_size=32, rng=0).summary((1, 1, 32, 32)).parameters == 61706
    # He et al. give 0.27 million for 20 layers; 2,752 of ours are the two 1 x 1 shortcuts.
    assert sum(p.size for p in models.resnet20(rng=0).parameters()) == 269722 + 2752
    assert sum(isinstance(m, nn.Conv2d) for m in models.resnet8(rng=0).modules()) == 7 + 2


def test_rectangles_and_double_precision():
    net = models.lenet(in_channels=2, input_size=(8, 12), dtype=np.float64, rng=0)
    assert net(np.ones((1, 2, 8, 12))).dtype == np.float64
    net = models.vgg_small(input_size=(9, 16), dtype=np.float64, rng=0)
    assert net.dtype == np.float64
    assert net.output_shape((1, 1, 9, 16)) == (1, 10)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: models.build("alexnet"),
            ValueError,
            "name must be one of 'lenet', 'vgg-small', .* got 'alexnet'",
        ),
        (lambda: models.lenet(input_size=7), ValueError, "lenet: input_size must be >= 8, got 7"),
        (lambda: models.resnet8(input_size=8.0), TypeError, "resnet8: input_size must be an integer"),
        (lambda: models.vgg_small(in_channels=0), ValueError, "in_channels must be >= 1, got 0"),
        (lambda: models.resnet20(num_classes=0), ValueError, "out_features must be >= 1, got 0"),
    ],
)
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", sorted(models.REGISTRY))
def test_a_few_steps_lower_the_loss(name):
    net = models.build(name, in_channels=1, input_size=8, num_classes=3, rng=0)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # eight images are too few for its noise
    x = np.random.default_rng(0).normal(size=(8, 1, 8, 8)).astype(np.float32)
    labels = np.arange(8) % 3
    loss, opt = nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    values = []
    for _ in range(12):
        values.append(float(loss(net(x), labels)))
        opt.zero_grad()
        net.backward(loss.backward(), needs_input_grad=False)
        opt.step()
    assert np.mean(values[-2:]) < values[0]
