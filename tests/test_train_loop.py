"""The loop: learning, evaluation, callbacks, and what goes wrong."""

import dataclasses
import io

import numpy as np
import pytest
from tiny import CONFIG, assert_same_run, images, network, trainer

from pycnn import nn
from pycnn.train import Callback, PlainProgress, ProgressBar, TrainConfig, Trainer, evaluate, predict_proba, progress


def test_learns_and_reports():
    x, y = images(60)
    run = Trainer(dataclasses.replace(CONFIG, epochs=12), x, y, test=images(40, seed=1), model=network())
    history = run.fit()
    assert [row.epoch for row in history] == list(range(1, 13))
    assert history[-1].loss < history[0].loss / 2
    assert history[-1].test_accuracy > 0.9
    assert history[-1].test_accuracy == run.evaluate().accuracy
    assert all(row.seconds >= 0 and row.images_per_second > 0 for row in history)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "one-cycle"])
def test_every_optimizer_and_schedule(optimizer, schedule):
    config = dataclasses.replace(CONFIG, optimizer=optimizer, schedule=schedule)
    rates = []

    class Rates(Callback):
        def on_step(self, trainer, result):
            rates.append(result.lr)

    history = trainer(config, callbacks=[Rates()]).fit()
    assert len(rates) == 12
    assert max(rates) <= CONFIG.lr * (1 + 1e-9)
    assert (len(set(rates)) == 1) == (schedule == "constant")
    assert np.isfinite(history[-1].loss)


def test_one_single_step():
    for schedule in ("step", "cosine", "one-cycle"):
        config = dataclasses.replace(CONFIG, epochs=1, batch_size=100, schedule=schedule)
        assert len(trainer(config).fit()) == 1


def test_equal_settings_give_equal_bits():
    one, other = trainer(), trainer()
    one.fit(), other.fit()
    assert_same_run(one, other)


def test_another_seed_gives_other_weights():
    one, other = trainer(), trainer(dataclasses.replace(CONFIG, seed=6))
    one.fit(), other.fit()
    assert (one.model[0].weight.data != other.model[0].weight.data).any()


def test_the_seed_makes_the_bundled_networks():
    x, y = np.zeros((4, 1, 8, 8), np.uint8), np.array([0, 1, 2, 0])
    x[0] = 1
    runs = [Trainer(TrainConfig(model="lenet", seed=seed), x, y) for seed in (1, 1, 2)]
    weights = [next(run.model.parameters()).data for run in runs]
    assert (weights[0] == weights[1]).all() and (weights[0] != weights[2]).any()
    assert runs[0].num_classes == 3


def test_data_stay_as_they_are():
    x, y = images()
    before = x.tobytes(), y.tobytes()
    x.setflags(write=False), y.setflags(write=False)
    Trainer(CONFIG, x, y, test=(x, y), model=network()).fit()
    assert (x.tobytes(), y.tobytes()) == before


def test_evaluation_keeps_the_modes_of_the_network():
    x, y = images()
    net = network()
    net[1].eval()
    state = {name: value.copy() for name, value in net.state_dict().items()}
    result = evaluate(net, x, y, (100.0,), (50.0,))
    assert [module.training for module in net] == [True, False, True, True, True, True, True]
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, state[name])
    assert result.confusion.sum() == len(y)
    assert np.trace(result.confusion) == result.correct == round(result.accuracy * len(y))
    net.eval()
    logits = net(((x - np.float32(100)) / np.float32(50)).astype(np.float32))
    rows = np.arange(len(y))
    wanted = np.mean(np.log(np.exp(logits.astype(float)).sum(1)) - logits[rows, y])
    assert result.loss == pytest.approx(wanted, rel=1e-5)


def test_evaluation_is_the_same_for_more_than_a_batch():
    x, _ = images(600)
    net = network()
    whole = predict_proba(net, x, (100.0,), (50.0,))
    np.testing.assert_allclose(predict_proba(net, x[256:300], (100.0,), (50.0,)), whole[256:300], rtol=1e-5)


def test_float64_networks():
    run = trainer(model=network().to(np.float64))
    run.fit()
    assert run.model[0].weight.data.dtype == np.float64


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (np.zeros((0, 1, 6, 6)), np.zeros(0, int), ValueError, "x must not be empty"),
        (np.zeros((3, 6, 6)), np.zeros(3, int), ValueError, r"shape \(N, C, H, W\)"),
        (
            np.zeros((3, 1, 6, 6)),
            np.zeros(2, int),
            ValueError,
            r"y must have one class an image, shape \(3,\), got \(2,\)",
        ),
        (np.zeros((3, 1, 6, 6)), np.zeros(3), TypeError, "y must hold integers"),
        (np.zeros((3, 1, 6, 6)), np.array([0, 1, -1]), ValueError, "classes from 0 to 1, got -1"),
        (np.zeros((3, 1, 6, 6)), np.array([0, 1, 2]), ValueError, "classes from 0 to 1, got 2"),
        ([[0]], [0], TypeError, "x must be an array"),
    ],
)
def test_bad_data(x, y, error, words):
    with pytest.raises(error, match=words):
        Trainer(CONFIG, x, y, model=network(), num_classes=2)


