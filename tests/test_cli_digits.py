"""``pycnn train`` as a newcomer runs it: the bundled digits, with and without the extras."""

import importlib.util
import re
import sys
import time

import pytest
from tiny import pycnn_command

from pycnn import io
from pycnn.cli import main
from pycnn.train import Run

EXTRAS = ("tqdm", "safetensors", "matplotlib")
complete = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in EXTRAS), reason="needs the extra train"
)


@complete
def test_the_digits(tmp_path):
    begin = time.monotonic()
    done = pycnn_command("train", cwd=tmp_path, timeout=600)
    seconds = time.monotonic() - begin
    assert done.returncode == 0 and done.stderr == ""
    accuracy, right, count = re.search(r"^test accuracy ([\d.]+) % \((\d+) of (\d+)\)", done.stdout, re.M).groups()
    assert int(count) == 355
    assert float(accuracy) >= 98.5, f"{accuracy} % in {seconds:.1f} s"
    folder = tmp_path / "runs" / "digits-vgg-small-1"
    assert sorted(file.name for file in folder.iterdir()) == [
        "checkpoint.npz", "config.json", "history.csv", "model.safetensors", "report.png",
    ]  # fmt: skip
    assert Run.open(folder).result["test_accuracy"] == int(right) / 355
    assert done.stdout.splitlines()[-1].endswith("model.safetensors  history.csv  config.json  report.png")
    assert (folder / "history.csv").read_text().count("\n") == Run.open(folder).config.epochs + 1


@complete
def test_the_same_result_at_every_run(tmp_path):
    for name, threads in (("one", "1"), ("two", "2")):
        done = pycnn_command("train", "--epochs", "2", "--threads", threads, "--out", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    blobs = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert blobs[0] == blobs[1]


@pytest.mark.parametrize("missing", [EXTRAS, ("matplotlib",), ("tqdm", "safetensors")])
def test_without_the_extras(missing, tmp_path, capsys, monkeypatch):
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "run"
    assert main(["train", "--model", "lenet", "--epochs", "1", "--out", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    gains = {"tqdm": "a progress bar", "safetensors": "model.safetensors", "matplotlib": "report.png"}
    assert lines[-1].startswith('pip install "pycnn[train]" would add ')
    for name, gain in gains.items():
        assert (gain in lines[-1]) == (name in missing)
    model = "model.npz" if "safetensors" in missing else "model.safetensors"
    assert (path / model).is_file()
    assert (path / "report.png").is_file() == ("matplotlib" not in missing)
    assert "0.weight" in io.load(path / model) or io.load(path / model)
    assert any(line.startswith("epoch 1/1  loss") for line in lines)
    assert main(["evaluate", str(path)]) == 0
    assert main(["train", "--resume", str(path)]) == 0


@complete
def test_a_model_that_this_machine_cannot_read(tmp_path, capsys, monkeypatch):
    path = tmp_path / "run"
    assert main(["train", "--model", "lenet", "--epochs", "1", "--out", str(path)]) == 0
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert main(["evaluate", str(path)]) == 2
    assert 'pip install "pycnn[train]"' in capsys.readouterr().err


def test_a_bar_without_tqdm(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert main(["train", "--progress", "bar", "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error == 'pycnn: the progress bar needs the package tqdm: pip install "pycnn[train]"\n'
