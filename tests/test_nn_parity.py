"""Every layer against PyTorch's: state keys and shapes, outputs, all gradients, and what it prints."""

import numpy as np
import pytest

from pycnn import nn

torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
from torch_twin import close, compare  # noqa: E402

T = torch.nn

# name of the class, positional arguments, keyword arguments, shape of the input
LAYERS = [
    ("Conv1d", (3, 4, 3), {"stride": 2, "padding": 1}, (2, 3, 11)),
    ("Conv1d", (4, 6, 3), {"groups": 2, "dilation": 2, "bias": False}, (2, 4, 11)),
    ("Conv2d", (1, 16, 3), {"padding": 1}, (2, 1, 7, 6)),
    ("Conv2d", (4, 8, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}, (2, 4, 9, 8)),
    ("Conv2d", (4, 4, 3), {"groups": 4, "padding": "same"}, (2, 4, 6, 5)),
    ("Conv2d", (2, 3, 1), {"padding": "valid", "bias": False}, (2, 2, 3, 3)),
    ("Conv3d", (2, 3, 2), {"padding": 1, "stride": (1, 2, 1)}, (2, 2, 3, 4, 3)),
    ("ConvTranspose2d", (3, 4, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (2, 3, 5, 4)),
    ("ConvTranspose2d", (4, 6, 2), {"groups": 2, "bias": False, "dilation": 2}, (1, 4, 4, 3)),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, (2, 3, 9)),
    ("MaxPool2d", (2,), {}, (2, 3, 7, 6)),
    ("MaxPool2d", ((3, 2),), {"stride": (2, 1), "padding": (1, 0), "ceil_mode": True}, (2, 3, 8, 6)),
    ("MaxPool2d", (3, 2), {"dilation": 2}, (2, 3, 9, 9)),
    ("MaxPool2d", (16,), {}, (1, 1, 33, 32)),  # more cells than a byte can name
    ("MaxPool3d", (2,), {"padding": 1}, (1, 2, 5, 4, 5)),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1}, (2, 3, 9)),
    ("AvgPool2d", (2,), {}, (2, 3, 7, 6)),
    ("AvgPool2d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, (2, 3, 8, 6)),
    ("AvgPool2d", (3,), {"divisor_override": 2}, (2, 3, 8, 6)),
    ("AvgPool3d", (2,), {"stride": 1}, (1, 2, 3, 4, 3)),
    ("AdaptiveAvgPool2d", (1,), {}, (2, 3, 5, 4)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 5, 4)),
    ("AdaptiveMaxPool2d", ((2, 3),), {}, (2, 3, 5, 7)),
    ("LPPool2d", (2, 3), {"stride": 2}, (2, 3, 7, 6)),
    ("Linear", (5, 3), {}, (4, 5)),
    ("Linear", (5, 3), {"bias": False}, (2, 4, 5)),
    ("BatchNorm1d", (3,), {}, (5, 3)),
    ("BatchNorm1d", (3,), {"momentum": 0.3, "eps": 1e-3}, (5, 3, 4)),
    ("BatchNorm2d", (3,), {}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"momentum": None, "affine": False}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (2, 3, 4, 5)),
    ("LocalResponseNorm", (3,), {"alpha": 0.5, "k": 2.0}, (2, 6, 3, 2)),
    ("ReLU", (), {}, (2, 3, 4)),
    ("LeakyReLU", (0.2,), {}, (2, 3, 4)),
    ("Sigmoid", (), {}, (2, 3, 4)),
    ("Tanh", (), {}, (2, 3, 4)),
    ("SiLU", (), {}, (2, 3, 4)),
    ("GELU", (), {}, (2, 3, 4)),
    ("GELU", (), {"approximate": "tanh"}, (2, 3, 4)),
    ("Hardswish", (), {}, (2, 3, 4)),
    ("Softmax", (), {"dim": 1}, (2, 3, 4)),
    ("LogSoftmax", (), {"dim": -1}, (2, 3, 4)),
    ("Flatten", (), {}, (2, 3, 4, 2)),
    ("Flatten", (0, 1), {}, (2, 3, 4, 2)),
    ("Identity", (), {}, (2, 3)),
]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(LAYERS)]


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS, ids=IDS)
def test_layer_computes_what_torch_does(name, args, kwargs, shape):
    compare(getattr(nn, name)(*args, **kwargs), getattr(T, name)(*args, **kwargs), shape)


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS, ids=IDS)
def test_layer_prints_what_torch_does(name, args, kwargs, shape):
    want = repr(getattr(T, name)(*args, **kwargs))
    if name.startswith("BatchNorm"):
        want = want.replace("bias=True, ", "").replace("bias=False, ", "")  # printed by new versions only
    assert repr(getattr(nn, name)(*args, **kwargs)) == want


