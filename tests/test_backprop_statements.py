"""What backpropagation does, ten statements long: the numbers of docs/backprop.md, one test or more a statement.

The numbers are small integers and powers of two where they can be, so that float32 and float64 must hit them exactly.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pycnn import data, nn
from pycnn import functional as F

Array = npt.NDArray[Any]
exact = np.testing.assert_array_equal
DTYPES = [np.float32, np.float64]

IMAGE = [[1, 3, 2, 0], [5, 7, 4, 2], [0, 2, 6, 8], [4, 6, 1, 5]]
POOL_DELTAS = [[4, 8], [12, -4]]
NINE = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
KERNEL, CONV_DELTAS = [[1, 2], [3, 4]], [[1, -1], [2, 3]]
CONV_DX, CONV_DW = [[1, 1, -2], [5, 8, 2], [6, 17, 12]], [[22, 27], [37, 42]]


def image(rows: Any, dtype: npt.DTypeLike = np.float64) -> Array:
    """A matrix as a batch of one image with one channel."""
    return np.array(rows, dtype=dtype)[None, None]


def slopes(loss: Callable[[Array], Any], x: Array, eps: float = 1e-4) -> Array:
    """Central differences of a scalar loss, cell by cell."""
    result = np.zeros_like(x)
    for cell in np.ndindex(x.shape):
        nudge = np.zeros_like(x)
        nudge[cell] = eps
        result[cell] = (loss(x + nudge) - loss(x - nudge)) / (2 * eps)
    return result


# 1 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_1_average_pooling_shares_each_delta_evenly(dtype: npt.DTypeLike) -> None:
    x, dy = image(IMAGE, dtype), image(POOL_DELTAS, dtype)
    exact(F.avg_pool2d(x, 2), image([[4, 2], [3, 5]]))
    dx = F.avg_pool2d_backward(dy, x.shape, 2)
    exact(dx, image([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, -1, -1], [3, 3, -1, -1]]))
    assert dx.sum() == dy.sum() == 20


def test_1_the_sum_stays_with_overlap_and_shrinks_with_counted_padding() -> None:
    dy = np.random.default_rng(1).integers(-8, 9, (2, 3, 3, 3)).astype(np.float64)
    assert F.avg_pool2d_backward(dy, (2, 3, 4, 4), 2, stride=1).sum() == dy.sum()
    ones, shape = np.ones((1, 1, 2, 2)), (1, 1, 2, 2)
    assert F.avg_pool2d_backward(ones, shape, 2, padding=1).sum() == 1
    assert F.avg_pool2d_backward(ones, shape, 2, padding=1, count_include_pad=False).sum() == 4


# 2 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [True, "compact"])
def test_2_max_pooling_is_a_mask_times_the_delta(dtype: npt.DTypeLike, kind: bool | str) -> None:
    x, dy = image(IMAGE, dtype), image(POOL_DELTAS, dtype)
    y, winners = F.max_pool2d(x, 2, return_indices=kind)
    exact(y, image([[7, 4], [6, 8]]))
    exact(winners, image([[5, 6], [13, 11]] if kind is True else [[3, 2], [3, 1]]))
    mask = image([[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]])
    exact(F.max_pool2d_backward(np.ones_like(dy), winners, x.shape, 2), mask)
    dx = F.max_pool2d_backward(dy, winners, x.shape, 2)
    exact(dx, mask * np.kron(dy, np.ones((2, 2))))
    assert dx.sum() == dy.sum() == 20


def test_2_overlapping_windows_that_share_a_winner_add_up() -> None:
    x, dy = image([[9, 2, 1], [3, 6, 4], [0, 5, 8]]), image([[1, 2], [3, 4]])
    y, winners = F.max_pool2d(x, 2, stride=1, return_indices=True)
    exact(y, image([[9, 6], [6, 8]]))
    dx = F.max_pool2d_backward(dy, winners, x.shape, 2, stride=1)
    exact(dx, image([[1, 0, 0], [0, 2 + 3, 0], [0, 0, 4]]))
    np.testing.assert_allclose(dx, slopes(lambda x: np.sum(dy * F.max_pool2d(x, 2, stride=1)), x), atol=1e-9)


# 3 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("ties", "expected", "total"),
    [("first", [[6, 0], [0, 0]], 6), ("split", [[2, 2], [0, 2]], 6), ("all", [[6, 6], [0, 6]], 18)],
)
def test_3_ties(ties: str, expected: list[list[int]], total: int, dtype: npt.DTypeLike) -> None:
    x, dy = image([[7, 7], [3, 7]], dtype), image([[6]], dtype)
    _, winner = F.max_pool2d(x, 2, return_indices=True, ties=ties)
    dx = F.max_pool2d_backward(dy, winner, x.shape, 2, x=x, ties=ties)
    exact(dx, image(expected))
    assert dx.sum() == total


def test_3_raising_all_tied_cells_raises_the_loss_by_the_delta_once() -> None:
    x, dy = image([[7, 7], [3, 7]]), image([[6]])

    def loss(x: Array) -> Any:
        return np.sum(dy * F.max_pool2d(x, 2))

    step = 2.0**-10 * (x == 7)
    assert (loss(x + step) - loss(x - step)) * 2.0**9 == 6
    np.testing.assert_allclose(slopes(loss, x), image([[3, 3], [0, 3]]), atol=1e-9)


def test_3_a_relu_before_the_pooling_makes_ties_at_zero_harmless() -> None:
    z, dy = image([[-1, -2], [-3, -4]]), image([[6]])
    for ties in ("first", "split", "all"):
        x = F.relu(z)
        _, winner = F.max_pool2d(x, 2, return_indices=True)
        dx = F.max_pool2d_backward(dy, winner, x.shape, 2, x=x, ties=ties)
        assert dx.any()
        exact(F.relu_backward(dx, z), np.zeros_like(z))


def test_3_ties_are_not_rare_in_real_images() -> None:
    digits = data.digits().x_test / 255.0
    pooled = F.max_pool2d(digits, 2)
    claims = F.max_pool2d_backward(np.ones_like(pooled), None, digits.shape, 2, x=digits, ties="all")
    windows = digits.reshape(355, 1, 4, 2, 4, 2).transpose(0, 1, 2, 4, 3, 5).reshape(355, 1, 4, 4, 4)
    counts = (windows == windows.max(axis=-1, keepdims=True)).sum(axis=-1)
    exact(F.avg_pool2d(claims, 2) * 4, counts)
    assert round((counts > 1).mean(), 2) == 0.41
    assert round(((counts > 1) & (pooled > 0)).mean(), 2) == 0.14


# 4 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [nn.MaxPool2d(2), nn.AvgPool2d(2)])
def test_4_pooling_has_no_parameters_and_only_moves_deltas(layer: nn.Module) -> None:
    assert list(layer.parameters()) == []
    x, dy = image(IMAGE), image(POOL_DELTAS)
    layer.train()(x)
    dx = layer.backward(dy)
    layer(x)
    exact(layer.backward(2 * dy), 2 * dx)
    if isinstance(layer, nn.MaxPool2d):
        assert sorted(dx[dx != 0]) == sorted(dy.ravel())


def test_4_activations_before_and_after_multiply_by_their_slopes() -> None:
    z = image([[-1, 2, -4, -8], [3, 1, -8, -12], [0.5, 0, 1, 5], [-1, 0.25, 4, 2]])
    net = nn.Sequential(nn.LeakyReLU(0.25), nn.MaxPool2d(2), nn.LeakyReLU(0.5)).to(np.float64)
    exact(net(z), image([[3, -0.5], [0.5, 5]]))
    dz = net.backward(image(POOL_DELTAS))
    exact(dz, image([[0, 0, 8 * 0.5 * 0.25, 0], [4, 0, 0, 0], [12, 0, 0, -4], [0, 0, 0, 0]]))
    dy = image(POOL_DELTAS)
    np.testing.assert_allclose(dz, slopes(lambda z: np.sum(dy * net(z)), z), atol=1e-9)


def test_4_relu_changes_places_with_max_pooling_but_not_with_average_pooling() -> None:
    z = np.random.default_rng(4).normal(size=(2, 3, 6, 6))
    exact(F.max_pool2d(F.relu(z), 2), F.relu(F.max_pool2d(z, 2)))
    assert not np.allclose(F.avg_pool2d(F.relu(z), 2), F.relu(F.avg_pool2d(z, 2)))


# 5 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5, 8, 9])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1])
def test_5_output_size(size: int, kernel: int, stride: int, padding: int) -> None:
    expected = len(range(-padding, size + padding - kernel + 1, stride))  # the places where a window can stand
    assert expected == (size + 2 * padding - kernel) // stride + 1
    x = np.zeros((2, 3, size, size + 1))
    for y in (F.max_pool2d(x, kernel, stride, padding), F.avg_pool2d(x, kernel, stride, padding)):
        assert y.shape == (2, 3, expected, (size + 1 + 2 * padding - kernel) // stride + 1)


def test_5_what_the_floor_cuts_off_gets_no_gradient() -> None:
    row = np.arange(8.0).reshape(1, 1, 1, 8)
    for ceil_mode, expected in ((False, [2, 2, 4, 2, 4, 2, 2, 0]), (True, [2, 2, 4, 2, 4, 2, 5, 3])):
        y = F.avg_pool2d(row, (1, 3), stride=(1, 2), ceil_mode=ceil_mode)
        dx = F.avg_pool2d_backward(np.full(y.shape, 6.0), row.shape, (1, 3), stride=(1, 2), ceil_mode=ceil_mode)
        exact(dx[0, 0, 0], expected)


def test_5_pooling_saves_parameters_and_a_strided_convolution_saves_work() -> None:
    def parameters(net: nn.Module) -> int:
        return sum(p.data.size for p in net.parameters())

    assert parameters(nn.Linear(16 * 8 * 8, 10)) == 10250
    assert parameters(nn.Linear(16 * 4 * 4, 10)) == 2570
    pooled = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.MaxPool2d(2))
    strided = nn.Conv2d(16, 16, 3, stride=2, padding=1)
    shape = (1, 16, 8, 8)
    assert pooled.output_shape(shape) == strided.output_shape(shape) == (1, 16, 4, 4)
    assert parameters(pooled) == parameters(strided) == 2320
    assert pooled[0].multiply_adds(shape) == 4 * strided.multiply_adds(shape) == 147456


def test_5_pooling_tolerates_a_shift_of_a_digit_by_one_pixel() -> None:
    digits = data.digits().x_test / 255.0
    moved = np.zeros_like(digits)
    moved[..., 1:] = digits[..., :-1]
    sobel = image([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    before, after = (F.relu(F.conv2d(x, sobel, padding="same")) for x in (digits, moved))

    def change(look: Callable[[Array], Array]) -> float:
        a, b = look(before).reshape(355, -1), look(after).reshape(355, -1)
        return float(np.median(np.linalg.norm(b - a, axis=1) / np.linalg.norm(a, axis=1)))

    assert round(change(lambda maps: maps), 2) == 0.97
    assert round(change(lambda maps: F.max_pool2d(maps, 2)), 2) == 0.70
    assert round(change(lambda maps: F.max_pool2d(maps, 4)), 2) == 0.29
    assert round(change(lambda maps: maps[..., ::2, ::2]), 2) == 0.93


def test_5_pooling_forgets_where_and_a_strided_convolution_need_not() -> None:
    left, right, weights = image([[9, 0], [0, 0]]), image([[0, 0], [0, 9]]), image(KERNEL)
    assert F.max_pool2d(left, 2) == F.max_pool2d(right, 2) == 9
    assert F.conv2d(left, weights, stride=2) == 9 and F.conv2d(right, weights, stride=2) == 36


# 6 and 7 -------------------------------------------------------------------------------------------------------------


def as_matrix(kernel: Array, size: int) -> Array:
    """The fully connected layer that a convolution of a size x size image is: a row a window, a column a cell."""
    k, out = len(kernel), size - len(kernel) + 1
    matrix = np.zeros((out * out, size * size))
    for r, c in np.ndindex(out, out):
        for i, j in np.ndindex(k, k):
            matrix[r * out + c, (r + i) * size + (c + j)] = kernel[i, j]
    return matrix


@pytest.mark.parametrize("dtype", DTYPES)
def test_6_a_convolution_is_a_fully_connected_layer(dtype: npt.DTypeLike) -> None:
    x, w, dy = image(NINE, dtype), image(KERNEL, dtype), image(CONV_DELTAS, dtype)
    matrix = as_matrix(w[0, 0], 3)
    assert matrix.shape == (4, 9) and np.count_nonzero(matrix) == 16 and len(np.unique(matrix)) == 5
    y = F.conv2d(x, w)
    exact(y, image([[37, 47], [67, 77]]))
    exact(y.ravel(), matrix @ x.ravel())
    dx, dw, db = F.conv2d_backward(dy, x, w)
    exact(dx, image(CONV_DX))
    exact(dx.ravel(), matrix.T @ dy.ravel())
    exact(dw, image(CONV_DW))
    every = np.outer(dy.ravel(), x.ravel())  # a shared weight adds the gradients of its places
    exact(dw.ravel(), [every[matrix == weight].sum() for weight in (1, 2, 3, 4)])
    exact(db, [5])


def test_6_the_fully_connected_layer_itself_agrees() -> None:
    x, w, dy = image(NINE), image(KERNEL), image(CONV_DELTAS)
    matrix = as_matrix(w[0, 0], 3)
    exact(F.linear(x.reshape(1, 9), matrix), F.conv2d(x, w).reshape(1, 4))
    dx, dmatrix, _ = F.linear_backward(dy.reshape(1, 4), x.reshape(1, 9), matrix)
    exact(dx.reshape(3, 3), CONV_DX)
    exact([dmatrix[matrix == weight].sum() for weight in (1, 2, 3, 4)], np.ravel(CONV_DW))


@pytest.mark.parametrize("dtype", DTYPES)
def test_7_pad_the_deltas_and_correlate_with_the_turned_kernel(dtype: npt.DTypeLike) -> None:
    x, w, dy = image(NINE, dtype), image(KERNEL, dtype), image(CONV_DELTAS, dtype)
    padded = np.pad(dy, ((0, 0), (0, 0), (1, 1), (1, 1)))
    back = F.conv2d(padded, w[:, :, ::-1, ::-1])
    exact(back, image(CONV_DX))
    exact(back.ravel(), as_matrix(w[0, 0], 3).T @ dy.ravel())
    exact(F.conv_transpose2d(dy, w), back)
    exact(F.conv2d(x, dy), image(CONV_DW))
    exact(F.conv2d(padded, w), image([[4, -1, -3], [10, 17, 8], [4, 8, 3]]))  # not turned: another result


def test_7_with_channels_filters_and_a_batch() -> None:
    rng = np.random.default_rng(7)
    x, w = (rng.integers(-4, 5, shape).astype(np.float64) for shape in ((2, 3, 6, 6), (4, 3, 3, 3)))
    dy = rng.integers(-4, 5, (2, 4, 4, 4)).astype(np.float64)
    dx, dw, db = F.conv2d_backward(dy, x, w)
    exact(dx, F.conv2d(dy, w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1], padding=2))
    exact(dw, F.conv2d(x.transpose(1, 0, 2, 3), dy.transpose(1, 0, 2, 3)).transpose(1, 0, 2, 3))
    exact(db, dy.sum(axis=(0, 2, 3)))
    np.testing.assert_allclose(dw, slopes(lambda w: np.sum(dy * F.conv2d(x, w)), w), atol=1e-7)


# 8 and 9 -------------------------------------------------------------------------------------------------------------

WEIGHT = np.array([[0.5, 1.0], [1.0, -1.0], [0.5, 0.5]])
FC_GRADIENTS = np.array([[2.0, 3.0, 6.0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("bias", "sums", "expected"), [([0, 0, 0], [[4, 2, 3]], [[7, 2]]), ([0, 0, -5], [[4, 2, -2]], [[4, -1]])]
)
def test_8_pooling_then_fully_connected(bias: Any, sums: Any, expected: Any, dtype: npt.DTypeLike) -> None:
    x = image([[1, 4, 0, 2], [3, 2, 1, 1]], dtype)
    pooled, winners = F.max_pool2d(x, 2, return_indices=True)
    exact(pooled, image([[4, 2]]))
    cells, weight = pooled.reshape(1, 2), WEIGHT.astype(dtype)
    z = F.linear(cells, weight, np.array(bias, dtype))
    exact(z, sums)
    delta = F.relu_backward(FC_GRADIENTS.astype(dtype), z)
    grad, dweight, _ = F.linear_backward(delta, cells, weight)
    exact(grad, expected)
    by_hand = [[sum(FC_GRADIENTS[0, i] * (z[0, i] > 0) * WEIGHT[i, j] for i in range(3)) for j in range(2)]]
    exact(grad, by_hand)
    exact(dweight, delta.T @ cells)
    dx = F.max_pool2d_backward(grad.reshape(pooled.shape), winners, x.shape, 2)
    exact(dx, image([[0, expected[0][0], 0, expected[0][1]], [0, 0, 0, 0]]))


def test_8_with_a_curved_activation() -> None:
    cells = np.array([[4.0, 2.0]])
    z = F.linear(cells, WEIGHT)
    grad = F.linear_backward(F.sigmoid_backward(FC_GRADIENTS, z), cells, WEIGHT)[0]
    s = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(grad, (FC_GRADIENTS * s * (1 - s)) @ WEIGHT, rtol=1e-13)
    np.testing.assert_allclose(grad, [[0.4682, -0.1441]], atol=5e-5)
    np.testing.assert_allclose(grad, slopes(lambda c: np.sum(FC_GRADIENTS * F.sigmoid(F.linear(c, WEIGHT))), cells))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_9_a_corner_is_read_once_an_edge_k_times_an_inner_cell_k_squared(k: int) -> None:
    size = 3 * k
    cells, ones = np.zeros((1, 1, size, size)), np.ones((1, 1, k, k))
    windows = np.ones((1, 1, size - k + 1, size - k + 1))
    reads = F.conv2d_backward(windows, cells, ones)[0][0, 0]
    assert reads[0, 0] == reads[0, -1] == reads[-1, 0] == reads[-1, -1] == 1
    assert reads[0, size // 2] == reads[size // 2, 0] == k
    assert (reads[k - 1 : size - k + 1, k - 1 : size - k + 1] == k * k).all()
    assert reads.sum() == windows.size * k * k
    apart = F.conv2d_backward(np.ones((1, 1, 3, 3)), cells, ones, stride=k)[0]
    exact(apart, np.ones_like(cells))


def test_9_readers_are_added_not_multiplied() -> None:
    x, w, dy = image(NINE), image(KERNEL), image(CONV_DELTAS)
    dx = F.conv2d_backward(dy, x, w, needs=("input",))[0]
    parts = [dy[0, 0, r, c] * w[0, 0, 1 - r, 1 - c] for r, c in np.ndindex(2, 2)]
    assert parts == [4, -3, 4, 3]
    assert dx[0, 0, 1, 1] == sum(parts) == 8 != np.prod(parts)
    assert dx[0, 0, 0, 0] == dy[0, 0, 0, 0] * w[0, 0, 0, 0] == 1
    np.testing.assert_allclose(dx, slopes(lambda x: np.sum(dy * F.conv2d(x, w)), x), atol=1e-8)


def test_9_pooling_then_convolution_end_to_end() -> None:
    net = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 1, 2, bias=False, dtype=np.float64))
    net[1].weight.data[...] = image(KERNEL)
    x = np.random.default_rng(9).permutation(36).astype(np.float64).reshape(1, 1, 6, 6)
    y, dy = net(x), image(CONV_DELTAS)
    assert y.shape == (1, 1, 2, 2)
    dx = net.backward(dy)
    exact(np.sort(dx[dx != 0]), np.sort(np.ravel(CONV_DX)))
    np.testing.assert_allclose(dx, slopes(lambda x: np.sum(dy * net(x)), x), atol=1e-7)
