"""The gradient check finds wrong gradients, and the layers, losses and networks pass it."""

import copy

import numpy as np
import pytest

from pycnn import functional as F
from pycnn import gradcheck, models, nn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 4, 6, 5))

LAYERS = [
    (nn.Conv1d(4, 3, 3, padding=1), X[:, :, 0]),
    (nn.Conv2d(4, 6, 3, stride=2, padding=((1, 0), (0, 2)), groups=2), X),
    (nn.Conv2d(4, 2, 3, padding="same_lower", dilation=2, bias=False), X),
    (nn.Conv3d(1, 2, 2), X[:, None]),
    (nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1), X[:1]),
    (nn.MaxPool1d(2), X[:, :, 0]),
    (nn.MaxPool2d(3, 2, 1), X),
    (nn.MaxPool2d(2, ties="split"), X),
    (nn.MaxPool2d(2, ties="all", padding="same"), X),
    (nn.MaxPool3d(2), X[None]),
    (nn.AvgPool1d(2), X[:, :, 0]),
    (nn.AvgPool2d(3, 2, 1, dilation=2, count_include_pad=False), X),
    (nn.AvgPool3d(2, 1), X[None]),
    (nn.AdaptiveAvgPool2d((4, 3)), X),
    (nn.AdaptiveMaxPool2d(2), X),
    (nn.LPPool2d(3, 2), X),
    (nn.Linear(5, 3), X),
    (nn.BatchNorm1d(4), X[:, :, 0]),
    (nn.BatchNorm2d(4), X),
    (nn.Dropout(0.4, rng=0), X),
    (nn.LocalResponseNorm(3, alpha=0.5), X),
    *[(nn.make_activation(name), X[0]) for name in sorted(nn.activation.ACTIVATIONS)],
    (nn.GELU("tanh"), X[0]),
    (nn.Flatten(), X),
    (nn.Identity(), X),
]


@pytest.mark.parametrize(("layer", "x"), LAYERS, ids=[f"{type(m).__name__}-{i}" for i, (m, _) in enumerate(LAYERS)])
def test_layers_pass(layer, x):
    report = gradcheck(layer, x, samples=40)
    assert report.ok
    assert [row.name for row in report.rows] == ["input 0", *(name for name, _ in layer.named_parameters())]


@pytest.mark.parametrize(
    ("loss", "x", "target"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.1), X[0, 0], np.array([0, 4, 2, 1, 1, 3])),
        (
            nn.CrossEntropyLoss(reduction="none", weight=np.arange(1.0, 6)),
            X[0, 0],
            np.array([0, 4, 2, 1, 1, 3]),
        ),
    ],
)
def test_losses_of_labels_pass(loss, x, target):
    assert [row.name for row in gradcheck(loss, x, target).rows] == ["input 0"]


def test_losses_of_values_pass():
    target = RNG.uniform(size=X[0, 0].shape)
    for loss in (
        nn.MSELoss(),
        nn.MSELoss("none"),
        nn.BCEWithLogitsLoss(pos_weight=np.array(2.0) * np.ones(5)),
    ):
        assert gradcheck(loss, X[0, 0], target)


def test_joints_pass():
    report = gradcheck(nn.Add(), X, X + 1, samples=10)
    assert [row.name for row in report.rows] == ["input 0", "input 1"]
    assert gradcheck(nn.Concat(), X, X[:, :1], samples=10)


def test_a_whole_network_with_batch_norm_and_dropout_passes():
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, rng=0),
        nn.BatchNorm2d(4),
        nn.SiLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.3, rng=1),
        nn.Flatten(),
        nn.Linear(36, 3, rng=2),
    )
    net(np.ones((2, 2, 6, 6), np.float32))
    before, rngs = copy.deepcopy(net.state_dict()), net.rng_states()
    report = gradcheck(net.eval(), RNG.normal(size=(3, 2, 6, 6)), samples=30)
    assert report.max_relative < 1e-4
    assert report.max_absolute < 1e-6
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    assert net.rng_states() == rngs
    assert not net.training
    assert net.dtype == np.float32


@pytest.mark.parametrize("name", sorted(models.REGISTRY))
def test_bundled_models_pass(name):
    net = models.build(name, in_channels=1, input_size=8, num_classes=3, rng=0)
    assert gradcheck(net, RNG.normal(size=(2, 1, 8, 8)), samples=2, eps=1e-7, atol=1e-6, rtol=1e-4)


