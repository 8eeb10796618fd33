"""Run folders: what is written, and what is read back."""

import dataclasses
import importlib.util
import json
import shutil

import numpy as np
import pytest
from tiny import StopAt, without_times

from pycnn import data, io, train
from pycnn.train import Callback, Run, TrainConfig, default_config

CONFIG = TrainConfig(model="lenet", epochs=2, batch_size=32, lr=0.01, augment="shift")
FILES = ["checkpoint.npz", "config.json", "history.csv", "model.safetensors", "report.png"]

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("matplotlib", "safetensors")),
    reason="needs the extra train",
)


def small_set(dtype=np.uint8):
    digits = data.digits()
    scale = 1 if dtype == np.uint8 else 255
    parts = [(x[:120] / scale).astype(dtype) for x in (digits.x_train, digits.x_test)]
    return data.Dataset(parts[0], digits.y_train[:120], parts[1], digits.y_test[:120], digits.classes, "small set!")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return train.train(small_set(), CONFIG, tmp_path_factory.mktemp("runs") / "one")


@pytest.fixture
def folder(outcome, tmp_path):
    return shutil.copytree(outcome.run.path, tmp_path / "run")


def test_what_a_run_leaves(outcome):
    path = outcome.run.path
    assert sorted(file.name for file in path.iterdir()) == FILES
    lines = (path / "history.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,loss,accuracy,test_loss,test_accuracy,lr,seconds")
    assert len(lines) == 3 and float(lines[2].split(",")[4]) == outcome.evaluation.accuracy
    content = json.loads((path / "config.json").read_text())
    assert content["result"]["test_accuracy"] == outcome.evaluation.accuracy
    assert content["result"]["test_images"] == 120
    assert (path / "report.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert {file.name for file in outcome.files} == set(FILES) - {"checkpoint.npz"}
    assert all(file.is_file() for file in outcome.files)


def test_the_run_read_back(outcome):
    run = Run.open(outcome.run.path)
    assert run == outcome.run
    again = run.evaluate(small_set())
    np.testing.assert_array_equal(again.probabilities, outcome.evaluation.probabilities)
    assert not run.load_model().training
    digits = small_set()
    np.testing.assert_allclose(run.predict_proba(digits.x_test[:7]), again.probabilities[:7], atol=1e-6)


def test_equal_runs_have_equal_files(outcome, tmp_path):
    other = train.train(small_set(), CONFIG, tmp_path / "two")
    names = ["model.safetensors"]
    for name in names:
        assert (other.run.path / name).read_bytes() == (outcome.run.path / name).read_bytes()
    histories = [[without_times(dataclasses.asdict(row)) for row in one.history] for one in (outcome, other)]
    assert histories[0] == histories[1]


def test_interrupted_and_resumed(outcome, tmp_path):
    path = tmp_path / "three"
    with pytest.raises(train.TrainingInterrupted):
        train.train(small_set(), CONFIG, path, callbacks=[StopAt(6)])
    assert sorted(file.name for file in path.iterdir()) == FILES[:4]  # no report yet
    early = Run.open(path).evaluate(small_set())
    assert 0 <= early.accuracy <= 1
    (path / ".pycnn-0123.tmp").write_text("left by a kill")
    resumed = train.resume(path, data=small_set(), threads=1)
    assert sorted(file.name for file in path.iterdir()) == FILES
    for name in ("model.safetensors",):
        assert (path / name).read_bytes() == (outcome.run.path / name).read_bytes()
    assert [row.loss for row in resumed.history] == [row.loss for row in outcome.history]
    # Once more: nothing to do, nothing changed.
    before = (path / "model.safetensors").read_bytes()
    train.resume(path, data=small_set())
    assert (path / "model.safetensors").read_bytes() == before


def test_a_run_killed_before_its_first_epoch_ends(tmp_path):
    class Look(Callback):
        def on_step(self, trainer, result):
            if result.step == 1:
                raise RuntimeError("as if killed")

    with pytest.raises(RuntimeError):
        train.train(small_set(), CONFIG, tmp_path / "run", callbacks=[Look()])
    assert len(train.resume(tmp_path / "run", data=small_set()).history) == 2


def test_divergence_keeps_good_weights(tmp_path):
    class Poison(Callback):
        def on_epoch(self, trainer, result):
            next(trainer.model.parameters()).data[...] = np.nan

    with pytest.raises(FloatingPointError):
        train.train(small_set(), CONFIG, tmp_path / "run", callbacks=[Poison()])
    for value in io.load(tmp_path / "run" / "model.safetensors").values():
        assert np.isfinite(value).all()


def test_folders_that_hold_something(folder, tmp_path):
    with pytest.raises(FileExistsError, match="not empty; use --resume or --overwrite"):
        train.train(small_set(), CONFIG, folder)
    (folder / "mine.txt").write_text("kept")
    (folder / "model.npz").write_text("of an older run")
    one = dataclasses.replace(CONFIG, epochs=1)
    train.train(small_set(), one, folder, overwrite=True)
    assert sorted(file.name for file in folder.iterdir()) == sorted([*FILES, "mine.txt"])
    assert Run.open(folder).config == one
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        train.train(small_set(), CONFIG, tmp_path / "file")


def test_folders_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = dataclasses.replace(CONFIG, epochs=1)
    names = [train.train(small_set(), one).run.path.as_posix() for _ in range(2)]
    assert names == ["runs/small-set-lenet-1", "runs/small-set-lenet-2"]


def test_nothing_is_made_when_the_settings_are_bad(tmp_path):
    with pytest.raises(ValueError, match="model must be one of"):
        train.train(small_set(), dataclasses.replace(CONFIG, model="alexnet"), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_float_images(tmp_path):
    run = train.train(small_set(np.float32), dataclasses.replace(CONFIG, epochs=1), tmp_path / "run").run
    assert run.unit == 1 and max(run.mean) < 1
    assert Run.open(tmp_path / "run").unit == 1


def test_classes_are_found_by_name(outcome):
    run, digits = outcome.run, small_set()
    backwards = dataclasses.replace(digits, classes=digits.classes[::-1], y_test=9 - digits.y_test,
                                    y_train=9 - digits.y_train)  # fmt: skip
    np.testing.assert_array_equal(run.labels_of(backwards), digits.y_test)
    assert run.evaluate(backwards).accuracy == outcome.evaluation.accuracy
    strange = dataclasses.replace(digits, classes=(*"012345678", "ten"))
    with pytest.raises(ValueError, match="knows no class 'ten'; it knows 0, 1"):
        run.evaluate(strange)


def test_images_of_another_shape(outcome):
    with pytest.raises(ValueError, match=r"takes images of shape \(N, 1, 8, 8\), got \(2, 1, 9, 8\)"):
        outcome.run.predict_proba(np.zeros((2, 1, 9, 8), np.uint8))


def test_without_a_model_file(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no model yet; finish it with pycnn train --resume"):
        Run.open(folder).load_model()


def test_the_model_of_another_network(folder):
    io.save({"a": np.zeros(3, np.float32)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"model.safetensors: .*keys do not match"):
        Run.open(folder).load_model()


def test_no_run_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        Run.open(tmp_path)
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        Run.open(tmp_path / "missing")


def edit(content, path, value):
    *parents, last = path.split(".")
    for key in parents:
        content = content[key]
    if value is None:
        del content[last]
    else:
        content[last] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("settings", None, "'settings' is missing"),
        ("settings.lr", -1, "lr must be finite"),
        ("settings.more", 1, "unknown settings more"),
        ("settings", [], "settings must be a JSON object"),
        ("data.mean", [], "mean and std must have 1 values"),
        ("data.std", [0], "must be finite numbers, std and unit > 0"),
        ("data.std", ["1"], "must be finite numbers"),
        ("data.unit", 0, "unit > 0"),
        ("data.input_shape", [1, 8], "input_shape must be three sizes"),
        ("data.input_shape", [1, 8, 8.0], "input_shape must be three sizes"),
        ("data.classes", [], "classes must be a list of names"),
        ("data.classes", "0123", "classes must be a list of names"),
        ("data", 3, "subscriptable"),
        ("result", 3, "result must be an object"),
    ],
)
def test_damaged_descriptions(folder, path, value, words):
    file = folder / "config.json"
    content = json.loads(file.read_text())
    edit(content, path, value)
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"config.json: damaged description of a run: .*{words}"):
        Run.open(folder)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[1]", b"[" * 100_000, b'{"data": {"mean": NaN}}'])
def test_descriptions_that_are_no_json(folder, text):
    (folder / "config.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"config\.json: damaged description"):
        Run.open(folder)


def test_networks_refuse_images_that_they_cannot_take():
    x, y = np.zeros((2, 1, 5, 5), np.uint8), np.array([0, 1])
    tiny = data.Dataset(x, y, x, y, ("a", "b"), "tiny")
    with pytest.raises(ValueError, match="size"):
        train.train(tiny, default_config(tiny), "never")
