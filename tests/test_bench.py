"""The rows of the benchmarks, and that `pycnn bench` runs; nothing here depends on how long anything takes."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pycnn import _bench, _bench_rows, _bench_tasks, reference
from pycnn._bench_rows import QUICK, Conv, Pool, Row, Step
from pycnn.cli import main

ROWS = [*_bench_rows.rows(), *_bench_rows.rows(more=True), *QUICK]


def test_the_tables_have_every_row() -> None:
    count = Counter((row.kind, row.dtype) for row in _bench_rows.rows())
    assert count == {
        ("forward", "float32"): 22,
        ("input", "float32"): 22,
        ("weight", "float32"): 22,
        ("forward", "float64"): 4,
        ("input", "float64"): 4,
        ("weight", "float64"): 4,
        ("pool", "float32"): 14,
        ("train", "float32"): 3,
    }


def test_names_are_unique_and_found_again() -> None:
    names = [_bench_rows.identifier(row) for row in ROWS]
    assert len(set(names)) == len(names)
    for row, name in zip(ROWS, names, strict=True):
        assert _bench_rows.find(name) == row
    with pytest.raises(ValueError, match="no row is called 'forward/nothing'"):
        _bench_rows.find("forward/nothing")


@pytest.mark.parametrize("row", [row for row in ROWS if isinstance(row, Conv)], ids=_bench_rows.identifier)
def test_a_convolution_has_the_shapes_and_work_of_its_sum(row: Conv) -> None:
    x, w, dy = (row.shapes[name] for name in ("x", "w", "dy"))
    assert row.output_size > 0
    assert x[1] == w[1] * row.groups and w[0] == dy[1] and w[0] % row.groups == 0
    assert row.flops == 2 * int(np.prod(dy)) * int(np.prod(w[1:]))
    assert row.bytes == sum(int(np.prod(shape)) for shape in (x, w, dy)) * (4 if row.dtype == "float32" else 8)


def test_work_of_pooling_and_of_a_step() -> None:
    row = Pool("max", "backward", 2, 3, 8, 2, 2)
    assert row.output_size == 4
    assert row.bytes == 2 * 3 * (64 * 4 + 16 * 4 + 16)
    assert Pool("avg", "backward", 2, 3, 8, 2, 2).bytes == 2 * 3 * (64 * 4 + 16 * 4)
    assert Step("lenet", 2, 1, 28).flops == 2 * Step("lenet", 1, 1, 28).flops


def test_arrays_are_the_same_at_every_call() -> None:
    for row in QUICK:
        first, second = _bench_rows.arrays(row), _bench_rows.arrays(row)
        assert first.keys() == second.keys() >= row.shapes.keys()
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])
            assert first[name].dtype in (np.dtype(row.dtype), np.dtype(np.int64))


def test_select() -> None:
    rows = _bench_rows.rows()
    chosen = _bench_rows.select(rows, pattern="64@56.*n16", kinds=["forward"], dtypes=["float64"])
    assert [row.name for row in chosen] == ["64@56-64 3x3 n16", "64@56-256 1x1 n16"]
    assert _bench_rows.select(rows) == rows
    for wrong in ({"pattern": "("}, {"pattern": "no such row"}, {"kinds": ["sideways"]}, {"dtypes": ["float16"]}):
        with pytest.raises(ValueError):
            _bench_rows.select(rows, **wrong)  # type: ignore[arg-type]


def want(row: Row, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The answer of the slow twin."""
    x = arrays["x"]
    if isinstance(row, Conv):
        sizes = (row.stride, row.padding, row.dilation, row.groups)
        if row.kind == "forward":
            return reference.conv2d(x, arrays["w"], None, *sizes)
        found = reference.conv2d_backward(arrays["dy"], x, arrays["w"], *sizes, needs=(row.kind,))
        return next(gradient for gradient in found if gradient is not None)
    assert isinstance(row, Pool) and row.op == "max"
    y, winners = reference.max_pool2d(x, row.kernel, row.stride, row.padding, return_indices=True)
    if row.way != "backward":
        return y
    return reference.max_pool2d_backward(arrays["dy"], winners, x.shape, row.kernel, row.stride, row.padding)


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("row", [row for row in QUICK if not isinstance(row, Step)], ids=_bench_rows.identifier)
def test_a_task_computes_its_row(row: Row, reuse: bool) -> None:
    arrays = _bench_rows.arrays(row)
    task = _bench_tasks.prepare(row, arrays, reuse=reuse)
    first = task.run()
    assert (task.run() is first) == reuse
    right = want(row, arrays)
    np.testing.assert_allclose(task.answer(), right, rtol=0, atol=1e-5 * float(np.abs(right).max()))


@pytest.mark.parametrize("op", ["max", "avg", "global"])
@pytest.mark.parametrize("way", ["forward", "backward"])
def test_every_pooling_has_a_task(op: str, way: str) -> None:
    row = Pool(op, way, 2, 3, 4, 4, 1)
    task = _bench_tasks.prepare(row, _bench_rows.arrays(row))
    task.run()
    assert task.answer().shape == row.shapes["dy" if way == "forward" else "x"]


def test_the_answer_of_a_step_leaves_the_network_as_it_was() -> None:
    row = Step("vgg-small", 2, 1, 8)
    task = _bench_tasks.prepare(row, _bench_rows.arrays(row))
    np.testing.assert_array_equal(task.answer(), task.answer())
    task.run()
    assert not np.array_equal(task.answer()[0], task.answer()[1])


def test_a_burst_calls_once_at_least() -> None:
    calls: list[int] = []
    assert len(_bench.burst(lambda: calls.append(1), 0.0)) == 1
    assert len(calls) == 2


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "numbers.json"
    assert main(["bench", "--quick", "--kind", "forward,pool", "--json", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["kind", "row", "dtype"]
    chosen = [row for row in QUICK if row.kind in ("forward", "pool")]
    assert len(lines) == 2 + len(chosen)
    numbers = json.loads(file.read_text())
    assert [record["row"] for record in numbers["rows"]] == [_bench_rows.identifier(row) for row in chosen]
    assert all(record["min"] > 0 and record["calls"] >= 1 for record in numbers["rows"])


@pytest.mark.parametrize("wrong", [["--kind", "no"], ["--rows", "("], ["--json", "no/such/folder/file"]])
def test_bad_arguments_are_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quick", *wrong]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("pycnn: ") and printed.err.count("\n") == 1
