"""Pictures of backpropagation: the numbers in their cells, their errors, and the script that draws the chapter."""

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycnn import functional as F
from pycnn import nn
from pycnn import plot as draw

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

ROOT = Path(__file__).resolve().parent.parent
SCRIPT, FIGURES = ROOT / "examples" / "gradient_flow.py", ROOT / "docs" / "figures"
NINE, KERNEL, DELTAS = [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 2], [3, 4]], [[1, -1], [2, 3]]


def words(figure: Any) -> list[str]:
    """Every text of a figure, with plain minus signs."""
    return [text.get_text().replace("\u2212", "-") for axes in figure.axes for text in axes.texts if text.get_text()]


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, rng=0, dtype=np.float64), nn.ReLU()),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 3, rng=1, dtype=np.float64),
    )


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (lambda: draw.draw_pooling(np.arange(16.0).reshape(4, 4), [[4, 8], [12, -4]], 2, kind="avg"), ["sum 20"] * 2),
        (lambda: draw.draw_pooling([[9, 2, 1], [3, 6, 4], [0, 5, 8]], [[1, 2], [3, 4]], 2, 1), ["sum 10"] * 2),
        (lambda: draw.draw_ties([[7, 7], [3, 7]], 6), ["the first one wins\nsum 6", "each gets the whole\nsum 18"]),
        (lambda: draw.draw_conv_matrix(NINE, KERNEL, DELTAS), ["37", "77", "17"]),
        (lambda: draw.draw_conv_backward(NINE, KERNEL, DELTAS), ["8", "-2", "22", "42"]),
        (lambda: draw.draw_reads(KERNEL, DELTAS, (1, 1)), ["1 × 4 = 4", "-1 × 3 = -3", "= 8"]),
        (lambda: draw.draw_im2col(NINE, KERNEL), ["37", "9 cells\nbecome 16"]),
        (lambda: draw.draw_batch_norm([1, 3, 4, 5, 7], [0, 3, 2, 1, 4], 2), ["mean 2", "sum 0", "= 1"]),
        (lambda: draw.draw_linear([4, 2], [[0.5, 1], [1, -1], [0.5, 0.5]], [2, 3, 6]), ["gets 7", "gets 2"]),
        (lambda: draw.draw_layers(nn.ReLU(), [[-1, 2]], [[5, 6]]), ["sum 11", "sum 6"]),
        (lambda: draw.draw_shift(np.eye(4), [[-1, 2, -1]], (2,)), ["max pool 2", "Change"]),
    ],
)
def test_pictures_show_the_numbers(figure: Callable[[], Any], expected: list[str]) -> None:
    shown = words(figure())
    for text in set(expected):
        assert shown.count(text) >= expected.count(text), (text, shown)


def test_conv_as_matrix_is_the_convolution() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 6)), rng.normal(size=(3, 2))
    y = F.conv2d(x[None, None], w[None, None])
    np.testing.assert_allclose(draw.conv_as_matrix(w, (5, 6)) @ x.ravel(), y.ravel(), rtol=1e-12)


def test_trace_gradients_keeps_every_delta_and_leaves_the_network_alone() -> None:
    net, x = network(), np.random.default_rng(1).normal(size=(2, 1, 4, 4))
    before = net.state_dict()
    net.eval()
    steps = draw.trace_gradients(net, x, lambda y: np.ones_like(y))
    names = [step.name.split("(")[0] for step in steps]
    assert names == ["input", "Conv2d", "ReLU", "MaxPool2d", "Flatten", "Linear"]
    assert all(step.activation.shape == step.delta.shape for step in steps)
    assert not net.training and all(p.grad is None for p in net.parameters())
    assert all(np.array_equal(before[key], value) for key, value in net.state_dict().items())
    np.testing.assert_array_equal(steps[-1].activation, net(x))
    net.train()(x)
    np.testing.assert_array_equal(steps[0].delta, net.backward(np.ones((2, 3))))


