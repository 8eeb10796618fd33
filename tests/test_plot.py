"""The report: what is on it, whatever the data are."""

import sys

import numpy as np
import pytest

from pycnn import plot

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

HISTORY = {
    "loss": [2.0, 1.0, 0.5],
    "accuracy": [0.3, 0.6, 0.9],
    "test_loss": [1.5, 1.0, 0.6],
    "test_accuracy": [0.4, 0.6, 0.8],
}


def answers(count, classes, wrong=0, seed=0):
    """Labels, and probabilities of which the first `wrong` favour another class, each less than the one before."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    probabilities = np.full((count, classes), 0.1 / (classes - 1))
    probabilities[np.arange(count), labels] = 0.9
    for index in range(wrong):
        other = (labels[index] + 1) % classes
        probabilities[index, labels[index]], probabilities[index, other] = 0.01 * index, 0.9 - 0.01 * index
    return labels, probabilities


def report(count=40, classes=10, wrong=3, channels=1, history=HISTORY, filters=(8, 1, 3, 3), dtype=np.uint8, **options):
    labels, probabilities = answers(count, classes, wrong)
    images = np.random.default_rng(1).integers(0, 256, (count, channels, 9, 7)).astype(dtype)
    return plot.training_report(
        history,
        images=images,
        labels=labels,
        probabilities=probabilities,
        classes=[f"class {number}" for number in range(classes)],
        filters=None if filters is None else np.random.default_rng(2).normal(size=filters),
        **options,
    )


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_what_is_on_it():
    figure = report(title="lenet on digits")
    assert titles(figure) == [
        "Loss (cross-entropy)",
        "Accuracy in %",
        "First layer's filters",
        "Confusion matrix: 37 of 40 right",
        "Worst mistakes, then the least certain right answers",
    ]
    assert figure.texts[0].get_text() == "lenet on digits"
    loss, accuracy, _, confusion, mistakes = figure.axes
    np.testing.assert_allclose(loss.lines[0].get_ydata(), HISTORY["loss"])
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [40, 60, 80])
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["training", "test"]
    assert sum(int(text) for text in texts(confusion)) == 40
    labels, probabilities = answers(40, 10, 3)
    said = probabilities[:3].argmax(axis=1)
    # The worst first: the one that gave the right class least.
    assert texts(mistakes)[0:6:2] == [f"class {said[i]}  {90 - i} %" for i in range(3)]
    assert texts(mistakes)[1:6:2] == [f"is class {labels[i]}" for i in range(3)]
    assert len(mistakes.images) == 12


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"wrong": 0}, "No mistakes; the least certain right answers"),
        ({"wrong": 20}, "Worst mistakes"),
        ({"count": 2, "wrong": 1}, "Worst mistakes, then"),
        ({"classes": 100, "count": 300}, "Confusion matrix: 297 of 300 right"),
        ({"classes": 2}, "Confusion matrix: 37 of 40 right"),
        ({"channels": 3, "filters": (5, 3, 5, 5)}, "First layer's filters"),
        ({"channels": 2, "filters": (100, 2, 1, 1)}, "First layer's filters (64 of 100)"),
        ({"filters": (1, 1, 3, 3)}, "First layer's filters"),
        ({"filters": (4, 1, 3, 3), "history": {"loss": [1.0], "accuracy": [0.5]}}, "Accuracy in %"),
        ({"history": {"loss": [0.0, 0.0], "accuracy": [1.0, 1.0], "test_loss": [None, None]}}, "Accuracy in %"),
        ({"history": {"loss": [], "accuracy": []}}, "Accuracy in %"),
        ({"dtype": np.float32}, "Worst mistakes, then"),
    ],
)
def test_all_kinds_of_data(options, words, tmp_path):
    figure = report(**options, path=tmp_path / "report.png")
    assert any(words in title for title in titles(figure))
    assert (tmp_path / "report.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.filterwarnings("error")
def test_names_of_every_kind(tmp_path):
    labels, probabilities = answers(9, 3, 2)
    classes = ["$\\frac$ & $", "日本", "two\nlines"]
    images = np.zeros((9, 1, 8, 8), np.uint8)
    options = {"images": images, "labels": labels, "probabilities": probabilities, "classes": classes}
    plot.training_report(HISTORY, **options, title="$a$ on $b_", path=tmp_path / "report.png")


def test_without_filters():
    assert len(report(filters=None).axes) == 4
    assert len(report(filters=(0, 1, 3, 3)).axes) == 4


def test_nothing_overlaps():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = report(wrong=12)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    page = figure.bbox
    for number, box in enumerate(boxes):
        assert box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0 and box.y1 <= page.y1
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_the_same_bytes_at_every_run(tmp_path):
    for name in ("one", "two"):
        report(path=tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_pyplot_is_left_alone():
    loaded = "matplotlib.pyplot" in sys.modules
    report()
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pictures need the package matplotlib: pip install "pycnn\[train\]"'):
        report()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": np.zeros((3, 1, 8, 8))}, r"images must have shape \(4, C, H, W\), got \(3, 1, 8, 8\)"),
        ({"images": np.zeros((4, 8, 8))}, "images must have shape"),
        ({"probabilities": np.zeros((4, 3))}, r"probabilities must have shape \(4, 2\), got \(4, 3\)"),
        ({"labels": np.array([0, 1, 2, 0])}, "labels must be from 0 to 1, got 0 to 2"),
        ({"labels": np.zeros(0, int)}, "labels must not be empty"),
        ({"filters": np.zeros((3, 3))}, "filters must have shape"),
    ],
)
def test_bad_data(change, words):
    good = {"images": np.zeros((4, 1, 8, 8)), "labels": np.array([0, 1, 1, 0]), "probabilities": np.full((4, 2), 0.5)}
    with pytest.raises(ValueError, match=f"training_report: {words}"):
        plot.training_report(HISTORY, classes="ab", **(good | change))
