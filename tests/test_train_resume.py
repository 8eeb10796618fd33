"""A run that was stopped and resumed ends bit for bit where an uninterrupted one ends."""

import dataclasses
import json

import numpy as np
import pytest
from tiny import CONFIG, StopAt, assert_same_run, images, network, trainer

import pycnn
from pycnn import nn
from pycnn.train import Callback, Trainer, TrainingInterrupted, read_checkpoint, write_checkpoint
from pycnn.train._checkpoint import fingerprint

STEPS = 12  # of the whole run: 3 epochs of 4


def finished(**options):
    run = trainer(test=images(9, seed=1), **options)
    run.fit()
    return run


def interrupted(step, path, config=CONFIG):
    run = trainer(config, test=images(9, seed=1), checkpoint=path, callbacks=[StopAt(step)])
    with pytest.raises(TrainingInterrupted, match="interrupted in epoch"):
        run.fit()
    return run


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_stopped_after_any_step(step, tmp_path):
    path = tmp_path / "checkpoint.npz"
    interrupted(step, path)
    # Another network to start with: everything that counts is in the file.
    run = trainer(test=images(9, seed=1), model=network(seed=99))
    run.load_checkpoint(path)
    assert (run.epoch, run.step_of_epoch) == ((step - 1) // 4, (step - 1) % 4 + 1)
    run.fit()
    assert_same_run(run, finished())


def test_the_interrupted_trainer_itself_goes_on(tmp_path):
    run = interrupted(6, tmp_path / "checkpoint.npz")
    run.callbacks.clear()
    run.fit()
    assert_same_run(run, finished())


def test_stopped_again_and_again(tmp_path):
    path = tmp_path / "checkpoint.npz"
    interrupted(2, path)
    for step in (3, 4, 5, 9):
        run = trainer(test=images(9, seed=1), model=network(step), checkpoint=path, callbacks=[StopAt(step)])
        run.load_checkpoint(path)
        with pytest.raises(TrainingInterrupted):
            run.fit()
    run = trainer(test=images(9, seed=1), model=network(7))
    run.load_checkpoint(path)
    run.fit()
    assert_same_run(run, finished())


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_another_number_of_threads(threads, tmp_path):
    path = tmp_path / "checkpoint.npz"
    interrupted(7, path, dataclasses.replace(CONFIG, threads=1))
    run = trainer(dataclasses.replace(CONFIG, threads=threads), test=images(9, seed=1), model=network(3))
    run.load_checkpoint(path)
    run.fit()
    assert_same_run(run, finished())


def test_the_threads_of_a_run_are_its_own():
    seen = []

    class Look(Callback):
        def on_step(self, trainer, result):
            seen.append(pycnn.get_num_threads())

    before = pycnn.get_num_threads()
    trainer(dataclasses.replace(CONFIG, threads=1, epochs=1), callbacks=[Look()]).fit()
    assert seen == [1, 1, 1, 1]
    assert pycnn.get_num_threads() == before


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_other_optimizers(optimizer, tmp_path):
    config = dataclasses.replace(CONFIG, optimizer=optimizer, schedule="step")
    path = tmp_path / "checkpoint.npz"
    interrupted(6, path, config)
    run = trainer(config, test=images(9, seed=1), model=network(3))
    run.load_checkpoint(path)
    run.fit()
    straight = trainer(config, test=images(9, seed=1))
    straight.fit()
    assert_same_run(run, straight)


def test_checkpoints_every_few_steps(tmp_path):
    path = tmp_path / "checkpoint.npz"
    positions = []

    class Look(Callback):
        def on_step(self, trainer, result):
            if path.exists():
                state = read_checkpoint(path)
                positions.append((state["epoch"], state["step_of_epoch"]))

    trainer(checkpoint=path, checkpoint_every=2, callbacks=[Look()]).fit()
    assert positions == [(0, 2)] * 2 + [(1, 0)] * 2 + [(1, 2)] * 2 + [(2, 0)] * 2 + [(2, 2)] * 2
    assert read_checkpoint(path)["epoch"] == 3


# What does not fit -----------------------------------------------------------------------------------------------


def refused(run, state, words):
    """The state is refused with these words, and the trainer is as it was."""
    before = run.state_dict()
    with pytest.raises(ValueError, match=words):
        run.load_state_dict(state)
    assert str(run.state_dict()) == str(before)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "other"}, "begun with model 'tiny' and cannot go on with 'other'"),
        ({"optimizer": "sgd"}, "begun with optimizer 'adamw' and cannot go on with 'sgd'"),
        ({"lr": 0.5}, "begun with lr 0.02 and cannot go on with 0.5"),
        ({"epochs": 9}, "begun with epochs 3"),
        ({"batch_size": 4}, "begun with batch_size 8"),
        ({"seed": 1}, "begun with seed 5"),
        ({"augment": "none"}, "begun with augment 'flip-shift'"),
    ],
)
def test_other_settings(settings, words):
    refused(trainer(dataclasses.replace(CONFIG, **settings)), trainer().state_dict(), words)