def test_a_pair_of_functions_passes():
    w, b = RNG.normal(size=(3, 4, 3, 3)), RNG.normal(size=3)
    report = gradcheck(F.conv2d, X, w, b, backward=lambda dy, x, w, b: F.conv2d_backward(dy, x, w), samples=20)
    assert [row.name for row in report.rows] == ["input 0", "input 1", "input 2"]
    assert [row.checked for row in report.rows] == [20, 20, 3]
    assert "input 2" in str(report)


def test_a_wrong_gradient_is_found_and_shown():
    def wrong(dy, x):
        dx = 2 * dy * x
        dx[1] += 0.5
        return dx

    with pytest.raises(AssertionError, match=r"(?s)disagree.*input 0.*WRONG at \(1,\): backward .*, difference"):
        gradcheck(np.square, np.array([1.0, 2.0, 3.0]), backward=wrong)
    report = gradcheck(np.square, np.array([1.0, 2.0, 3.0]), backward=wrong, raise_exception=False)
    assert not report
    row = report.rows[0]
    assert row.worst == (1,)
    assert row.max_absolute == pytest.approx(0.5, rel=1e-3)
    assert row.backward == pytest.approx(row.difference + 0.5, rel=1e-6)
    assert not gradcheck(np.square, np.ones(2), backward=lambda dy, x: dy * np.nan, raise_exception=False)


def test_a_wrong_parameter_gradient_is_found():
    class Wrong(nn.Linear):
        def _backward(self, grad_output, saved, needs_input_grad):
            dx = super()._backward(grad_output, saved, needs_input_grad)
            self.bias.grad[0] = 0
            return dx

    report = gradcheck(Wrong(3, 2), RNG.normal(size=(2, 3)), raise_exception=False)
    assert [row.name for row in report.rows if not row.ok] == ["bias"]


def test_writing_into_an_input_is_found():
    def forward(x):
        x += 1
        return x * 2

    with pytest.raises(AssertionError, match="wrote into an input"):
        gradcheck(forward, np.ones(3), backward=lambda dy, x: 2 * dy)


def test_arguments_are_checked():
    for call, error, message in [
        (lambda: gradcheck(3, X), TypeError, "must be a Module or a callable, got int"),
        (lambda: gradcheck(F.relu, X), TypeError, r"backward must be given for a function, .*\(relu, x, backward="),
        (lambda: gradcheck(F.relu, X, backward=3), TypeError, "gradcheck: backward must be a callable, got 3"),
        (lambda: gradcheck(nn.ReLU(), X, backward=np.square), TypeError, "backward must be left out for a module"),
        (lambda: gradcheck(nn.ReLU(), X, eps=0), ValueError, "eps must be positive"),
        (lambda: gradcheck(nn.ReLU(), X, samples=0), ValueError, "samples must be >= 1"),
        (
            lambda: gradcheck(lambda x: x * x, X, backward=lambda d, x: (d, d)),
            ValueError,
            "2 gradients for 1 inputs",
        ),
        (
            lambda: gradcheck(np.square, X, backward=lambda d, x: d[0]),
            AssertionError,
            "gradient of input 0 has shape",
        ),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_an_empty_input_has_nothing_to_check():
    report = gradcheck(nn.ReLU(), np.empty((0, 3)))
    assert report.rows[0].checked == 0
    assert report.ok


@pytest.mark.parametrize("bias", [(), (np.ones(3),)])
def test_a_pair_of_the_library_needs_no_wrapper(bias):
    x, w = RNG.normal(size=(2, 2, 4, 4)), RNG.normal(size=(3, 2, 2, 2))
    report = gradcheck(F.conv2d, x, w, *bias, backward=F.conv2d_backward)
    assert [row.name for row in report.rows] == [f"input {i}" for i in range(2 + len(bias))]
    flat = x.reshape(2, -1)
    assert gradcheck(F.linear, flat, np.ones((3, flat.shape[1])), *bias, backward=F.linear_backward).ok


def test_gradients_of_nothing_may_be_none():
    assert gradcheck(lambda x: x * x, X, backward=lambda d, x: (2 * x * d, None, None)).ok
