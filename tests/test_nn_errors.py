"""Layers and losses refuse what they cannot be built from, by name, and say the rule."""

import pickle

import numpy as np
import pytest

from pycnn import nn

NAN, INF = float("nan"), float("inf")

# class, arguments, keyword arguments, error, message
BAD = [
    ("Conv2d", (0, 1, 3), {}, ValueError, "Conv2d: in_channels must be >= 1, got 0"),
    ("Conv2d", (1, -2, 3), {}, ValueError, "Conv2d: out_channels must be >= 1, got -2"),
    ("Conv2d", (1.0, 2, 3), {}, TypeError, "Conv2d: in_channels must be an integer, got 1.0"),
    ("Conv2d", (1, True, 3), {}, TypeError, "Conv2d: out_channels must be an integer, got True"),
    ("Conv2d", (1, 2, 0), {}, ValueError, "Conv2d: kernel_size must be >= 1, got 0"),
    ("Conv2d", (1, 2, (3, 3, 3)), {}, ValueError, "Conv2d: kernel_size must be an int or 2"),
    ("Conv2d", (1, 2, "3"), {}, TypeError, "Conv2d: kernel_size must be an integer, got '3'"),
    ("Conv2d", (1, 2, 3), {"stride": 0}, ValueError, "Conv2d: stride must be >= 1, got 0"),
    ("Conv2d", (1, 2, 3), {"stride": (1, -1)}, ValueError, "Conv2d: stride must be >= 1, got -1"),
    ("Conv2d", (1, 2, 3), {"stride": 1.5}, TypeError, "Conv2d: stride must be an integer, got 1.5"),
    ("Conv2d", (1, 2, 3), {"stride": 2**63}, ValueError, "Conv2d: stride is too large"),
    ("Conv2d", (1, 2, 3), {"dilation": 0}, ValueError, "Conv2d: dilation must be >= 1, got 0"),
    ("Conv2d", (1, 2, 3), {"padding": -1}, ValueError, "Conv2d: padding must be >= 0, got -1"),
    ("Conv2d", (1, 2, 3), {"padding": "smae"}, ValueError, "Conv2d: padding must be one of 'valid', 'same'"),
    ("Conv2d", (1, 2, 3), {"padding": (1, 2, 3)}, ValueError, "Conv2d: padding must be an int, 2"),
    ("Conv2d", (1, 2, 3), {"padding": ((1, 2, 3), (1, 2))}, ValueError, "Conv2d: padding must have pairs"),
    ("Conv2d", (4, 4, 3), {"groups": 0}, ValueError, "Conv2d: groups must be >= 1, got 0"),
    (
        "Conv2d",
        (4, 6, 3),
        {"groups": 3},
        ValueError,
        "Conv2d: in_channels must be a multiple of groups=3, got 4",
    ),
    ("Conv2d", (6, 4, 3), {"groups": 3}, ValueError, "Conv2d: out_channels must be a multiple of groups=3"),
    ("Conv2d", (1, 2, 3), {"bias": 1}, TypeError, "Conv2d: bias must be True or False, got 1"),
    ("Conv2d", (1, 2, 3), {"data_format": "CHWN"}, ValueError, "Conv2d: data_format must be one of 'NCHW'"),
    ("Conv2d", (1, 2, 3), {"dtype": np.float16}, TypeError, "Conv2d: dtype must be float32 or float64"),
    ("Conv2d", (1, 2, 3), {"rng": 0.5}, TypeError, "Conv2d: rng must be an integer, got 0.5"),
    ("Conv1d", (1, 2, (3, 3)), {}, ValueError, "Conv1d: kernel_size"),
    ("Conv3d", (1, 2, 3), {"data_format": "NCHW"}, ValueError, "Conv3d: data_format must be one of 'NCDHW'"),
    (
        "ConvTranspose2d",
        (1, 2, 3),
        {"output_padding": -1},
        ValueError,
        "ConvTranspose2d: output_padding must be >= 0",
    ),
    ("Linear", (0, 3), {}, ValueError, "Linear: in_features must be >= 1, got 0"),
    ("Linear", (3, None), {}, TypeError, "Linear: out_features must be an integer, got None"),
    ("MaxPool2d", (0,), {}, ValueError, "MaxPool2d: kernel_size must be >= 1, got 0"),
    ("MaxPool2d", (2, 0), {}, ValueError, "MaxPool2d: stride must be >= 1, got 0"),
    (
        "MaxPool2d",
        (2,),
        {"padding": 2},
        ValueError,
        "MaxPool2d: padding must be smaller than the .dilated. kernel",
    ),
    ("MaxPool2d", (2,), {"padding": ((0, 2), (0, 0))}, ValueError, "MaxPool2d: padding must be smaller"),
    (
        "MaxPool2d",
        (2,),
        {"ties": "last"},
        ValueError,
        "MaxPool2d: ties must be one of 'first', 'split', 'all'",
    ),
    ("MaxPool2d", (2,), {"ceil_mode": 1}, TypeError, "MaxPool2d: ceil_mode must be True or False, got 1"),
    ("MaxPool1d", ((2, 2),), {}, ValueError, "MaxPool1d: kernel_size"),
    (
        "AvgPool2d",
        (2,),
        {"divisor_override": 0},
        ValueError,
        "AvgPool2d: divisor_override must be >= 1, got 0",
    ),
    ("AvgPool2d", (2,), {"padding": 2}, ValueError, "AvgPool2d: padding must be smaller"),
    ("AvgPool3d", (2,), {"data_format": "NHWC"}, ValueError, "AvgPool3d: data_format"),
    ("AdaptiveAvgPool2d", (0,), {}, ValueError, "AdaptiveAvgPool2d: output_size must be >= 1, got 0"),
    ("AdaptiveMaxPool2d", ((1, 2, 3),), {}, ValueError, "AdaptiveMaxPool2d: output_size must be an int or 2"),
    ("LPPool2d", (0, 2), {}, ValueError, "LPPool2d: norm_type must be finite and > 0, got 0"),
    ("LPPool2d", (INF, 2), {}, ValueError, "LPPool2d: norm_type must be finite and > 0, got inf"),
    ("MaxUnpool2d", (2, 0), {}, ValueError, "MaxUnpool2d: stride must be >= 1, got 0"),
    ("BatchNorm2d", (0,), {}, ValueError, "BatchNorm2d: num_features must be >= 1, got 0"),
    ("BatchNorm2d", (3,), {"eps": 0}, ValueError, "BatchNorm2d: eps must be finite and > 0, got 0"),
    ("BatchNorm2d", (3,), {"eps": -1e-5}, ValueError, "BatchNorm2d: eps must be finite and > 0, got -1e-05"),
    ("BatchNorm2d", (3,), {"eps": NAN}, ValueError, "BatchNorm2d: eps must be finite and > 0, got nan"),
    (
        "BatchNorm1d",
        (3,),
        {"momentum": 1.5},
        ValueError,
        r"BatchNorm1d: momentum must be in \[0, 1\], got 1.5",
    ),
    ("Dropout", (-0.1,), {}, ValueError, r"Dropout: p must be in \[0, 1\], got -0.1"),
    ("Dropout", (1.1,), {}, ValueError, r"Dropout: p must be in \[0, 1\], got 1.1"),
    ("Dropout", (NAN,), {}, ValueError, r"Dropout: p must be in \[0, 1\], got nan"),
    ("Dropout", ("0.5",), {}, TypeError, "Dropout: p must be a number, got '0.5'"),
    ("Dropout", (True,), {}, TypeError, "Dropout: p must be a number, got True"),
    ("LocalResponseNorm", (0,), {}, ValueError, "LocalResponseNorm: size must be >= 1, got 0"),
    ("LocalResponseNorm", (3,), {"k": NAN}, ValueError, "LocalResponseNorm: k must be finite, got nan"),
    ("LeakyReLU", (INF,), {}, ValueError, "LeakyReLU: negative_slope must be finite, got inf"),
    ("GELU", ("fast",), {}, ValueError, "GELU: approximate must be one of 'none', 'tanh', got 'fast'"),
    ("Softmax", (1.5,), {}, TypeError, "Softmax: dim must be an integer, got 1.5"),
    ("Concat", (None,), {}, TypeError, "Concat: axis must be an integer, got None"),
    (
        "CrossEntropyLoss",
        (),
        {"reduction": "max"},
        ValueError,
        "reduction must be one of 'mean', 'sum', 'none'",
    ),
    (
        "CrossEntropyLoss",
        (),
        {"label_smoothing": 2},
        ValueError,
        r"label_smoothing must be in \[0, 1\], got 2",
    ),
    ("CrossEntropyLoss", (), {"weight": [1.0, 2.0]}, TypeError, "CrossEntropyLoss: weight must be an array"),
    ("CrossEntropyLoss", (), {"weight": np.array([1.0, -1])}, ValueError, "weight must be finite and >= 0"),
    ("CrossEntropyLoss", (), {"ignore_index": 0.5}, TypeError, "ignore_index must be an integer, got 0.5"),
    ("MSELoss", ("avg",), {}, ValueError, "MSELoss: reduction must be one of"),
    ("BCEWithLogitsLoss", (), {"pos_weight": np.array([NAN])}, ValueError, "pos_weight must be finite"),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "error", "message"), BAD)
