"""The reference on the corners where libraries differ: ties, NaN, infinities, empty batches, layouts, types."""

from typing import Any

import numpy as np
import pytest

from pycnn import reference


def test_every_function_is_explained() -> None:
    for name in reference.__all__:
        assert getattr(reference, name).__doc__, name


def row(*values: float) -> np.ndarray:
    return np.array([[values]], dtype=np.float32)


@pytest.mark.parametrize(
    ("cells", "best", "place"),
    [
        ((1.0, 2.0, 2.0), 2.0, 1),
        ((np.nan, np.nan, 5.0), np.nan, 0),
        ((5.0, np.nan, np.nan), np.nan, 1),
        ((np.inf, np.nan, np.inf), np.nan, 1),
        ((-np.inf, -np.inf, -np.inf), -np.inf, 0),
        ((0.0, -0.0, 0.0), 0.0, 0),
        ((-0.0, 0.0, 0.0), -0.0, 0),
        ((1.0, np.inf, np.inf), np.inf, 1),
    ],
)
def test_winner(cells: tuple[float, ...], best: float, place: int) -> None:
    """First of equals, NaN above everything, first NaN, -0.0 equal to 0.0."""
    y, index = reference.max_pool1d(row(*cells), 3, return_indices=True)
    np.testing.assert_array_equal(y, row(best))
    assert np.signbit(y[0, 0, 0]) == np.signbit(np.float32(best)) or np.isnan(best)
    assert index[0, 0, 0] == place
    square = row(*cells).reshape(1, 1, 1, 3)
    again, index2 = reference.adaptive_max_pool2d(square, 1, True)
    np.testing.assert_array_equal(again.ravel(), y.ravel())
    assert index2.ravel() == place


def test_padding_never_wins() -> None:
    y, index = reference.max_pool1d(row(-np.inf, -np.inf), 3, 1, 1, return_indices=True)
    np.testing.assert_array_equal(y, row(-np.inf, -np.inf))
    np.testing.assert_array_equal(index, [[[0, 0]]])
    y, index = reference.max_pool1d(np.array([[[-7, -9]]], dtype=np.int8), 3, 1, 1, return_indices="compact")
    np.testing.assert_array_equal(y, [[[-7, -7]]])
    np.testing.assert_array_equal(index, [[[1, 0]]])
    assert y.dtype == np.int8 and index.dtype == np.uint8


def test_window_without_a_real_cell() -> None:
    """Dilation may step over a small image: a mean of nothing is 0, a maximum of nothing does not exist."""
    assert reference.avg_pool1d(row(5.0), 2, 1, 1, dilation=2, count_include_pad=False) == 0
    with pytest.raises(ValueError, match="no largest cell"):
        reference.max_pool1d(row(5.0), 2, 1, 1, 2)


@pytest.mark.parametrize(
    ("ties", "want", "total"),
    [
        ("first", (4.0, 0.0, 0.0, 4.0), 8.0),
        ("split", (2.0, 2.0, 0.0, 4.0), 8.0),
        ("all", (4.0, 4.0, 0.0, 4.0), 12.0),
    ],
)
def test_ties(ties: str, want: tuple[float, ...], total: float) -> None:
    x = row(3.0, 3.0, 1.0, 2.0)
    indices = reference.max_pool1d(x, 2, return_indices=True)[1] if ties == "first" else None
    dx = reference.max_pool1d_backward(row(4.0, 4.0), indices, x.shape, 2, x=x, ties=ties)
    np.testing.assert_array_equal(dx, row(*want))
    assert dx.sum() == total


def test_nan_ties_with_nan_only() -> None:
    x = row(np.nan, 9.0, np.nan)
    dx = reference.max_pool1d_backward(row(6.0), None, x.shape, 3, x=x, ties="split")
    np.testing.assert_array_equal(dx, row(3.0, 0.0, 3.0))


def test_overlapping_windows_add_up_at_a_shared_winner() -> None:
    x = row(1.0, 9.0, 2.0)
    for how in (True, "compact"):
        y, indices = reference.max_pool1d(x, 2, 1, return_indices=how)
        np.testing.assert_array_equal(y, row(9.0, 9.0))
        np.testing.assert_array_equal(
            reference.max_pool1d_backward(row(3.0, 4.0), indices, x.shape, 2, 1), row(0.0, 7.0, 0.0)
        )


