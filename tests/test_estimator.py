"""The classifier by itself, and in scikit-learn's hands."""

import copy
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from tiny import ENVIRONMENT

from pycnn import nn
from pycnn.estimator import CNNClassifier, NotFittedError

SETTINGS = {"epochs": 6, "batch_size": 10, "lr": 0.02, "random_state": 0}


def bars(count=60, seed=0):
    """Images with an upright or a lying bar, and the words for it."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 60, (count, 8, 8)).astype(np.uint8)
    y = np.where(rng.random(count) < 0.5, "upright", "lying")
    for image, word, place in zip(x, y, rng.integers(1, 7, count), strict=True):
        image[:, place] = 200 if word == "upright" else image[:, place]
        image[place] = 200 if word == "lying" else image[place]
    return x, y


@pytest.fixture(scope="module")
def fitted():
    return CNNClassifier(**SETTINGS).fit(*bars())


def test_learns(fitted):
    x, y = bars(40, seed=1)
    assert fitted.score(x, y) > 0.9
    assert list(fitted.classes_) == ["lying", "upright"]
    assert (fitted.n_features_in_, fitted.image_shape_, fitted.n_iter_) == (64, (1, 8, 8), 6)
    assert len(fitted.history_) == 6
    p = fitted.predict_proba(x)
    assert p.shape == (40, 2) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert (fitted.predict(x) == fitted.classes_[p.argmax(axis=1)]).all()
    weights = (fitted.predict(x) == y) + 1.0
    assert fitted.score(x, y, sample_weight=weights) >= fitted.score(x, y)


def test_every_shape_of_x_gives_the_same(fitted):
    x, y = bars()
    for shaped, options in ((x[:, None], {}), (x.reshape(60, 64), {"image_shape": (8, 8)}), (x.tolist(), {}),
                            (x.reshape(60, 64), {"image_shape": (1, 8, 8)})):  # fmt: skip
        other = CNNClassifier(**SETTINGS, **options).fit(shaped, y.tolist())
        np.testing.assert_array_equal(other.predict_proba(shaped), fitted.predict_proba(x))


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64, np.float16])
def test_types_of_x(dtype):
    x, y = bars()
    assert CNNClassifier(**SETTINGS).fit(x.astype(dtype), y).score(x.astype(dtype), y) > 0.9


@pytest.mark.parametrize("labels", [[3, -7], [True, False], [1.0, 2.0], ["a", "b"]])
def test_labels_of_every_kind(labels):
    x, y = bars()
    y = np.where(y == "lying", *labels)
    answer = CNNClassifier(**SETTINGS).fit(x, y).predict(x)
    assert answer.dtype == y.dtype and set(answer) == set(labels)


def test_random_state():
    x, y = bars(30)
    quick = SETTINGS | {"epochs": 1}

    def weights(state):
        return next(CNNClassifier(**quick | {"random_state": state}).fit(x, y).model_.parameters()).data

    assert (weights(4) == weights(4)).all()
    assert (weights(4) != weights(5)).any()
    assert (weights(None) != weights(None)).any()
    assert (weights(np.random.RandomState(1)) == weights(np.random.RandomState(1))).all()
    assert (weights(np.random.default_rng(1)) == weights(np.random.default_rng(1))).all()
    for bad in ("x", 1.5, True, -1):
        with pytest.raises(ValueError, match="random_state must be"):
            weights(bad)


def small(in_channels, num_classes, input_size, rng):
    """A network of one's own."""
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * math.prod(input_size), num_classes, rng=rng))


def test_networks_of_ones_own():
    x, y = bars()
    assert CNNClassifier(small, **SETTINGS).fit(x, y).score(x, y) > 0.9
    for name in ("lenet", "vgg-small"):
        CNNClassifier(name, **SETTINGS | {"epochs": 1}).fit(x[:10], y[:10])
    for bad, error in (
        ("alexnet", ValueError),
        (3, TypeError),
        (nn.ReLU(), TypeError),
        (lambda **options: 3, TypeError),
    ):
        with pytest.raises(error, match="model must"):
            CNNClassifier(bad, **SETTINGS).fit(x, y)


def test_parameters():
    net = CNNClassifier("lenet", epochs=3, image_shape=(8, 8))
    assert net.get_params()["epochs"] == 3
    assert repr(net) == "CNNClassifier(epochs=3, image_shape=(8, 8))"
    assert net.set_params(epochs=4, lr=0.5) is net and (net.epochs, net.lr) == (4, 0.5)
    with pytest.raises(ValueError, match="Invalid parameter 'epoch' for estimator CNNClassifier"):
        net.set_params(lr=0.1, epoch=4)
    assert net.lr == 0.5


def test_the_constructor_checks_nothing_and_fit_everything():
    x, y = bars(20)
    for settings, error, words in (
        ({"epochs": 0}, ValueError, "epochs must be >= 1"),
        ({"lr": -1}, ValueError, "lr must be"),
        ({"optimizer": "x"}, ValueError, "optimizer must be one of"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be an integer"),
    ):
        net = CNNClassifier(**settings)
        with pytest.raises(error, match=words):
            net.fit(x, y)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((20, 64)), r"X is flat, \(20, 64\): say what an image is with image_shape"),
        (np.zeros(20), "X must have shape"),
        (np.zeros((20, 1, 1, 8, 8)), "X must have shape"),
        (np.zeros((0, 8, 8)), r"Found array with 0 sample\(s\)"),
        (np.full((20, 8, 8), np.nan), "X must be finite"),
        (np.zeros((20, 8, 8), complex), "Complex data not supported"),
        (np.full((20, 8, 8), "a"), "X must hold numbers"),
    ],
)
def test_bad_x(x, words):
    with pytest.raises(ValueError, match=words):
        CNNClassifier(**SETTINGS).fit(x, np.arange(len(x)) % 2)


