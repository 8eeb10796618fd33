"""The bundled digits: what they are, and that their split never changes."""

import hashlib
from importlib import resources

import numpy as np
import pytest

from pycnn import data


def test_digits_are_the_real_set() -> None:
    digits = data.digits()
    assert len(digits.x_train) + len(digits.x_test) == 1797
    assert digits.input_shape == (1, 8, 8)
    assert digits.num_classes == 10 and digits.classes == tuple("0123456789")
    assert digits.x_train.dtype == np.uint8 and digits.y_train.dtype == np.int64
    assert digits.x_train.min() == 0 and digits.x_train.max() == 255
    assert len(np.unique(digits.x_train)) == 17


def test_digits_equal_scikit_learns_copy() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    images, labels = datasets.load_digits(return_X_y=True)
    digits = data.digits()
    test = data.held_back(labels)
    expected = np.round(images.reshape(-1, 1, 8, 8) * 255 / 16 + 1e-9).astype(np.uint8)
    np.testing.assert_array_equal(digits.x_test, expected[test])
    np.testing.assert_array_equal(digits.x_train, expected[~test])
    np.testing.assert_array_equal(digits.y_test, labels[test])
    np.testing.assert_array_equal(digits.y_train, labels[~test])


def test_test_fifth_is_stratified_and_fixed() -> None:
    digits = data.digits()
    assert (len(digits.x_train), len(digits.x_test)) == (1442, 355)
    share = np.bincount(digits.y_test) / (np.bincount(digits.y_train) + np.bincount(digits.y_test))
    assert np.abs(share - 0.2).max() < 0.005
    assert hashlib.sha256(digits.x_test.tobytes() + digits.y_test.tobytes()).hexdigest() == SHA256
    train = {image.tobytes() for image in digits.x_train}
    assert not any(image.tobytes() in train for image in digits.x_test)


def test_digits_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(ValueError, match="read-only"):
        data.digits().x_train[0, 0, 0, 0] = 1


def test_attribution_is_installed_beside_the_file() -> None:
    text = (resources.files("pycnn.data") / "ATTRIBUTION.txt").read_text(encoding="utf-8")
    for words in ("Alpaydin", "Kaynak", "1998", "10.24432/C50P49", "CC BY 4.0", "Changes"):
        assert words in text


def test_held_back_rule() -> None:
    labels = np.array([3, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 1, 7])
    np.testing.assert_array_equal(np.flatnonzero(data.held_back(labels)), [5, 10, 11])
    assert data.held_back(np.array([], np.int64)).shape == (0,)


SHA256 = "c828ed8d66d4999368244a654a4bd17850508763dc9ee33f20f139ab0bb00a7d"
