"""The command line: ``pycnn train``, ``evaluate``, ``predict``, ``bench``, ``info``.

Bad arguments and bad files are one line on standard error and exit code 2; Ctrl-C is 130, a loss that is not finite 1.
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import pycnn
from pycnn._config import MAX_THREADS

BAD, DIVERGED, INTERRUPTED = 2, 1, 130
_SETTINGS = (
    "model", "epochs", "batch_size", "lr", "optimizer", "schedule", "augment", "weight_decay", "label_smoothing",
    "seed", "threads", "image_size",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0; 1 where the loss became infinite or NaN; 2 for bad arguments and files; 130 after Ctrl-C.

    Examples
    --------
    >>> main(["--version"])
    pycnn 0.1.0
    0
    """
    with contextlib.ExitStack() as stack:
        try:
            args = _arguments(argv)
            if getattr(args, "threads", None):
                stack.enter_context(pycnn.threads(args.threads))
            with np.errstate(all="ignore"):  # a loss that is not finite is told once, in words
                args.run_command(args)
            sys.stdout.flush()
            return 0
        except SystemExit as stop:  # argparse: 0 after --help and --version, 2 after a bad argument
            return int(stop.code or 0)
        except BrokenPipeError:  # the reader of our output has gone, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except KeyboardInterrupt as stop:
            return _fail(str(stop) or "interrupted", INTERRUPTED)
        except FloatingPointError as error:
            return _fail(str(error), DIVERGED)
        except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
            if os.environ.get("PYCNN_TRACEBACK"):
                raise
            return _fail(_describe(error), BAD)


def _fail(message: str, code: int) -> int:
    sys.stdout.flush()
    print(f"pycnn: {' '.join(message.split())}", file=sys.stderr)
    return code