def test_another_architecture():
    wide = nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.ReLU(), nn.Linear(5, 2))
    refused(trainer(model=wide), trainer().state_dict(), "begun with another network")
    smaller = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    refused(trainer(model=smaller), trainer(model=other).state_dict(), r"must have shape \(2, 36\), got \(4, 36\)")


def test_other_data():
    x, y = images()
    x[3, 0, 0, 0] ^= 1
    refused(Trainer(CONFIG, x, y, model=network()), trainer().state_dict(), "not those the run was begun with")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("model"), "not the state of a training run"),
        (lambda state: state["model"].pop("0.weight"), "missing '0.weight'"),
        (lambda state: state["optimizer"].pop("exp_avg.0"), "exp_avg.0"),
        (lambda state: state.update(epoch=4), "cannot be at epoch 4"),
        (lambda state: state.update(step_of_epoch=-1), "cannot be at"),
        (lambda state: state.update(epoch="x"), "not the state of a training run"),
        (lambda state: state.update(history=3), "not the state of a training run"),
        (lambda state: state.update(sums={"loss": 1.0, "more": 2}), "not the state of a training run"),
        (lambda state: state.update(rng={}), "missing '5.rng'"),
        (lambda state: state["rng"].update({"5.rng": {"state": 3}}), "5.rng"),
        (lambda state: state.update(config=[]), "settings must be a JSON object"),
    ],
)
def test_damaged_states(change, words):
    state = trainer().state_dict()
    change(state)
    refused(trainer(model=network(9)), state, words)


# The file --------------------------------------------------------------------------------------------------------


def test_states_go_through_the_file_unchanged(tmp_path):
    state = {
        "float": 0.1 + 0.2,
        "int": 2**127 + 1,
        "text": "ä",
        "none": None,
        "flag": True,
        "list": [1, [np.arange(3), {"deep": np.float32(0.5)}]],
        "empty": {},
        "array": np.arange(6, dtype=np.float32).reshape(2, 3),
    }
    write_checkpoint(tmp_path / "c.npz", state)
    back = read_checkpoint(tmp_path / "c.npz")
    np.testing.assert_array_equal(back.pop("array"), state.pop("array"))
    np.testing.assert_array_equal(back["list"][1].pop(0), state["list"][1].pop(0))
    assert back == {**state, "list": [1, [{"deep": 0.5}]]}


def test_what_cannot_be_stored(tmp_path):
    with pytest.raises(TypeError, match="checkpoint: a must be an array, number or text, got object"):
        write_checkpoint(tmp_path / "c.npz", {"a": object()})
    with pytest.raises(TypeError, match="keys must be str"):
        write_checkpoint(tmp_path / "c.npz", {1: 2})
    with pytest.raises(ValueError, match="JSON"):
        write_checkpoint(tmp_path / "c.npz", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_checkpoint(tmp_path):
    path = tmp_path / "c.npz"
    with pytest.raises(FileNotFoundError):
        read_checkpoint(path)
    pycnn.io.save({"a": np.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"c.npz: not a checkpoint"):
        read_checkpoint(path)
    for note in ("", "{", "[]", '{"format": 2, "state": {}}', '{"format": 1, "state": 3}', '{"format": 1}',
                 '{"format": 1, "state": {"x": {"__array__": "b"}}}'):  # fmt: skip
        pycnn.io.save({"a": np.zeros(3)}, path, {"pycnn.train": note})
        with pytest.raises(ValueError, match=r"c\.npz: damaged checkpoint"):
            read_checkpoint(path)
    trainer().save_checkpoint(path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 397):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"c\.npz"):
            read_checkpoint(path)


def test_nothing_is_pickled(tmp_path):
    trainer().save_checkpoint(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    assert json.loads(pycnn.io.load_metadata(tmp_path / "c.npz")["pycnn.train"])["format"] == 1


def test_fingerprints_see_values_shapes_and_types_only():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert fingerprint(x) == fingerprint(x.copy(order="F")) == fingerprint(x.astype(">f4"))
    others = [x + 1, x.reshape(3, 2, 4), x.astype(np.float64), x.view(np.int32)]
    assert len({fingerprint(value) for value in [x, *others]}) == 5
