"""Draw the figures of docs/backprop.md from the library itself.

    python examples/gradient_flow.py --out docs/figures

Every number in the figures is computed here and now; the same call draws the same figures again. Needs Matplotlib:
pip install "pycnn[train]".
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pycnn import data, nn, optim
from pycnn import functional as F
from pycnn import plot as draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGE = [[1, 3, 2, 0], [5, 7, 4, 2], [0, 2, 6, 8], [4, 6, 1, 5]]
POOL_DELTAS = [[4, 8], [12, -4]]
NINE = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
KERNEL, CONV_DELTAS = [[1, 2], [3, 4]], [[1, -1], [2, 3]]
SOBEL = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
MISREAD = 6  # this test image, a "2", is an "8" to the small network below


def small_network() -> nn.Sequential:
    """Train a small network for a moment: long enough to see something, too short to be right."""
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=0), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, padding=1, rng=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32, 10, rng=2),
    )  # fmt: skip
    digits = data.digits()
    x, y = digits.x_train[:600].astype(np.float32) / 255, digits.y_train[:600]
    loss, optimizer = nn.CrossEntropyLoss(), optim.Adam(net.parameters(), lr=0.01)
    for epoch in range(3):
        for images, labels in data.batches(x, y, 32, rng=epoch):
            optimizer.zero_grad()
            loss(net(images), labels)
            net.backward(loss.backward())
            optimizer.step()
    return net


def whole_network() -> "Figure":
    """One digit forward, its deltas backward, through every layer."""
    digits = data.digits()
    image = digits.x_test[MISREAD : MISREAD + 1].astype(np.float32) / 255
    label = digits.y_test[MISREAD : MISREAD + 1]

    def grad(logits: np.ndarray) -> np.ndarray:
        return F.cross_entropy_backward(1.0, logits, label)

    return draw.draw_gradient_flow(small_network(), image, grad, class_names=digits.classes)


def activations() -> "Figure":
    """Deltas through activation, pooling, activation."""
    net = nn.Sequential(nn.LeakyReLU(0.25), nn.MaxPool2d(2), nn.LeakyReLU(0.5))
    cells = [[-1, 2, -4, -8], [3, 1, -8, -12], [0.5, 0, 1, 5], [-1, 0.25, 4, 2]]
    return draw.draw_layers(net, cells, POOL_DELTAS)


FIGURES: dict[str, Callable[[], "Figure"]] = {
    "gradient_flow": whole_network,
    "avg_pooling": lambda: draw.draw_pooling(IMAGE, POOL_DELTAS, 2, kind="avg"),
    "max_pooling": lambda: draw.draw_pooling(IMAGE, POOL_DELTAS, 2),
    "max_pooling_overlap": lambda: draw.draw_pooling([[9, 2, 1], [3, 6, 4], [0, 5, 8]], [[1, 2], [3, 4]], 2, 1),
    "ties": lambda: draw.draw_ties([[7, 7], [3, 7]], 6.0),
    "activation_around_pooling": activations,
    "shift": lambda: draw.draw_shift(data.digits().x_test[MISREAD, 0] / 255.0, SOBEL),
    "conv_matrix": lambda: draw.draw_conv_matrix(NINE, KERNEL, CONV_DELTAS),
    "conv_backward": lambda: draw.draw_conv_backward(NINE, KERNEL, CONV_DELTAS),
    "pooling_then_linear": lambda: draw.draw_linear([4, 2], [[0.5, 1], [1, -1], [0.5, 0.5]], [2, 3, 6]),
    "reads": lambda: draw.draw_reads(KERNEL, CONV_DELTAS, (1, 1)),
    "im2col": lambda: draw.draw_im2col(NINE, KERNEL),
    "batch_norm": lambda: draw.draw_batch_norm([1, 3, 4, 5, 7], [0, 3, 2, 1, 4], 2.0),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("docs/figures"), help="folder for the pictures")
    parser.add_argument("--only", nargs="*", choices=FIGURES, default=list(FIGURES), help="draw these alone")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        path = options.out / f"{name}.png"
        # No version of Matplotlib in the file: the same picture is the same file.
        FIGURES[name]().savefig(path, dpi=110, metadata={"Software": None})
        print(f"{path}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