@pytest.mark.parametrize("index", [-1, 4, 2**32 + 1])
def test_index_outside_the_image(index: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        reference.max_pool1d_backward(row(1.0, 1.0), np.array([[[0, index]]]), (1, 1, 4), 2)


def test_convolution_does_not_skip_zeros() -> None:
    x, weight = np.zeros((1, 1, 3, 3)), np.full((1, 1, 2, 2), np.inf)
    with np.errstate(invalid="ignore"):
        assert np.isnan(reference.conv2d(x, weight)).all()
        padded = reference.conv2d(np.ones((1, 1, 1, 1)), weight, padding=1)
    assert np.isnan(padded).all()  # each window meets padding, which is made of zeros


def test_nan_touches_only_its_windows() -> None:
    x = np.ones((1, 1, 5, 5))
    x[0, 0, 0, 0] = np.nan
    y = reference.conv2d(x, np.ones((1, 1, 2, 2)))
    assert np.isnan(y).sum() == 1


def test_no_input_channels_leave_the_bias() -> None:
    y = reference.conv2d(np.zeros((1, 0, 4, 4)), np.zeros((2, 0, 3, 3)), np.array([5.0, 7.0]))
    assert y.shape == (1, 2, 2, 2) and (y[:, 0] == 5).all() and (y[:, 1] == 7).all()


def test_empty_batch() -> None:
    dx, dweight, dbias = reference.conv2d_backward(
        np.zeros((0, 2, 3, 3)), np.zeros((0, 1, 4, 4)), np.ones((2, 1, 2, 2))
    )
    assert dx.shape == (0, 1, 4, 4) and (dweight == 0).all() and (dbias == 0).all()


def test_of_repeated_indices_the_last_wins_and_all_read_back() -> None:
    x, places = np.array([[[[1.0, 2.0, 3.0]]]]), np.array([[[[4, 4, 0]]]])
    np.testing.assert_array_equal(reference.max_unpool2d(x, places, (1, 2)).ravel(), [3, 0, 0, 0, 2, 0])
    delta = np.arange(6.0).reshape(1, 1, 1, 6)
    np.testing.assert_array_equal(reference.max_unpool2d_backward(delta, places, (1, 2)).ravel(), [4, 4, 0])


def test_sums_are_float64() -> None:
    """2**24 + 1 + 1 + ... stays where it is in float32."""
    x = np.ones((1, 65, 1, 1), dtype=np.float32)
    x[0, 0] = 2.0**24
    y = reference.conv2d(x, np.ones((1, 65, 1, 1), dtype=np.float32))
    assert y.dtype == np.float32 and y[0, 0, 0, 0] == 2.0**24 + 64


def test_dropout() -> None:
    x = np.ones((50, 50), dtype=np.float32)
    y, mask = reference.dropout(x, 0.25, rng=3, return_mask=True)
    again, _ = reference.dropout(x, 0.25, rng=np.random.default_rng(3), return_mask=True)
    np.testing.assert_array_equal(y, again)
    np.testing.assert_array_equal(y, np.where(mask, np.float32(4 / 3), 0))
    assert 0.7 < mask.mean() < 0.8
    np.testing.assert_array_equal(reference.dropout(x, 0.25, training=False), x)
    assert (reference.dropout(x, 1.0) == 0).all() and (reference.dropout(x, 0.0) == 1).all()


def test_batch_norm_updates_with_the_unbiased_variance() -> None:
    x = np.array([[1.0], [3.0]])
    mean, var = np.zeros(1), np.ones(1)
    y, batch_mean, inv_std = reference.batch_norm(x, mean, var, training=True, momentum=0.5, eps=0.0, return_stats=True)
    assert (mean, var) == (1.0, 1.5) and batch_mean == 2.0 and inv_std == 1.0
    np.testing.assert_array_equal(y, [[-1.0], [1.0]])
    with pytest.raises(ValueError, match="more than one"):
        reference.batch_norm(x[:1], None, None, training=True)


BAD: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("conv1d", (row(1, 2), row(1, 2, 3)), {}),
    ("conv1d", (row(1, 2), row(1)), {"stride": 0}),
    ("conv1d", (row(1, 2), row(1)), {"dilation": 0}),
    ("conv1d", (row(1, 2), row(1)), {"padding": -1}),
    ("conv1d", (row(1, 2), row(1)), {"padding": "smae"}),
    ("conv1d", (row(1, 2), row(1)), {"padding": (1, 2)}),
    ("conv1d", (row(1, 2), row(1)), {"groups": 2}),
    ("conv1d", (row(1, 2), np.ones((1, 2, 1), np.float32)), {}),
    ("max_pool1d", (row(1, 2), 3), {}),
    ("max_pool1d", (row(1, 2), 1), {"padding": 1}),
    ("max_pool1d", (row(1, 2), 1), {"ties": "last"}),
    ("avg_pool1d", (row(1, 2), 2), {"divisor_override": 0}),
    ("avg_pool1d", (np.ones((1, 1, 0)), 1), {}),
]


@pytest.mark.parametrize(("name", "args", "options"), BAD, ids=lambda v: v if isinstance(v, str) else "")
def test_geometry_that_makes_no_sense(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        getattr(reference, name)(*args, **options)
