"""Compare a module with PyTorch's of the same name: state, output, all gradients, what it prints."""

from typing import Any

import numpy as np
import pytest

from pycnn import nn

torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")


def same_state(module: nn.Module, twin: Any) -> None:
    """Assert that keys, their order, and shapes are the same."""
    ours = {key: value.shape for key, value in module.state_dict().items()}
    theirs = {key: tuple(value.shape) for key, value in twin.state_dict().items()}
    assert ours == theirs
    assert list(ours) == list(theirs)


def close(ours: Any, theirs: Any, what: str, rtol: float = 1e-9) -> None:
    """Assert that two results are equal but for rounding."""
    want = theirs.detach().numpy()
    assert ours.shape == want.shape, what
    scale = np.abs(want).max(initial=0)
    np.testing.assert_allclose(ours, want, rtol=rtol, atol=rtol * max(scale, 1e-3), err_msg=what)


def compare(module: nn.Module, twin: Any, *shapes: tuple[int, ...], seed: int = 0, rtol: float = 1e-9) -> None:
    """Assert that both compute the same in float64, forward and backward, train and eval."""
    module.to(np.float64)
    twin.double().train()
    module.train()
    same_state(module, twin)
    module.load_state_dict(twin.state_dict())
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape) for shape in shapes]
    tensors = [torch.from_numpy(x.copy()).requires_grad_() for x in arrays]
    y, want = module(*arrays), twin(*tensors)
    close(y, want, "output", rtol)
    assert module.output_shape(*shapes) == y.shape
    dy = rng.normal(size=y.shape)
    want.backward(torch.from_numpy(dy))
    grads = module.backward(dy)
    for i, (grad, tensor) in enumerate(zip(grads if isinstance(grads, tuple) else (grads,), tensors)):
        close(grad, tensor.grad, f"gradient of input {i}", rtol)
    theirs = dict(twin.named_parameters())
    assert {name for name, _ in module.named_parameters()} == set(theirs)
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        close(parameter.grad, theirs[name].grad, f"gradient of {name}", rtol)
    state = module.state_dict()
    for name, value in twin.state_dict().items():
        close(state[name], value, f"{name} after a step", rtol)
    close(module.eval()(*arrays), twin.eval()(*tensors), "output in eval mode", rtol)
