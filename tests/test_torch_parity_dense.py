"""Linear, normalisation, activations, softmax, dropout and losses against PyTorch, forward and all gradients."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from case import fill, from_format, to_format
from parity import LIBRARIES, RUNS, array, assert_parity, find, tensor, torch

T = torch.nn.functional


@RUNS
@pytest.mark.parametrize("lead", [(5,), (2, 3), (), (33,)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_linear(library: ModuleType, dtype: Any, lead: tuple[int, ...], bias: bool) -> None:
    rng = np.random.default_rng(1)
    x, weight = fill(rng, (*lead, 19), dtype), fill(rng, (7, 19), dtype)
    b = fill(rng, (7,), dtype) if bias else None
    tx, tw, tb = tensor(x), tensor(weight), tensor(b)
    y = T.linear(tx, tw, tb)
    grad_output = fill(rng, tuple(y.shape), dtype)
    y.backward(torch.tensor(grad_output))
    assert_parity(library, "linear", (x, weight, b), {}, array(y))
    grads = (array(tx.grad), array(tw.grad), array(tb.grad) if bias else None)
    assert_parity(library, "linear_backward", (grad_output, x, weight), {}, grads)


@RUNS
@pytest.mark.parametrize("shape", [(6, 3), (4, 5, 7), (3, 8, 5, 6), (2, 3, 2, 4, 5)], ids=str)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(library: ModuleType, dtype: Any, shape: tuple[int, ...], training: bool, affine: bool) -> None:
    rng = np.random.default_rng(2)
    c = shape[1]
    x, mean, var = fill(rng, shape, dtype), fill(rng, (c,), dtype), np.abs(fill(rng, (c,), dtype)) + dtype(0.5)
    weight, bias = (fill(rng, (c,), dtype), fill(rng, (c,), dtype)) if affine else (None, None)
    tx, tw, tb, tmean, tvar = tensor(x), tensor(weight), tensor(bias), tensor(mean, False), tensor(var, False)
    y = T.batch_norm(tx, tmean, tvar, tw, tb, training, 0.2, 1e-3)
    grad_output = fill(rng, shape, dtype)
    y.backward(torch.tensor(grad_output))
    own_mean, own_var = mean.copy(), var.copy()
    find(library, "batch_norm")(x, own_mean, own_var, weight, bias, training, 0.2, 1e-3)
    close = 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(own_mean, array(tmean), rtol=close, atol=close)
    np.testing.assert_allclose(own_var, array(tvar), rtol=close, atol=close)
    options = {"training": training, "eps": 1e-3, "data_format": "NCHW"}
    args = (x, mean.copy(), var.copy(), weight, bias)
    assert_parity(library, "batch_norm", args, {**options, "momentum": 0.2}, array(y))
    grads = (array(tx.grad), array(tw.grad) if affine else None, array(tb.grad) if affine else None)
    assert_parity(library, "batch_norm_backward", (grad_output, x, mean, var, weight), options, grads)


@RUNS
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC", "HWCN"])
def test_local_response_norm(library: ModuleType, dtype: Any, size: int, data_format: str) -> None:
    rng = np.random.default_rng(size)
    x = fill(rng, (2, 7, 3, 5), dtype)
    grad_output = fill(rng, x.shape, dtype)
    tx = tensor(x)
    y = T.local_response_norm(tx, size, 0.3, 0.6, 1.5)
    y.backward(torch.tensor(grad_output))
    options = {"size": size, "alpha": 0.3, "beta": 0.6, "k": 1.5, "data_format": data_format}
    moved = to_format(x, data_format)
    assert_parity(library, "local_response_norm", (moved,), options, to_format(array(y), data_format))
    args = (to_format(grad_output, data_format), moved)
    want = to_format(array(tx.grad), data_format)
    assert_parity(library, "local_response_norm_backward", args, options, want, loosen=4.0)
    assert from_format(want, data_format).shape == x.shape


ACTIVATIONS: list[tuple[str, dict[str, Any], Any]] = [
    ("relu", {}, T.relu),
    ("leaky_relu", {}, T.leaky_relu),
    ("leaky_relu", {"negative_slope": 0.3}, T.leaky_relu),
    ("sigmoid", {}, torch.sigmoid),
    ("tanh", {}, torch.tanh),
    ("silu", {}, T.silu),
    ("gelu", {}, T.gelu),
    ("gelu", {"approximate": "tanh"}, T.gelu),
    ("hardswish", {}, T.hardswish),
]


@RUNS
@pytest.mark.parametrize(("name", "options", "run"), ACTIVATIONS, ids=lambda v: str(v)[:30])
def test_activation(library: ModuleType, dtype: Any, name: str, options: dict[str, Any], run: Any) -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([fill(rng, (500,), dtype) * dtype(3), np.linspace(-9, 9, 200, dtype=dtype)])
    x = x[np.abs(np.abs(x) - 3) > 1e-3]  # hardswish has kinks at -3 and 3
    grad_output = fill(rng, x.shape, dtype)
    tx = tensor(x)
    y = run(tx, **options)
    y.backward(torch.tensor(grad_output))
    assert_parity(library, name, (x,), options, array(y))
    assert_parity(library, f"{name}_backward", (grad_output, x), options, array(tx.grad))


@LIBRARIES
def test_relu_at_its_kink_and_at_nan(library: ModuleType) -> None:
    x = np.array([-1.0, -0.0, 0.0, np.nan, 2.0], dtype=np.float32)
    tx = tensor(x)
    y = T.relu(tx)
    y.backward(torch.full_like(tx, 5.0))
    np.testing.assert_array_equal(find(library, "relu")(x), array(y))
    got = find(library, "relu_backward")(np.full_like(x, 5.0), x)
    np.testing.assert_array_equal(got, array(tx.grad))


@RUNS
@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(library: ModuleType, dtype: Any, name: str, dim: int) -> None:
    rng = np.random.default_rng(4)
    x = fill(rng, (4, 5, 17), dtype) * dtype(5)
    tx = tensor(x)
    y = getattr(T, name)(tx, dim)
    grad_output = fill(rng, x.shape, dtype)
    y.backward(torch.tensor(grad_output))
    assert_parity(library, name, (x, dim), {}, array(y))
    back = (grad_output, array(y).copy(), dim)
    assert_parity(library, f"{name}_backward", back, {}, array(tx.grad))


@RUNS
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore", [None, -100, 1])
@pytest.mark.parametrize("shape", [(9, 5), (2, 4, 3, 5)], ids=str)
def test_cross_entropy(
    library: ModuleType, dtype: Any, reduction: str, smoothing: float, weighted: bool, ignore: Any, shape: Any
) -> None:
    rng = np.random.default_rng(5)
    x = fill(rng, shape, dtype) * dtype(3)
    target = rng.integers(0, shape[1], size=(shape[0], *shape[2:]))
    if ignore is not None:
        target.flat[::4] = ignore
    weight = np.abs(fill(rng, (shape[1],), dtype)) + dtype(0.2) if weighted else None
    tx = tensor(x)
    more = {} if ignore is None else {"ignore_index": ignore}
    options = {"reduction": reduction, "label_smoothing": smoothing}
    loss = T.cross_entropy(tx, torch.tensor(target), tensor(weight, False), **options, **more)
    grad_output = fill(rng, target.shape, dtype) if reduction == "none" else dtype(1.5)
    loss.backward(torch.tensor(grad_output))
    options = {**options, "weight": weight, "ignore_index": ignore}
    assert_parity(library, "cross_entropy", (x, target), options, array(loss)[()], loosen=4.0)
    args = (grad_output, x, target)
    assert_parity(library, "cross_entropy_backward", args, options, array(tx.grad), loosen=4.0)


@RUNS
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_binary_cross_entropy(library: ModuleType, dtype: Any, reduction: str, weighted: bool) -> None:
    rng = np.random.default_rng(6)
    x, target = fill(rng, (6, 17), dtype) * dtype(6), rng.random((6, 17)).astype(dtype)
    weight = np.abs(fill(rng, (6, 17), dtype)) if weighted else None
    positive = np.abs(fill(rng, (17,), dtype)) if weighted else None
    tx = tensor(x)
    loss = T.binary_cross_entropy_with_logits(
        tx,
        tensor(target, False),
        weight=tensor(weight, False),
        reduction=reduction,
        pos_weight=tensor(positive, False),
    )
    grad_output = fill(rng, x.shape, dtype) if reduction == "none" else dtype(1.5)
    loss.backward(torch.tensor(grad_output))
    options = {"reduction": reduction, "weight": weight, "pos_weight": positive}
    name = "binary_cross_entropy_with_logits"
    assert_parity(library, name, (x, target), options, array(loss)[()])
    assert_parity(library, f"{name}_backward", (grad_output, x, target), options, array(tx.grad))


@RUNS
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse(library: ModuleType, dtype: Any, reduction: str) -> None:
    rng = np.random.default_rng(7)
    x, target = fill(rng, (6, 17), dtype), fill(rng, (6, 17), dtype)
    tx = tensor(x)
    loss = T.mse_loss(tx, tensor(target, False), reduction=reduction)
    grad_output = fill(rng, x.shape, dtype) if reduction == "none" else dtype(1.5)
    loss.backward(torch.tensor(grad_output))
    assert_parity(library, "mse_loss", (x, target), {"reduction": reduction}, array(loss)[()])
    args = (grad_output, x, target)
    assert_parity(library, "mse_loss_backward", args, {"reduction": reduction}, array(tx.grad))
