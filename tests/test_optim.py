"""Optimisers and clipping: PyTorch's results, resuming bit for bit, errors that change nothing."""

import copy
import math
import pickle

import numpy as np
import pytest

from pycnn import nn, optim

SHAPES = [(3, 4), (5,), (2, 3, 2, 2), ()]
KINDS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.01, "nesterov": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.01, "betas": (0.8, 0.99), "weight_decay": 0.3}),
]


def parameters(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [nn.Parameter(rng.normal(size=shape).astype(dtype)) for shape in SHAPES]


def gradients(step, dtype=np.float64):
    rng = np.random.default_rng(100 + step)
    return [np.asarray(rng.normal(size=shape)).astype(dtype) for shape in SHAPES]


def run(opt, params, steps, skip=lambda step, i: False):
    for step in steps:
        for i, (p, grad) in enumerate(zip(params, gradients(step, params[0].dtype))):
            p.grad = None if skip(step, i) else grad
        opt.step()


def same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


@pytest.mark.parametrize(("name", "options"), KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twenty_steps_are_torchs(name, options, dtype):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    params = parameters(dtype)
    theirs = [torch.from_numpy(p.data.copy()).requires_grad_() for p in params]
    ours, twin = getattr(optim, name)(params, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(20):
        ours.lr = twin.param_groups[0]["lr"] = (1 + step % 3) * 0.01
        for i, (p, t, grad) in enumerate(zip(params, theirs, gradients(step, dtype))):
            skipped = i == 1 and step % 4 == 0  # a parameter that sometimes gets no gradient
            p.grad, t.grad = (None, None) if skipped else (grad, torch.from_numpy(grad.copy()))
        ours.step()
        twin.step()
    for p, t in zip(params, theirs):
        np.testing.assert_allclose(p.data, t.detach().numpy(), rtol=1e-12 if dtype is np.float64 else 2e-5)
        assert p.dtype == dtype


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_a_saved_run_goes_on_bit_for_bit(name, options):
    kind, whole = getattr(optim, name), parameters()
    run(kind(whole, **options), whole, range(10), lambda step, i: i == 2 and step < 3)
    half = parameters()
    first = kind(half, **options)
    run(first, half, range(5), lambda step, i: i == 2 and step < 3)
    state = first.state_dict()
    run(first, half, range(5, 7))  # what comes after must not reach into the saved state
    fresh = parameters()
    run(kind(fresh, **options), fresh, range(5), lambda step, i: i == 2 and step < 3)
    second = kind(fresh, lr=123.0, momentum=0.1) if "momentum" in options else kind(fresh, lr=123.0)
    second.load_state_dict(state)
    same(second.state_dict(), state)
    run(second, fresh, range(5, 10))
    for p, q in zip(whole, fresh):
        np.testing.assert_array_equal(p.data, q.data)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_go_on_alike(duplicate):
    params = parameters()
    opt = optim.Adam(params)
    run(opt, params, range(3))
    twin_params, twin = duplicate((params, opt))
    run(opt, params, range(3, 5))
    run(twin, twin_params, range(3, 5))
    for p, q in zip(params, twin_params):
        np.testing.assert_array_equal(p.data, q.data)
        assert p.data is not q.data


def test_state_is_flat_and_plain():
    state = optim.SGD(parameters(), 0.1, momentum=0.9).state_dict()
    assert state["optimizer"] == "SGD"
    assert state["lr"] == 0.1
    assert state["momentum_buffer.2"].shape == (2, 3, 2, 2)
    kinds = {type(value) for value in state.values()}
    assert kinds <= {str, float, int, bool, np.ndarray}
    assert not any("buffer" in key for key in optim.SGD(parameters(), 0.1).state_dict())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(optimizer="Adam"), "expects the state of SGD, got 'Adam'"),
        (lambda s: s.pop("momentum_buffer.1"), "'momentum_buffer.1'"),
        (lambda s: s.update({"step.9": 1}), "'step.9'"),
        (lambda s: s.update({"momentum_buffer.1": np.ones(4)}), r"momentum_buffer.1 must be .* shape \(5,\)"),
        (lambda s: s.update({"momentum_buffer.1": np.ones(5, int)}), "momentum_buffer.1 must be float64"),
        (lambda s: s.update({"step.0": -1}), "step.0 must be >= 0"),
        (lambda s: s.update({"lr": float("nan")}), "lr must be finite"),
        (lambda s: s.update({"momentum": -1}), "momentum must be >= 0"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    params = parameters()
    opt = optim.SGD(params, 0.1, momentum=0.9)
    run(opt, params, range(2))
    before = opt.state_dict()
    bad = {key: value + 1 if isinstance(value, np.ndarray) else value for key, value in before.items()}
    change(bad)
    with pytest.raises(ValueError, match=message):
        opt.load_state_dict(bad)
    same(opt.state_dict(), before)


def test_the_state_of_another_network_is_refused():
    opt = optim.Adam(parameters())
    with pytest.raises(ValueError, match="the parameters or the options are not the same"):
        opt.load_state_dict(optim.Adam(parameters()[:2]).state_dict())
    with pytest.raises(ValueError, match="got 'list'"):
        opt.load_state_dict([])
    with pytest.raises(ValueError, match=r"exp_avg\.0"):
        other = optim.Adam([nn.Parameter(np.ones(7)), *parameters()[1:]]).state_dict()
        opt.load_state_dict(other)


NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        (optim.SGD, {"lr": NAN}, ValueError, "SGD: lr must be finite, got nan"),
        (optim.SGD, {"lr": -0.1}, ValueError, "SGD: lr must be >= 0, got -0.1"),
        (optim.SGD, {"lr": float("inf")}, ValueError, "SGD: lr must be finite"),
        (optim.SGD, {"lr": "0.1"}, TypeError, "SGD: lr must be a number, got '0.1'"),
        (optim.SGD, {"lr": True}, TypeError, "SGD: lr must be a number, got True"),
        (optim.SGD, {"lr": 0.1, "momentum": -1}, ValueError, "SGD: momentum must be >= 0, got -1"),
        (optim.SGD, {"lr": 0.1, "weight_decay": NAN}, ValueError, "SGD: weight_decay must be finite"),
        (optim.SGD, {"lr": 0.1, "nesterov": True}, ValueError, "SGD: nesterov needs momentum > 0"),
        (optim.SGD, {"lr": 0.1, "nesterov": 1}, TypeError, "SGD: nesterov must be True or False"),
        (optim.Adam, {"lr": -1}, ValueError, "Adam: lr must be >= 0"),
        (optim.Adam, {"betas": (0.9, 1.0)}, ValueError, r"Adam: betas must be in \[0, 1\)"),
        (optim.AdamW, {"betas": 0.9}, ValueError, "AdamW: betas must be a pair"),
        (optim.AdamW, {"eps": -1e-8}, ValueError, "AdamW: eps must be >= 0"),
    ],
)
def test_bad_options_are_refused(kind, options, error, message):
    with pytest.raises(error, match=message):
        kind(parameters(), **options)


def test_what_is_no_parameter_is_refused():
    with pytest.raises(ValueError, match="SGD: params is empty"):
        optim.SGD([], 0.1)
    with pytest.raises(TypeError, match="params must be Parameters, got ndarray"):
        optim.SGD([np.ones(3)], 0.1)
    p = nn.Parameter(np.ones(1))
    with pytest.raises(ValueError, match="there twice"):
        optim.SGD([p, p], 0.1)


def test_setting_the_rate_is_checked():
    opt = optim.SGD(parameters(), 0.1)
    opt.lr = 0
    for value in (NAN, -1):
        with pytest.raises(ValueError, match="SGD: lr"):
            opt.lr = value
    assert opt.lr == 0


def test_a_wrong_gradient_changes_nothing():
    params = parameters()
    opt = optim.SGD(params, 0.1)
    before = [p.data.copy() for p in params]
    for bad in (np.ones(4), np.ones(5, np.float32)):
        for p, grad in zip(params, gradients(0)):
            p.grad = grad
        params[1].grad = bad
        with pytest.raises(ValueError, match=r"the gradient of parameter 1 must be float64 of shape \(5,\)"):
            opt.step()
        for p, old in zip(params, before):
            np.testing.assert_array_equal(p.data, old)


def test_an_optimiser_belongs_to_one_type():
    layer = nn.Linear(2, 2)
    opt = optim.Adam(layer.parameters())
    layer.to(np.float64)
    with pytest.raises(ValueError, match="make a new optimiser"):
        opt.step()


def test_zero_grad_and_steps_without_gradients():
    params = parameters()
    opt = optim.AdamW(params)
    before = [p.data.copy() for p in params]
    run(opt, params, [0], lambda step, i: True)
    for p, old in zip(params, before):
        np.testing.assert_array_equal(p.data, old)
    params[0].grad = np.ones((3, 4))
    opt.zero_grad()
    assert params[0].grad is None


def test_vectors_can_be_left_out_of_the_decay():
    for kind in (optim.SGD, optim.Adam, optim.AdamW):
        params = parameters()
        before = [p.data.copy() for p in params]
        opt = kind(params, lr=0.1, weight_decay=0.5, decay_1d=False)
        for p in params:
            p.grad = np.zeros_like(p.data)
        opt.step()
        for p, old in zip(params, before):
            assert np.array_equal(p.data, old) == (p.data.ndim < 2)


def test_gradients_are_not_written_to():
    for kind in (optim.SGD, optim.Adam, optim.AdamW):
        params = parameters()
        opt = kind(params, lr=0.1, weight_decay=0.1)
        run(opt, params, [0])
        for p, grad in zip(params, gradients(0)):
            np.testing.assert_array_equal(p.grad, grad)


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 100.0, 0.0])
def test_norm_is_clipped_as_in_torch(norm_type, max_norm):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    params = parameters()
    theirs = [torch.from_numpy(p.data.copy()).requires_grad_() for p in params]
    for p, t, grad in zip(params[:3], theirs, gradients(0)):
        p.grad, t.grad = grad, torch.from_numpy(grad.copy())
    norm = optim.clip_grad_norm(params, max_norm, norm_type)
    want = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert norm == pytest.approx(float(want))
    for p, t in zip(params[:3], theirs):
        np.testing.assert_allclose(p.grad, t.grad.numpy(), rtol=1e-12)