def test_gradient_flow_of_one_sample() -> None:
    x = np.random.default_rng(2).normal(size=(2, 1, 4, 4))
    shown = words(draw.draw_gradient_flow(network(), x, np.ones((2, 3)), sample=1, class_names=("cat", "dog", "owl")))
    assert {"cat", "owl", "Conv2d\n2 × 4 × 4", "Linear\n3"} <= set(shown)
    assert not any(text.startswith("Flatten") for text in shown)
    assert not any("maps" in text for text in shown)
    assert "Conv2d\n2 × 4 × 4\n1 of 2 maps" in words(draw.draw_gradient_flow(network(), x, np.ones((2, 3)), channels=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw.draw_pooling([1, 2], [[1]], 2), "draw_pooling: x must be a matrix"),
        (lambda: draw.draw_pooling(NINE, DELTAS, 2, 1, kind="median"), "draw_pooling: kind must be 'max' or 'avg'"),
        (lambda: draw.draw_reads(KERNEL, DELTAS, (3, 0)), "draw_reads: cell must lie in an input of"),
        (lambda: draw.draw_batch_norm([1, 1], [0, 1]), "draw_batch_norm: x must have"),
        (lambda: draw.draw_batch_norm([1, 2], [0, 1, 2]), "draw_batch_norm: x must have"),
        (lambda: draw.draw_ties(np.zeros((0, 2)), 1), "draw_ties: window must be a matrix"),
    ],
)
def test_bad_arguments_are_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=re.escape('pip install "pycnn[train]"')):
        draw.draw_ties([[7, 7], [3, 7]], 6)


# The script ----------------------------------------------------------------------------------------------------------

needs_script = pytest.mark.skipif(not SCRIPT.is_file(), reason="the examples folder does not lie next to the tests")


def script() -> Any:
    spec = importlib.util.spec_from_file_location("gradient_flow", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_script
def test_the_script_draws_all_figures_of_the_chapter_and_no_others() -> None:
    named = set(re.findall(r"figures/(\w+)\.png", (ROOT / "docs" / "backprop.md").read_text(encoding="utf-8")))
    assert named == set(script().FIGURES) == {path.stem for path in FIGURES.glob("*.png")}
    assert sum(path.stat().st_size for path in FIGURES.iterdir()) < 1_000_000


@needs_script
def test_no_word_of_a_figure_leaves_the_sheet_or_covers_another() -> None:
    for name, make in script().FIGURES.items():
        figure = make()
        figure.draw_without_rendering()
        width, height = figure.get_size_inches() * figure.dpi
        texts = [text for text in figure.axes[0].texts if text.get_text().strip()]
        boxes = np.array([text.get_window_extent().extents for text in texts])
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= (width, height)).all(), name
        low, high = (
            np.maximum(boxes[:, None, :2], boxes[None, :, :2]),
            np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]),
        )
        covers = np.triu((high - low > 1).all(axis=2), 1)
        clashes = [(texts[a].get_text(), texts[b].get_text()) for a, b in np.argwhere(covers)]
        assert not clashes, (name, clashes)


@needs_script
def test_the_script_draws_the_same_files_again(tmp_path: Path) -> None:
    names = ["gradient_flow", "shift", "ties"]
    for folder in ("a", "b"):
        script().main(["--out", str(tmp_path / folder), "--only", *names])
    for name in names:
        first, second = ((tmp_path / folder / f"{name}.png").read_bytes() for folder in ("a", "b"))
        assert first[:4] == b"\x89PNG" and first == second


@needs_script
def test_the_chapters_digit_is_misread_as_it_says() -> None:
    from pycnn import data

    module = script()
    net = module.small_network().eval()
    digits = data.digits()
    logits = net(digits.x_test[module.MISREAD : module.MISREAD + 1].astype(np.float32) / 255)
    assert digits.y_test[module.MISREAD] == 2 and logits.argmax() == 8