def test_a_layer_that_cannot_be_is_refused(name, args, kwargs, error, message):
    with pytest.raises(error, match=message):
        getattr(nn, name)(*args, **kwargs)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match=r"make_activation: name must be one of 'relu', 'leaky_relu', .* got 'rulu'"):
        nn.make_activation("rulu")
    with pytest.raises(ValueError, match=r"make_loss: name must be one of 'cross_entropy', 'mse', .* got 'nll'"):
        nn.make_loss("nll")
    with pytest.raises(ValueError, match=r"init: name must be one of 'kaiming_uniform', .* got 'he'"):
        nn.init.get("he")
    assert isinstance(nn.make_activation("gelu", approximate="tanh"), nn.GELU)
    assert isinstance(nn.make_loss("mse", reduction="sum"), nn.MSELoss)


@pytest.mark.parametrize(("layer", "shape"), [(nn.BatchNorm1d(3), (1, 3)), (nn.BatchNorm2d(3), (1, 3, 1, 1))])
def test_batch_norm_needs_two_values_a_channel(layer, shape):
    before = layer.state_dict()
    with pytest.raises(ValueError, match="value"):
        layer(np.ones(shape, np.float32))
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    assert layer.eval()(np.ones(shape, np.float32)).shape == shape


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm2d(3), (2, 3), "BatchNorm2d: expects 4 axes"),
        (nn.BatchNorm2d(3), (2, 4, 2, 2), "BatchNorm2d: expects 3 channels, got 4"),
        (nn.BatchNorm1d(3), (2, 3, 4, 4), "BatchNorm1d: expects 2 or 3 axes"),
        (nn.BatchNorm2d(3, data_format="HWCN"), (3, 2, 2, 2), "expects 3 channels, got 2"),
        (nn.Conv2d(3, 4, 3), (2, 4, 8, 8), "conv2d"),
        (nn.Conv2d(3, 4, 3), (3, 8, 8), "conv2d"),
        (nn.Conv2d(3, 4, 9), (1, 3, 8, 8), "conv2d"),
        (nn.Linear(3, 4), (2, 4), "linear"),
        (nn.MaxPool2d(9), (1, 3, 8, 8), "max_pool2d"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(np.ones(shape, np.float32))
    with pytest.raises(ValueError):
        layer.output_shape(shape)


@pytest.mark.parametrize("x", [None, [[1.0]], np.ma.masked_array(np.ones((1, 1, 3, 3))), np.ones((1, 1, 3, 3), int)])
def test_what_is_no_float_array_is_refused(x):
    for layer in (nn.Conv2d(1, 1, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Dropout()):
        with pytest.raises(TypeError):
            layer(x)


def test_labels_are_checked():
    loss, x = nn.CrossEntropyLoss(), np.zeros((3, 4), np.float32)
    for labels in ([0, 1, 4], [0, -1, 2], [0, 1, -100]):
        with pytest.raises(ValueError):
            loss(x, np.array(labels))
    for labels in (np.array([0.0, 1.0, 2.0]), [0, 1, 2], None):
        with pytest.raises(TypeError):
            loss(x, labels)
    with pytest.raises(ValueError):
        loss(x, np.array([0, 1]))
    with pytest.raises(RuntimeError, match="CrossEntropyLoss: backward before forward"):
        loss.backward()
    assert nn.CrossEntropyLoss(ignore_index=-100)(x, np.array([0, 1, -100])) == pytest.approx(np.log(4))


def test_a_loss_in_eval_mode_keeps_nothing():
    loss = nn.MSELoss().eval()
    assert loss(np.ones(3), np.zeros(3)) == 1
    assert loss._saved is None
    with pytest.raises(RuntimeError, match=r"eval\(\) mode"):
        loss.backward()
    with pytest.raises(NotImplementedError):
        nn.Loss()(np.ones(1), np.ones(1))
    with pytest.raises(NotImplementedError):
        nn.Loss()._gradient(1.0, np.ones(1), np.ones(1))


def test_class_weights_serve_both_types():
    loss = nn.CrossEntropyLoss(weight=np.array([1.0, 2.0]))
    x, labels = np.array([[1.0, 0.0], [0.0, 3.0]]), np.array([0, 0])
    for dtype in (np.float32, np.float64):
        assert loss(x.astype(dtype), labels) == pytest.approx(1.680924, rel=1e-6)
        assert loss.backward().dtype == dtype


def test_layers_check_when_torch_would_not():
    layer = nn.MaxPool2d(3, padding=2)  # ONNX allows more than half the kernel
    assert layer(np.ones((1, 1, 4, 4))).shape == (1, 1, 2, 2)
    with pytest.raises(ValueError, match="MaxUnpool2d: expects 4 axes"):
        nn.MaxUnpool2d(2).output_shape((1, 2, 3))


@pytest.mark.parametrize(("make", "arguments"), [
    (nn.Conv2d, (1, 2, 3)), (nn.ConvTranspose2d, (1, 2, 3)), (nn.MaxPool1d, (2,)), (nn.AvgPool3d, (2,)),
    (nn.BatchNorm2d, (2,)), (nn.Linear, (1, 2)), (nn.LeakyReLU, ()),
])  # fmt: skip
def test_an_unknown_argument_names_the_layer(make, arguments):
    with pytest.raises(TypeError, match=rf"^{make.__name__}\.__init__\(\) got an unexpected keyword argument 'colour'"):
        make(*arguments, colour=1)
    assert type(pickle.loads(pickle.dumps(make(*arguments)))) is make


def test_a_subclass_of_a_layer_is_named_too():
    class Mine(nn.Conv2d):
        pass

    with pytest.raises(TypeError, match=r"Mine\.__init__\(\) missing 3 required positional arguments"):
        Mine()
    assert Mine(1, 2, 3).kernel_size == (3, 3)


def test_a_part_that_is_not_there():
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    for index in (2, -3, 10**30):
        with pytest.raises((IndexError, ValueError), match=r"^Sequential: index "):
            net[index]
    with pytest.raises(TypeError, match="Sequential: index must be an integer, got 'relu'"):
        net["relu"]
    graph = nn.Graph()
    with pytest.raises(KeyError, match="Graph: no node has the name 'a'; the nodes are none"):
        graph["a"]
    graph.add("a", nn.ReLU(), graph.input("x"))
    with pytest.raises(KeyError, match="Graph: no node has the name 'b'; the nodes are 'a'"):
        graph["b"]
    with pytest.raises(ValueError, match="node 'c': the input 'x' is one value, got index 1"):
        graph.add("c", nn.ReLU(), ("x", 1))


@pytest.mark.parametrize("dims", [(3, 1), (-1, -2), (0, -1), (1, 1), (-3, 2)])
def test_flatten_knows_when_its_axes_cannot_be_in_order(dims):
    if dims[0] > dims[1] and (dims[0] < 0) == (dims[1] < 0):
        with pytest.raises(ValueError, match=rf"^Flatten: start_dim must not be behind end_dim, got {dims[0]} and "):
            nn.Flatten(*dims)
    else:
        nn.Flatten(*dims)
