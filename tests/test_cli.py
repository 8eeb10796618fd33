"""The command line: exit codes, and one line for whatever is wrong."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from tiny import ENVIRONMENT, pycnn_command

import pycnn
from pycnn import data, io
from pycnn.cli import main
from pycnn.train import Run, read_checkpoint

QUICK = ("--model", "lenet", "--epochs", "1", "--lr", "0.01")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", *QUICK, "--out", str(path)]) == 0
    return path


def complaint(capsys, *arguments):
    """Run a command that has to fail with code 2 and one line on standard error, which is returned."""
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("pycnn"), lines
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "pycnn: the following arguments are required: COMMAND (see pycnn --help)"),
        (["fly"], "invalid choice: 'fly'"),
        (["--foo"], "pycnn: unrecognized arguments: --foo (see pycnn --help)"),
        (["--foo", "info"], "pycnn: unrecognized arguments: --foo"),
        (["train", "extra"], "unrecognized arguments: extra"),
        (["train", "--epochs", "0"], "pycnn train: argument --epochs: must be >= 1, got 0"),
        (["train", "--epochs", "ten"], "argument --epochs: must be an integer, got 'ten'"),
        (["train", "--batch-size", "-3"], "argument --batch-size: must be >= 1"),
        (["train", "--lr", "nan"], "argument --lr: must be a number > 0, got 'nan'"),
        (["train", "--lr", "0"], "argument --lr: must be a number > 0"),
        (["train", "--seed", "-1"], "argument --seed: must be >= 0"),
        (["train", "--seed", "1" + "0" * 30], "argument --seed: must be >= 0 and < 2**63"),
        (["train", "--threads", "0"], "argument --threads: must be >= 1"),
        (["train", "--threads", "257"], "argument --threads: must be >= 1 and <= 256, got 257"),
        (["evaluate", "run", "--threads", "1099511627776"], "--threads: must be >= 1 and <= 256, got 1099511627776"),
        (["predict", "run", "x", "--threads", "9" * 5000], "argument --threads: must be an integer, got '9999"),
        (["train", "--label-smoothing", "1"], "argument --label-smoothing: must be a number in [0, 1)"),
        (["train", "--weight-decay", "-1"], "argument --weight-decay: must be a number >= 0"),
        (["train", "--model", "alexnet"], "argument --model: invalid choice: 'alexnet' (choose from"),
        (["train", "--optimizer", "lion"], "argument --optimizer: invalid choice"),
        (["train", "--schedule", "x"], "argument --schedule: invalid choice"),
        (["train", "--augment", "x"], "argument --augment: invalid choice"),
        (["train", "--data", ""], "pycnn train: argument --data: must not be empty (see pycnn train --help)"),
        (["train", "--out", ""], "argument --out: must not be empty"),
        (["train", "--resume", ""], "argument --resume: must not be empty"),
        (["evaluate", ""], "argument RUN: must not be empty"),
        (["train", "--image-size", "9"], "train: image_size goes with a folder of images only, not with the digits"),
        (["train", "--data", "/nowhere"], "pycnn: /nowhere: No such file or directory"),
        (["train", "--data", os.path.dirname(__file__)], "no data set found"),
        (["train", "--data", __file__], "not a data set"),
        (["train", "--resume", "/nowhere"], "/nowhere: not a run folder"),
        (["train", "--resume", "/nowhere", "--out", "x"], "leave out --out and --overwrite"),
        (["evaluate"], "the following arguments are required: RUN"),
        (["evaluate", "/nowhere"], "/nowhere: not a run folder"),
        (["predict", "/nowhere", "x.png"], "/nowhere: not a run folder"),
        (["predict", "run"], "the following arguments are required: IMAGE"),
        (["predict", "run", "x.png", "--top", "0"], "argument --top: must be >= 1"),
        (["info", "--data", "x"], "unrecognized arguments"),
    ],
)
def test_bad_arguments(capsys, arguments, words):
    assert words in complaint(capsys, *arguments)


def test_version_help_info(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pycnn {pycnn.__version__}\n"
    for command in ([], ["train"], ["evaluate"], ["predict"], ["info"]):
        assert main([*command, "--help"]) == 0
    assert "--label-smoothing" in capsys.readouterr().out
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    for word in ("isa ", "threads ", "numpy ", "python ", "tqdm ", "lenet, vgg-small, resnet8, resnet20"):
        assert word in shown


def test_info_without_the_extras(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert main(["info"]) == 0
    assert 'tqdm          not installed (pip install "pycnn[train]")' in capsys.readouterr().out


def test_train_and_evaluate(capsys, run):
    assert main(["evaluate", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    accuracy = Run.open(run).result["test_accuracy"]
    assert lines[0].startswith(f"digits: test accuracy {100 * accuracy:.2f} % (")
    assert "of 355), loss" in lines[0]
    assert len(lines) == 1 + (accuracy < 1)


def test_evaluate_on_another_set(capsys, run, tmp_path):
    digits = data.digits()
    np.savez(tmp_path / "d.npz", x_train=digits.x_train[:9], y_train=digits.y_train[:9],
             x_test=digits.x_test, y_test=digits.y_test)  # fmt: skip
    assert main(["evaluate", str(run), "--data", str(tmp_path / "d.npz"), "--threads", "1"]) == 0
    assert f"{100 * Run.open(run).result['test_accuracy']:.2f} %" in capsys.readouterr().out
    np.savez(tmp_path / "e.npz", x_train=np.zeros((4, 9, 9)), y_train=np.arange(4) % 2, x_test=np.zeros((4, 9, 9)),
             y_test=np.arange(4) % 2)  # fmt: skip
    assert "takes images of shape (N, 1, 8, 8)" in complaint(capsys, "evaluate", run, "--data", tmp_path / "e.npz")


def test_bad_run_files(capsys, run, tmp_path):
    (tmp_path / "config.json").write_text("{")
    assert "config.json: damaged description of a run" in complaint(capsys, "evaluate", tmp_path)
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    assert "the run has no model yet" in complaint(capsys, "evaluate", tmp_path)
    assert "checkpoint.npz: No such file" in complaint(capsys, "train", "--resume", tmp_path)
    (tmp_path / "model.npz").write_bytes(b"PK")
    (tmp_path / "checkpoint.npz").write_bytes(b"PK")
    assert "model.npz" in complaint(capsys, "evaluate", tmp_path)
    assert "checkpoint.npz" in complaint(capsys, "train", "--resume", tmp_path)


def test_resume_with_other_settings(capsys, run):
    line = complaint(capsys, "train", "--resume", run, "--optimizer", "sgd")
    assert line == "pycnn: resume: the run was begun with optimizer 'adamw' and cannot go on with 'sgd'"
    assert "begun with model 'lenet'" in complaint(capsys, "train", "--resume", run, "--model", "resnet8")


def test_resume_of_a_finished_run(capsys, run):
    assert main(["train", "--resume", str(run), "--threads", "1"]) == 0
    assert "lenet: all done (1 epoch)" in capsys.readouterr().out


def test_folder_in_use(capsys, run):
    assert "the folder is not empty; use --resume or --overwrite" in complaint(capsys, "train", *QUICK, "--out", run)


def test_overwrite_replaces_runs_only(capsys, tmp_path):
    (tmp_path / "config.json").write_text('{"mine": 1}')
    (tmp_path / "report.png").write_text("mine")
    line = complaint(capsys, "train", *QUICK, "--overwrite", "--out", tmp_path)
    assert "neither empty nor that of a run, and --overwrite replaces runs only" in line
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "report.png"]
    (tmp_path / "config.json").unlink()
    assert "replaces runs only" in complaint(capsys, "train", *QUICK, "--overwrite", "--out", tmp_path)


def test_a_size_for_what_holds_no_image_files(capsys, tmp_path):
    digits = data.digits()
    file = tmp_path / "some.npz"
    np.savez(file, x_train=digits.x_train, y_train=digits.y_train, x_test=digits.x_test, y_test=digits.y_test)
    line = complaint(capsys, "train", "--data", file, "--image-size", "9")
    assert line.endswith("some.npz: image_size goes with a folder of images only, got 9")


def test_a_file_that_is_no_image(capsys, run, tmp_path):
    pytest.importorskip("PIL")
    (tmp_path / "note.txt").write_text("no image")
    assert "cannot identify image file 'note.txt'" in complaint(capsys, "predict", run, tmp_path / "note.txt")


def test_ctrl_c_after_the_last_epoch(capsys, tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    path = tmp_path / "a run"
    monkeypatch.setattr("pycnn.train._session._draw", interrupted)
    monkeypatch.setattr("pycnn.train._session._result", interrupted)
    assert main(["train", *QUICK, "--out", str(path)]) == 130
    shown = capsys.readouterr()
    assert shown.err == f"pycnn: interrupted; go on with: pycnn train --resume '{path}'\n"
    assert "1 epoch of 23 steps" in shown.out
    monkeypatch.undo()
    assert main(["train", "--resume", str(path)]) == 0
    assert "lenet: all done (1 epoch)" in capsys.readouterr().out
    assert (path / "history.csv").read_text().count("\n") == 2


def test_train_from_npz_with_every_option(capsys, tmp_path):
    digits = data.digits()
    file = tmp_path / "some.npz"
    np.savez(file, x_train=digits.x_train[:64], y_train=digits.y_train[:64], x_test=digits.x_test, y_test=digits.y_test)
    options = ["--epochs", "1", "--batch-size", "16", "--lr", "0.01", "--optimizer", "sgd", "--schedule", "cosine",
               "--augment", "flip-shift", "--weight-decay", "0.001", "--label-smoothing", "0.1", "--seed", "3",
               "--threads", "1", "--model", "vgg-small", "--out", str(tmp_path / "run")]  # fmt: skip
    assert main(["train", "--data", str(file), *options]) == 0
    out = capsys.readouterr().out
    assert "some: 64 training and 355 test images, 1x8x8, 10 classes" in out
    assert "sgd, cosine, lr 0.01, augment flip-shift, seed 3, 1 thread\n" in out
    config = Run.open(tmp_path / "run").config
    assert (config.model, config.batch_size, config.label_smoothing) == ("vgg-small", 16, 0.1)
    assert config.data == str(file)
    assert main(["evaluate", str(tmp_path / "run")]) == 0


def test_predict(capsys, run, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    digits = data.digits()
    for number in range(3):
        image.fromarray(digits.x_test[number, 0]).save(tmp_path / f"{number}.png")
        image.fromarray(255 - digits.x_test[number, 0]).save(tmp_path / f"{number}-ink.png")
    wanted = Run.open(run).predict_proba(digits.x_test[:3])
    assert main(["predict", str(run), *(str(tmp_path / f"{number}.png") for number in range(3))]) == 0
    lines = capsys.readouterr().out.splitlines()
    for number, line in enumerate(lines):
        best = wanted[number].argmax()
        assert line.endswith(f"{number}.png  {best} {100 * wanted[number, best]:.1f} %")
    inverted = [str(tmp_path / f"{number}-ink.png") for number in range(3)]
    assert main(["predict", str(run), "--invert", "--top", "2", *inverted]) == 0
    assert [line.split()[1:3] for line in capsys.readouterr().out.splitlines()] == [line.split()[1:3] for line in lines]
    image.fromarray(np.zeros((40, 20, 3), np.uint8)).save(tmp_path / "large.png")  # resized, and turned grey
    assert main(["predict", str(run), str(tmp_path / "large.png")]) == 0
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert "bad.png" in complaint(capsys, "predict", run, tmp_path / "bad.png")
    assert "No such file" in complaint(capsys, "predict", run, tmp_path / "missing.png")


def test_a_folder_of_images(capsys, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    digits = data.digits()
    for number in range(40):
        folder = tmp_path / "images" / ("even" if digits.y_train[number] % 2 == 0 else "odd")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = digits.x_train[number, 0].repeat(1 + number % 2, axis=0).repeat(2, axis=1)
        image.fromarray(pixels).save(folder / f"{number}.png")
    line = complaint(capsys, "train", "--data", tmp_path / "images", *QUICK)
    assert "16x16" in line and "8x16" in line
    run = tmp_path / "run"
    assert main(["train", "--data", str(tmp_path / "images"), "--image-size", "16", *QUICK, "--out", str(run)]) == 0
    assert Run.open(run).classes == ("even", "odd")
    assert main(["evaluate", str(run), "--data", str(tmp_path / "images")]) == 0
    assert main(["train", "--resume", str(run)]) == 0
    assert main(["predict", str(run), str(next((tmp_path / "images" / "odd").iterdir()))]) == 0
    assert capsys.readouterr().out.split()[-3] in ("even", "odd")


def test_a_loss_that_is_not_finite(capsys, tmp_path):
    code = main(
        ["train", *QUICK, "--optimizer", "sgd", "--schedule", "constant", "--lr", "1e30", "--out", str(tmp_path / "r")]
    )
    assert code == 1
    errors = capsys.readouterr().err
    assert errors.startswith("pycnn: train: ") and errors.endswith("A lower lr than 1e+30 may help\n")
    assert errors.count("\n") == 1
    assert all(np.isfinite(value).all() for value in io.load(next((tmp_path / "r").glob("model.*"))).values())


def test_a_process_of_its_own(tmp_path):
    done = pycnn_command("train", "--epochs", "0", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    done = pycnn_command("train", "--data", "missing", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "pycnn: missing: No such file or directory\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c(tmp_path):
    command = [sys.executable, "-m", "pycnn_command", "train", "--model", "lenet", "--epochs", "300", "--out", "run"]
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)  # fmt: skip
    for line in process.stdout:
        if line.startswith("epoch   2/300"):
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("pycnn: interrupted in epoch ")
    assert errors.endswith("; go on with: pycnn train --resume run\n")
    assert {file.name.split(".")[0] for file in (tmp_path / "run").iterdir()} == {
        "checkpoint",
        "config",
        "history",
        "model",
    }
    done = pycnn_command("evaluate", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_reader_that_goes_away(tmp_path):
    done = subprocess.run(f"{sys.executable} -m pycnn_command info | true", shell=True, env=ENVIRONMENT, cwd=tmp_path,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("name", "value"), [("PYCNN_ISA", "foo"), ("PYCNN_NUM_THREADS", "0"), ("PYCNN_NUM_THREADS", "abc")]
)
def test_an_unusable_environment(tmp_path, name, value):
    done = pycnn_command("info", cwd=tmp_path, **{name: value})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"pycnn: {name}: must be ") and done.stderr.endswith(f", got {value!r}\n")


def test_ctrl_c_while_the_command_starts(tmp_path):
    code = """if True:
        import sys
        class Interrupt:
            def find_spec(self, name, path=None, target=None):
                if name == "pycnn.cli":
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, Interrupt())
        from pycnn_command import main
        sys.exit(main())"""
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "pycnn: interrupted\n")


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_from_a_training(tmp_path, unbuffered):
    """`pycnn train | head -1` ends early and without a word; the run can be tested and goes on where it stopped."""
    command = f"{sys.executable} -m pycnn_command train --model lenet --epochs 40 --lr 0.01 --out run | head -1"
    env = ENVIRONMENT | {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, shell=True, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    state = read_checkpoint(tmp_path / "run" / "checkpoint.npz")
    assert state["epoch"] < 40
    assert pycnn_command("evaluate", "run", cwd=tmp_path).returncode == 0
    done = pycnn_command("train", "--resume", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"from epoch {state['epoch'] + 1}" in done.stdout or state["epoch"] == 0
    assert read_checkpoint(tmp_path / "run" / "checkpoint.npz")["epoch"] == 40