def _describe(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    return str(error) or type(error).__name__


# Commands ------------------------------------------------------------------------------------------------------


def _train(args: argparse.Namespace) -> None:
    from pycnn import train

    begin = time.monotonic()
    heading = _Heading()
    callbacks: list[Any] = [heading, train.progress(args.progress)]
    try:
        if args.resume is not None:
            outcome = _resume(args, callbacks)
        else:
            given = {name: getattr(args, name) for name in _SETTINGS}
            config = train.TrainConfig(data=args.data, image_size=args.image_size)
            data = train.load_data(config)
            print(data)
            config = train.default_config(data, data=_absolute(args.data), **given)
            outcome = train.train(data, config, args.out, overwrite=args.overwrite, callbacks=callbacks)
    except KeyboardInterrupt as stop:  # of the training, or of the test and the report after it
        if heading.folder is None:
            raise
        what = str(stop) or "interrupted"
        raise KeyboardInterrupt(
            f"{what}; go on with: pycnn train --resume {shlex.quote(str(heading.folder))}"
        ) from None
    evaluation, path = outcome.evaluation, outcome.run.path
    print(
        f"test accuracy {100 * evaluation.accuracy:.2f} % ({evaluation.correct:,} of {len(evaluation.labels):,})"
        f" after {time.monotonic() - begin:.1f} s"
    )
    print(f"{path}{os.sep}  {'  '.join(file.name for file in outcome.files)}")
    missing = train.missing_extras()
    if missing:
        print(f'pip install "pycnn[train]" would add {_listed(list(missing.values()))}')


def _resume(args: argparse.Namespace, callbacks: list[Any]) -> Any:
    from pycnn import train

    if args.out is not None or args.overwrite:
        raise ValueError("--resume writes into the folder of its run: leave out --out and --overwrite")
    run = train.Run.open(args.resume)
    given = {name: getattr(args, name) for name in _SETTINGS if getattr(args, name) is not None}
    run.config.check_same_run(dataclasses.replace(run.config, **given))
    config = run.config if args.data is None else dataclasses.replace(run.config, data=args.data)
    data = train.load_data(config)
    print(data)
    return train.resume(args.resume, data=data, threads=args.threads, callbacks=callbacks)


def _evaluate(args: argparse.Namespace) -> None:
    from pycnn import train

    run = train.Run.open(args.run)
    data = train.load_data(run.config) if args.data is None else train.load_for(run, args.data)
    evaluation = run.evaluate(data)
    print(
        f"{data.name}: test accuracy {100 * evaluation.accuracy:.2f} %"
        f" ({evaluation.correct:,} of {len(evaluation.labels):,}), loss {evaluation.loss:.4f}"
    )
    confusion = evaluation.confusion
    np.fill_diagonal(confusion, 0)
    order = np.argsort(-confusion, axis=None, kind="stable")[:3]
    worst = [(int(i) // len(confusion), int(i) % len(confusion)) for i in order if confusion.flat[i]]
    if worst:
        names = [f"{run.classes[right]} for {run.classes[said]} ({confusion[right, said]})" for right, said in worst]
        print(f"most often taken: {', '.join(names)}")


def _predict(args: argparse.Namespace) -> None:
    from pycnn import data, train

    run = train.Run.open(args.run)
    channels, height, width = run.input_shape
    if channels not in (1, 3):
        raise ValueError(f"{args.run}: takes images of {channels} channels, image files have 1 or 3")
    images = np.stack([data.read_image(path, channels, (height, width)) for path in args.images])
    if args.invert:
        images = 255 - images
    scaled = images if run.unit == 255 else images.astype(np.float32) * np.float32(run.unit / 255)
    probabilities = run.predict_proba(scaled)
    width = max(len(path) for path in args.images)
    for path, row in zip(args.images, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[: args.top]
        print(f"{path:{width}}  {'   '.join(f'{run.classes[i]} {100 * row[i]:.1f} %' for i in best)}")


def _bench(args: argparse.Namespace) -> None:
    from pycnn import _bench

    chosen = {"pattern": args.rows, "kinds": args.kind, "dtypes": args.dtype}
    _bench.command(**chosen, more=args.more, quick=args.quick, file=args.json)


def _info(args: argparse.Namespace) -> None:
    from pycnn import models

    pycnn.show_config()
    for name in ("tqdm", "safetensors", "matplotlib", "PIL"):
        print(f"{name:<13} {_version(name)}")
    print(f"{'models':<13} {', '.join(models.REGISTRY)}")


def _version(module: str) -> str:
    if importlib.util.find_spec(module) is None:
        extra = "images" if module == "PIL" else "train"
        return f'not installed (pip install "pycnn[{extra}]")'
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("Pillow" if module == "PIL" else module)
    except PackageNotFoundError:
        return "installed"


def _absolute(path: str | None) -> str | None:
    """Return a path that holds in any working directory: a run may be resumed from another one."""
    return None if path is None else str(Path(path).absolute())


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


# Arguments -----------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(BAD)


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=100)


def _integer(least: int, most: int = 2**63 - 1) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be an integer, got {_short(text)}") from None
        if not least <= number <= most:
            limit = "< 2**63" if most == 2**63 - 1 else f"<= {most}"
            raise argparse.ArgumentTypeError(f"must be >= {least}{f' and {limit}' if number > 0 else ''}, got {text}")
        return number

    return parse


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def _real(rule: str, good: Callable[[float], bool]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and good(number)):
            raise argparse.ArgumentTypeError(f"must be a number {rule}, got {text!r}")
        return number

    return parse


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pycnn", description=pycnn.__doc__, formatter_class=_Formatter)
    parser.add_argument("--version", action="version", version=f"pycnn {pycnn.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=_Parser)
    _train_parser(commands)

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, formatter_class=_Formatter)
        sub.set_defaults(run_command=run)
        return sub

    sub = command("evaluate", _evaluate, "test a trained network on the test images of a data set")
    sub.add_argument("run", metavar="RUN", type=_path, help="folder of the run")
    sub.add_argument("--data", metavar="PATH", type=_path, help="another data set than that of the run")
    sub.add_argument("--threads", metavar="N", type=_integer(1, MAX_THREADS), help="most threads to use")
    sub = command("predict", _predict, "say what is on images: class and probability of each")
    sub.add_argument("run", metavar="RUN", type=_path, help="folder of the run")
    sub.add_argument(
        "images", metavar="IMAGE", type=_path, nargs="+", help="image files; they are resized as the network needs"
    )
    sub.add_argument("--top", metavar="K", type=_integer(1), default=1, help="show the K likeliest classes")
    sub.add_argument("--invert", action="store_true", help="turn dark into bright, for ink on paper")
    sub.add_argument("--threads", metavar="N", type=_integer(1, MAX_THREADS), help="most threads to use")
    sub = command("bench", _bench, "measure convolution, pooling and training steps on this machine")
    sub.add_argument("--rows", metavar="PATTERN", help="only rows in whose name this regular expression is found")
    sub.add_argument("--kind", metavar="K,K", type=_words, default=(), help="of forward, input, weight, pool, train")
    sub.add_argument("--dtype", metavar="D,D", type=_words, default=(), help="of float32, float64")
    sub.add_argument("--more", action="store_true", help="other sizes")
    sub.add_argument("--quick", action="store_true", help="a few tiny rows, to see that it works")
    sub.add_argument("--json", metavar="FILE", type=_path, help="write the numbers there as well")
    sub.add_argument("--threads", metavar="N", type=_integer(1, MAX_THREADS), help="most threads to use")
    command("info", _info, "show instruction set, threads and versions")
    return parser


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    args = parser.parse_args(argv)
    if not hasattr(args, "run_command"):  # found out last: an unknown option is the better complaint
        parser.error("the following arguments are required: COMMAND")
    return args


def _train_parser(commands: Any) -> None:
    from pycnn import data, models, optim

    text = "train a network and write a folder with its weights, history and report"
    sub = commands.add_parser("train", help=text, description=text, formatter_class=_Formatter)
    sub.set_defaults(run_command=_train)
    sub.add_argument(
        "--data",
        metavar="PATH",
        type=_path,
        help="MNIST-style IDX folder, CIFAR folder or .tar.gz, .npz, or a folder "
        "of one sub-folder a class; the digits that come with the package by default",
    )
    sub.add_argument(
        "--image-size", metavar="N", type=_integer(1), help="resize the files of a folder of images to NxN"
    )
    settings = sub.add_argument_group("settings (what is left out suits the data set)")
    settings.add_argument("--model", choices=tuple(models.REGISTRY))
    settings.add_argument("--epochs", metavar="N", type=_integer(1))
    settings.add_argument("--batch-size", metavar="N", type=_integer(1))
    settings.add_argument("--lr", metavar="RATE", type=_real("> 0", lambda v: v > 0), help="highest learning rate")
    settings.add_argument("--optimizer", choices=tuple(optim.OPTIMIZERS))
    settings.add_argument("--schedule", choices=tuple(optim.SCHEDULES))
    settings.add_argument("--augment", choices=tuple(data.AUGMENTATIONS))
    settings.add_argument("--weight-decay", metavar="X", type=_real(">= 0", lambda v: v >= 0))
    settings.add_argument("--label-smoothing", metavar="X", type=_real("in [0, 1)", lambda v: 0 <= v < 1))
    settings.add_argument("--seed", metavar="N", type=_integer(0), help="equal seeds give equal weights, bit for bit")
    settings.add_argument(
        "--threads", metavar="N", type=_integer(1, MAX_THREADS), help="most threads to use; no influence on the result"
    )
    where = sub.add_argument_group("where")
    where.add_argument("--out", metavar="FOLDER", type=_path, help="folder to write; runs/DATA-MODEL-NUMBER by default")
    where.add_argument("--overwrite", action="store_true", help="replace the run that --out holds")
    where.add_argument(
        "--resume", metavar="RUN", type=_path, help="go on with an interrupted run; it ends as it would have ended"
    )
    where.add_argument("--progress", choices=("auto", "bar", "plain", "none"), default="auto", help=argparse.SUPPRESS)


class _Heading:
    """A callback that says what is about to be trained, and remembers the folder."""

    folder: Path | None = None

    def on_start(self, trainer: Any) -> None:
        config = trainer.config
        count = sum(parameter.size for parameter in trainer.model.parameters())
        self.folder = Path(trainer.checkpoint).parent
        if trainer.epoch >= config.epochs:
            print(f"{config.model}: all done ({_count(config.epochs, 'epoch')})")
            return
        done = f", from epoch {trainer.epoch + 1}" if trainer.epoch or trainer.step_of_epoch else ""
        print(
            f"{config.model}: {count:,} parameters; {_count(config.epochs, 'epoch')} of "
            f"{_count(trainer.steps_per_epoch, 'step')}{done}; "
            f"{config.optimizer}, {config.schedule}, lr {config.lr:g}, augment {config.augment}, seed {config.seed}, "
            f"{_count(pycnn.get_num_threads(), 'thread')}"
        )

    def on_step(self, trainer: Any, result: Any) -> None: ...

    def on_epoch(self, trainer: Any, result: Any) -> None: ...

    def on_end(self, trainer: Any) -> None: ...


if __name__ == "__main__":
    sys.exit(main())