@pytest.mark.parametrize("name", ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "Linear"])
def test_initial_values_have_torchs_range(name):
    args = (8, 6) if name == "Linear" else (8, 6, 3)
    ours, theirs = getattr(nn, name)(*args, rng=0), getattr(T, name)(*args)
    for (_, parameter), (_, twin) in zip(ours.named_parameters(), theirs.named_parameters()):
        fan_in = twin.shape[1:].numel() if twin.ndim > 1 else theirs.weight.shape[1:].numel()
        bound = 1 / np.sqrt(fan_in)
        assert np.abs(parameter.data).max() <= bound
        if parameter.size > 40:
            assert abs(parameter.data.std() / (bound / np.sqrt(3)) - 1) < 0.1


def test_max_unpool_computes_what_torch_does():
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 5))
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    pool, unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
    y, indices = pool(x)
    z = unpool(y, indices, (6, 5))
    theirs, where = T.MaxPool2d(2, return_indices=True)(tensor)
    want = T.MaxUnpool2d(2)(theirs, where, output_size=(6, 5))
    close(z, want, "output")
    np.testing.assert_array_equal(indices, where.numpy())
    dz = np.random.default_rng(1).normal(size=z.shape)
    want.backward(torch.from_numpy(dz))
    close(pool.backward(unpool.backward(dz)), tensor.grad, "gradient")
    assert repr(unpool) == repr(T.MaxUnpool2d(2))
    assert unpool.output_shape((2, 3, 3, 2)) == (2, 3, 6, 4)


LOSSES = [
    ("CrossEntropyLoss", {}),
    ("CrossEntropyLoss", {"label_smoothing": 0.1}),
    ("CrossEntropyLoss", {"weight": np.array([1.0, 0.5, 2.0, 0.0])}),
    (
        "CrossEntropyLoss",
        {"weight": np.array([1.0, 0.5, 2.0, 0.1]), "label_smoothing": 0.2, "ignore_index": 2},
    ),
    ("CrossEntropyLoss", {"reduction": "sum", "ignore_index": -100}),
    ("CrossEntropyLoss", {"reduction": "none"}),
    ("MSELoss", {}),
    ("MSELoss", {"reduction": "sum"}),
    ("MSELoss", {"reduction": "none"}),
    ("BCEWithLogitsLoss", {}),
    ("BCEWithLogitsLoss", {"weight": np.array([1.0, 0.5, 2.0, 0.0]), "reduction": "sum"}),
    ("BCEWithLogitsLoss", {"pos_weight": np.array([1.0, 0.5, 2.0, 3.0]), "reduction": "none"}),
]


@pytest.mark.parametrize(("name", "options"), LOSSES)
def test_loss_computes_what_torch_does(name, options):
    rng = np.random.default_rng(0)
    x = 3 * rng.normal(size=(6, 4))
    target = {"CrossEntropyLoss": np.array([0, 1, 2, 3, 2, 1]), "MSELoss": rng.normal(size=(6, 4))}.get(
        name, rng.uniform(size=(6, 4))
    )
    ours = getattr(nn, name)(**options)
    theirs = getattr(T, name)(**{k: torch.from_numpy(v) if k.endswith("weight") else v for k, v in options.items()})
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    value, want = ours(x, target), theirs(tensor, torch.from_numpy(target))
    close(np.asarray(value), want, "value")
    factor = rng.normal(size=np.shape(value)) if options.get("reduction") == "none" else 1.0
    want.backward(torch.as_tensor(factor, dtype=torch.float64))
    close(ours.backward(factor), tensor.grad, "gradient")
    with pytest.raises(RuntimeError, match="before forward"):
        ours.backward()


def test_whole_network_takes_torchs_state():
    def twin(m):
        return m.Sequential(
            m.Conv2d(2, 4, 3, padding=1),
            m.BatchNorm2d(4),
            m.ReLU(),
            m.MaxPool2d(2),
            m.Sequential(m.Conv2d(4, 6, 3), m.SiLU(), m.AvgPool2d(2)),
            m.Flatten(),
            m.Linear(6, 5),
            m.BatchNorm1d(5),
            m.LogSoftmax(dim=1),
        )

    ours, theirs = twin(nn), twin(T)
    assert list(ours.state_dict())[:3] == ["0.weight", "0.bias", "1.weight"]
    tracked = ours.state_dict()["1.num_batches_tracked"]
    assert tracked.dtype == np.int64
    assert tracked.shape == ()
    compare(ours, theirs, (3, 2, 8, 8))


def test_float32_network_stays_close_to_torch():
    def twin(m):
        return m.Sequential(m.Conv2d(1, 4, 3), m.ReLU(), m.Flatten(), m.Linear(144, 3))

    ours, theirs = twin(nn), twin(T)
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype(np.float32)
    y = ours(x)
    assert y.dtype == np.float32
    close(y, theirs(torch.from_numpy(x)), "output", 1e-5)