def test_values_are_clipped():
    params = parameters()
    params[0].grad = np.linspace(-2, 2, 12).reshape(3, 4)
    optim.clip_grad_value(params, 0.5)
    np.testing.assert_array_equal(params[0].grad, np.clip(np.linspace(-2, 2, 12), -0.5, 0.5).reshape(3, 4))
    with pytest.raises(ValueError, match="clip_value must be >= 0"):
        optim.clip_grad_value(params, -1)


def test_a_norm_that_is_not_finite():
    p = nn.Parameter(np.zeros(2))
    assert optim.clip_grad_norm([p], 1.0) == 0
    p.grad = np.array([np.inf, 1.0])
    with pytest.raises(FloatingPointError, match="norm of the gradients is inf"):
        optim.clip_grad_norm([p], 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(p.grad, [np.inf, 1.0])
    p.grad = np.array([np.nan, 1.0])
    assert math.isnan(optim.clip_grad_norm([p], 1.0))
    assert np.isnan(p.grad).all()
    for bad in ({"max_norm": -1}, {"max_norm": 1, "norm_type": 0}):
        with pytest.raises(ValueError, match="clip_grad_norm"):
            optim.clip_grad_norm([p], **bad)


def test_names_give_the_classes():
    for name, kind in optim.OPTIMIZERS.items():
        assert type(optim.make_optimizer(name, parameters(), lr=0.1)) is kind
    with pytest.raises(ValueError, match="name must be one of 'sgd', 'adam', 'adamw', got 'rmsprop'"):
        optim.make_optimizer("rmsprop", parameters())
    with pytest.raises(NotImplementedError):
        optim.Optimizer._update(optim.SGD(parameters(), 0.1), 0, np.ones(1), np.ones(1), 0.0)