def test_unknown_network():
    x, y = images()
    with pytest.raises(ValueError, match=r"model must be one of lenet, .*got 'tiny'"):
        Trainer(CONFIG, x, y)


def test_no_test_images():
    with pytest.raises(ValueError, match="no test images"):
        trainer().evaluate()


# Divergence ------------------------------------------------------------------------------------------------------


class Poison(Callback):
    """Spoils the weights before a step."""

    def __init__(self, step, value=np.nan):
        self.step, self.value = step, value

    def on_step(self, trainer, result):
        if result.step == self.step - 1:
            trainer.model[0].weight.data[0] = self.value


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite(value, tmp_path):
    path = tmp_path / "checkpoint.npz"
    run = trainer(checkpoint=path, callbacks=[Poison(7, value)])
    with pytest.raises(
        FloatingPointError, match=r"loss is nan at step 7 \(epoch 2\); the weights are those at the end of"
    ):
        run.fit()
    good = trainer(dataclasses.replace(CONFIG))
    good.callbacks = [StopAfter(1)]
    good.fit()
    assert_same_run(run, good)
    again = trainer()
    again.load_checkpoint(path)
    assert_same_run(again, good)


def test_divergence_in_the_first_epoch():
    run = trainer(callbacks=[Poison(2)])
    with pytest.raises(FloatingPointError, match="the weights are those at the beginning"):
        run.fit()
    assert_same_run(run, trainer())


def test_weights_spoilt_by_the_last_step_of_an_epoch():
    run = trainer(callbacks=[Poison(5)])  # after the fourth step, the last of the first epoch
    with pytest.raises(FloatingPointError, match=r"0\.weight holds values that are not finite"):
        run.fit()
    assert_same_run(run, trainer())


def test_a_rate_that_is_far_too_high():
    config = dataclasses.replace(CONFIG, optimizer="sgd", schedule="constant", lr=1e30, epochs=20)
    run = trainer(config, model=nn.Sequential(nn.Flatten(), nn.Linear(36, 2, rng=0)))
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="A lower lr than 1e"):
        run.fit()
    assert np.isfinite(run.model[1].weight.data).all()


# Callbacks -------------------------------------------------------------------------------------------------------


class StopAfter(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch(self, trainer, result):
        if result.epoch == self.epoch:
            trainer.stop()


class Diary(Callback):
    def __init__(self):
        self.entries = []

    def on_start(self, trainer):
        self.entries.append("start")

    def on_step(self, trainer, result):
        self.entries.append(result.step)

    def on_epoch(self, trainer, result):
        self.entries.append(f"epoch {result.epoch}")

    def on_end(self, trainer):
        self.entries.append("end")


def test_callbacks_see_everything_in_order():
    diary = Diary()
    trainer(dataclasses.replace(CONFIG, epochs=2), callbacks=[diary]).fit()
    assert diary.entries == ["start", 1, 2, 3, 4, "epoch 1", 5, 6, 7, 8, "epoch 2", "end"]


def test_a_callback_can_end_the_run_and_fit_goes_on():
    run = trainer(callbacks=[StopAfter(1)])
    assert len(run.fit()) == 1
    assert len(run.fit()) == 3
    straight = trainer()
    straight.fit()
    assert_same_run(run, straight)


def test_what_a_callback_raises_comes_through():
    class Broken(Callback):
        def on_step(self, trainer, result):
            raise RuntimeError("mine")

    diary = Diary()
    with pytest.raises(RuntimeError, match="mine"):
        trainer(callbacks=[diary, Broken()]).fit()
    assert diary.entries == ["start", 1, "end"]


def test_plain_progress(monkeypatch):
    monkeypatch.setattr("pycnn.train._callbacks._LINE_SECONDS", 0.0)
    out = io.StringIO()
    trainer(test=images(), callbacks=[PlainProgress(out)]).fit()
    lines = out.getvalue().splitlines()
    assert len(lines) == 15  # a line a step, and one an epoch
    for word in ("epoch 1/3", "loss", "accuracy", "images/s", "ETA 0:0"):
        assert word in lines[0] and word in lines[4]
    assert " test " in lines[4] and "ETA" not in lines[-1]


def test_progress_bar(capsys):
    pytest.importorskip("tqdm")
    out = io.StringIO()
    trainer(test=images(), callbacks=[ProgressBar(out)]).fit()
    for word in ("epoch 1/3", "loss", "accuracy", "images/s", "ETA"):
        assert word in out.getvalue()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]


def test_progress_by_name():
    assert isinstance(progress("plain"), PlainProgress)
    assert isinstance(progress("auto"), PlainProgress)  # pytest's standard error is no terminal
    assert type(progress("none")) is Callback
    with pytest.raises(ValueError, match="one of auto, bar, plain, none"):
        progress("loud")