def test_image_shape_that_does_not_fit():
    x, y = bars()
    for shape, words in (
        ((8, 9), r"X has 64 features, but image_shape \(8, 9\) has 72"),
        ((64,), "must be"),
        ((8, 0), "must"),
    ):
        with pytest.raises(ValueError, match=words):
            CNNClassifier(image_shape=shape).fit(x.reshape(60, 64), y)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "requires y to be passed"),
        (np.zeros(59, int), r"one label an image, shape \(60,\), got \(59,\)"),
        (np.zeros((60, 2), int), "one label an image"),
        (np.zeros(60, int), "at least two classes, got 1 class"),
        (np.linspace(0, 1, 60), "Unknown label type: continuous"),
        (np.full(60, np.nan), "y must be finite"),
        (np.zeros(60, complex), "Unknown label type"),
    ],
)
def test_bad_y(y, words):
    with pytest.raises(ValueError, match=words):
        CNNClassifier(**SETTINGS).fit(bars()[0], y)


def test_before_fit_and_other_images(fitted):
    with pytest.raises((NotFittedError, ValueError), match="not fitted yet"):
        CNNClassifier().predict(np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="X has 81 features, but CNNClassifier is expecting 64 features"):
        fitted.predict(np.zeros((2, 9, 9)))


def test_copies(fitted):
    x, _ = bars(9, seed=3)
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(other.predict_proba(x), fitted.predict_proba(x))


def test_verbose(capsys):
    CNNClassifier(**SETTINGS | {"verbose": True}).fit(*bars(20))
    assert capsys.readouterr().out.count("epoch ") == 6


def test_scikit_learn_is_not_needed():
    code = """
import sys
sys.modules["sklearn"] = None
import numpy as np
from pycnn.estimator import CNNClassifier, NotFittedError
net = CNNClassifier(epochs=1)
try:
    net.predict(np.zeros((2, 8, 8)))
except NotFittedError as error:
    assert isinstance(error, (ValueError, AttributeError))
print(net.fit(np.zeros((4, 8, 8)) + np.arange(4)[:, None, None], [0, 1, 0, 1]).predict(np.zeros((2, 8, 8))).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stdout == "(2,)\n", done.stderr


# In scikit-learn's hands -----------------------------------------------------------------------------------------


@pytest.fixture
def sklearn():
    return pytest.importorskip("sklearn", reason="scikit-learn is not installed")


def test_not_fitted_as_scikit_learn_says(sklearn):
    from sklearn.exceptions import NotFittedError as Theirs
    from sklearn.utils.validation import check_is_fitted

    with pytest.raises(Theirs):
        CNNClassifier().predict(np.zeros((2, 8, 8)))
    with pytest.raises(Theirs):
        check_is_fitted(CNNClassifier())


def test_pipeline_grid_and_cross_validation(sklearn):
    from sklearn.base import clone, is_classifier
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    x, y = bars()
    flat = x.reshape(60, 64)
    net = CNNClassifier(image_shape=(8, 8), **SETTINGS)
    assert is_classifier(net)
    assert clone(net).get_params() == net.get_params()
    pipe = make_pipeline(MinMaxScaler(), net).fit(flat, y)
    assert pipe.score(flat, y) > 0.9
    assert cross_val_score(net, x, y, cv=3).mean() > 0.8
    grid = GridSearchCV(pipe, {"cnnclassifier__lr": [1e-6, 0.02], "cnnclassifier__epochs": [1, 6]}, cv=2, n_jobs=2)
    grid.fit(flat, y)
    assert grid.best_params_ == {"cnnclassifier__lr": 0.02, "cnnclassifier__epochs": 6}
    assert grid.predict(flat).dtype == y.dtype


class TableClassifier(CNNClassifier):
    """Takes any table as images of 8x8 with its columns as the first pixels: what scikit-learn's own checks feed."""

    def _shaped(self, x):
        if x.ndim != 2:
            return super()._shaped(x)
        side = max(8, math.isqrt(x.shape[1] - 1) + 1)
        page = np.zeros((len(x), side * side), x.dtype)
        page[:, : x.shape[1]] = x
        return page.reshape(len(x), 1, side, side)


@pytest.mark.filterwarnings("ignore:Estimator TableClassifier does not inherit")
def test_scikit_learns_own_checks(sklearn):
    from sklearn.utils.estimator_checks import check_estimator

    settings = {"model": small, "epochs": 30, "batch_size": 16, "lr": 0.03}
    failed = [f"{result['check_name']}: {result['exception']}"
              for result in check_estimator(TableClassifier(**settings), on_fail=None, on_skip=None)
              if result["status"] == "failed"]  # fmt: skip
    assert not failed, "\n".join(failed)
