"""The comparison with other libraries, without any of them: workers, the check of the answers, the table."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pycnn import _bench_rows

ROOT = Path(__file__).resolve().parent.parent
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the folder benchmarks does not lie next to the tests", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from benchmarks import calls, table  # noqa: E402
from benchmarks.compare import Outcome  # noqa: E402
from benchmarks.workers import Worker, WorkerDied  # noqa: E402

ROW = _bench_rows.QUICK[0]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    for name, array in _bench_rows.arrays(ROW).items():
        np.save(folder / f"{name}.npy", array)
    return folder


def test_a_worker_computes_checks_and_times(inputs: Path, tmp_path: Path) -> None:
    answer, wrong = tmp_path / "answer.npy", tmp_path / "wrong.npy"
    with Worker("pycnn", 1) as worker:
        request = {"row": _bench_rows.identifier(ROW), "folder": str(inputs)}
        assert worker.ask("prepare", dtype="float64", **request) == {}
        assert worker.ask("answer", file=str(answer)) == {}
        assert worker.ask("check", file=str(answer)) == {"difference": 0.0}
        right = np.load(answer)
        np.save(wrong, np.where(np.arange(right.size).reshape(right.shape) == 7, np.nan, right))
        assert np.isnan(worker.ask("check", file=str(wrong))["difference"])
        np.save(wrong, right[:1])
        assert worker.ask("check", file=str(wrong))["error"].startswith("shape ")
        assert worker.ask("prepare", dtype="float32", **request) == {}
        assert 0 < worker.ask("check", file=str(answer))["difference"] < 1e-5
        assert min(worker.ask("burst", seconds=0.001)["seconds"]) > 0
        assert worker.ask("memory")["peak"] > 1 << 20
        assert worker.ask("release") == {}
        assert "no row is prepared" in worker.ask("burst", seconds=0.001)["error"]


def test_the_end_of_a_worker_is_noticed() -> None:
    with Worker("pycnn", 1) as worker:
        worker._process.kill()
        with pytest.raises(WorkerDied, match="pycnn ended with"):
            worker.ask("memory")
        with worker.again() as another:
            assert another.ask("memory")["peak"] > 0


def test_the_table_and_its_summary() -> None:
    won = Outcome(ROW, {"pycnn": [1e-3, 2e-3, 3e-3], "fast": [3e-3], "slow": [8e-3]}, fma=1e9, copy=1e9)
    lost = Outcome(ROW, {"pycnn": [4e-3], "fast": [2e-3]}, wrong={"slow": "differs"})
    assert won.ratio == pytest.approx(1.5) and won.ratio_least == pytest.approx(3)
    assert won.peers == ["fast", "slow"] and won.bound == "fma"
    assert won.peak == pytest.approx(ROW.flops / 1e9 / 2e-3)
    assert lost.peak is None
    cells = table.line(won, ["fast", "slow", "absent"])
    assert len(cells) == len(table.head(["fast", "slow", "absent"]))
    assert [cell.strip() for cell in cells[-3:]] == ["3.000*", "8.000", "-"]
    text = "\n".join(table.summary([won, lost]))
    assert "rows lost: 1" in text and "0.50" in text and "slow: differs" in text
    assert f"{(1.5 * 0.5) ** 0.5:.2f} (0.50)" in text
    assert table.markdown([won, lost], ["fast"]).count("\n") == 3


def test_the_command_compares_pycnn_with_itself_alone(tmp_path: Path) -> None:
    out = tmp_path / "table.md"
    command = [sys.executable, "-m", "benchmarks.peers", "--quick", "--peers", "", "--rounds", "1", "--burst", "1"]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [*command, "--rows", "forward.*32", "--markdown", str(out)],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "rows lost: none" in done.stdout
    assert "| forward |" in out.read_text()


@pytest.mark.parametrize(
    ("words", "wanted"), [([], ["overhead", "threads", "steady"]), (["steady"], ["steady"]), (["all"], ["overhead"])]
)
def test_calls_measures_what_is_asked_for(words: list[str], wanted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for name in ("overhead", "threads", "steady"):
        monkeypatch.setattr(calls, name, lambda *_, name=name: done.append(name))
    monkeypatch.setattr(calls.pycnn, "set_num_threads", lambda _: None)
    calls.main(words)
    assert done[: len(wanted)] == wanted and (len(done) == 3 or words == ["steady"])
