"""Trains the same network in pycnn and in PyTorch and prints accuracy and seconds per epoch side by side.

Both start from the same weights, see the same batches (order, augmentation, standardisation), and use the same
optimiser, learning rates and number of threads; only the dropout masks differ. Each library runs in a process of its
own, one after the other. Minutes. Needs PyTorch, and Fashion-MNIST (Debian's package dataset-fashion-mnist).

    python -m benchmarks.fashion_mnist --epochs 2
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any, TypeAlias

import numpy as np

from pycnn import data, models, optim
from pycnn.train import Callback, TrainConfig, Trainer, default_config

Stats: TypeAlias = tuple[float, ...]
PLACE = "/usr/share/datasets/fashion-mnist"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=PLACE)
    parser.add_argument("--model", default="vgg-small", choices=("lenet", "vgg-small"))
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, help="train on the first so many images only")
    parser.add_argument("--channels-last", action="store_true", help="let PyTorch keep its images as NHWC")
    parser.add_argument("--only", choices=("pycnn", "pytorch"))
    parser.add_argument("--child", choices=("pycnn", "pytorch"), help=argparse.SUPPRESS)
    return parser.parse_args()


def load(args: argparse.Namespace) -> tuple[data.Dataset, TrainConfig]:
    """Return the data set and the settings that `pycnn train` would choose."""
    full = data.load(args.data)
    n = args.images or len(full.x_train)
    dataset = data.Dataset(full.x_train[:n], full.y_train[:n], full.x_test, full.y_test, full.classes, full.name)
    return dataset, default_config(dataset, model=args.model, epochs=args.epochs, threads=args.threads)


def report(epoch: int, seconds: float, loss: float, accuracy: float) -> None:
    print(json.dumps({"epoch": epoch, "seconds": seconds, "loss": loss, "accuracy": accuracy}), flush=True)


class Reporter(Callback):
    def on_epoch(self, trainer: Any, result: Any) -> None:
        report(result.epoch, result.seconds, result.loss, result.test_accuracy)


def train_pycnn(dataset: data.Dataset, config: TrainConfig) -> None:
    trainer = Trainer(
        config, dataset.x_train, dataset.y_train, test=(dataset.x_test, dataset.y_test), callbacks=[Reporter()]
    )
    trainer.fit()


def torch_network(dataset: data.Dataset, config: TrainConfig) -> Any:
    from benchmarks import twin  # imports torch

    rng = np.random.default_rng(config.seed)
    channels, size, _ = dataset.input_shape
    ours = models.REGISTRY[config.model](
        in_channels=channels, num_classes=dataset.num_classes, input_size=size, rng=rng
    )
    return twin.copy(ours)


def torch_optimizer(torch: Any, network: Any, config: TrainConfig) -> Any:
    if config.optimizer != "adamw":
        raise SystemExit("this benchmark compares with AdamW")
    flat = [p for p in network.parameters() if p.ndim == 1]
    deep = [p for p in network.parameters() if p.ndim > 1]
    groups = [{"params": deep, "weight_decay": config.weight_decay}, {"params": flat, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr)


def train_pytorch(dataset: data.Dataset, config: TrainConfig, channels_last: bool) -> None:
    import torch

    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    network = torch_network(dataset, config)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(memory_format=layout)
    optimizer = torch_optimizer(torch, network, config)
    mean, std = data.channel_stats(dataset.x_train)
    steps = -(-len(dataset.x_train) // config.batch_size)
    schedule = optim.OneCycleLR(config.lr, total_steps=config.epochs * steps)
    step = 0
    for epoch in range(config.epochs):
        network.train()
        begin, total = time.perf_counter(), 0.0
        rng = np.random.default_rng([config.seed, epoch])
        for x, y in data.batches(dataset.x_train, dataset.y_train, config.batch_size, rng=rng, augment=config.augment):
            for group in optimizer.param_groups:
                group["lr"] = schedule(step)
            images = torch.from_numpy(data.normalize(x, mean, std)).contiguous(memory_format=layout)
            loss = torch.nn.functional.cross_entropy(network(images), torch.from_numpy(y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, step = total + loss.item() * len(y), step + 1
        seconds = time.perf_counter() - begin
        accuracy = torch_accuracy(torch, network, dataset, mean, std, layout)
        report(epoch + 1, seconds, total / len(dataset.x_train), accuracy)


def torch_accuracy(torch: Any, network: Any, dataset: data.Dataset, mean: Stats, std: Stats, layout: Any) -> float:
    network.eval()
    right = 0
    with torch.inference_mode():
        for x, y in data.batches(dataset.x_test, dataset.y_test, 256, shuffle=False):
            images = torch.from_numpy(data.normalize(x, mean, std)).contiguous(memory_format=layout)
            right += int((network(images).argmax(1).numpy() == y).sum())
    return right / len(dataset.x_test)


def run_child(args: argparse.Namespace, library: str) -> list[dict[str, float]]:
    """Train in a process of its own and return its reports."""
    command = [sys.executable, "-m", "benchmarks.fashion_mnist", *sys.argv[1:], "--child", library]
    threads = str(args.threads)
    environment = os.environ | {name: threads for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYCNN_NUM_THREADS")}
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            row = json.loads(line)
            rows.append(row)
            print(
                f"{library:<8} epoch {row['epoch']:>2}  {row['seconds']:7.1f} s  loss {row['loss']:.4f}"
                f"  test {100 * row['accuracy']:.2f} %",
                flush=True,
            )
    if process.returncode:
        raise SystemExit(f"{library} failed with exit code {process.returncode}")
    return rows


def main() -> None:
    args = arguments()
    dataset, config = load(args)
    if args.child == "pycnn":
        train_pycnn(dataset, config)
        return
    if args.child == "pytorch":
        train_pytorch(dataset, config, args.channels_last)
        return
    print(dataset)
    print(describe(config))
    results = {name: run_child(args, name) for name in ("pycnn", "pytorch") if args.only in (None, name)}
    print(f"\n{'':<10}{'seconds an epoch':>18}{'test accuracy':>16}")
    for name, rows in results.items():
        # The first epoch of either library also warms up; the median is of the others where there are any.
        seconds = float(np.median([row["seconds"] for row in rows[1:] or rows]))
        print(f"{name:<10}{seconds:>18.1f}{100 * rows[-1]['accuracy']:>14.2f} %")
    if len(results) == 2:
        ratio = [float(np.median([row["seconds"] for row in rows[1:] or rows])) for rows in results.values()]
        print(f"pycnn takes {ratio[0] / ratio[1]:.2f} times PyTorch's time")


def describe(config: TrainConfig) -> str:
    return (
        f"{config.model}, {config.epochs} epochs, batches of {config.batch_size}, {config.optimizer}, "
        f"{config.schedule} up to lr {config.lr:g}, weight decay {config.weight_decay:g}, augment {config.augment}, "
        f"{config.threads} threads"
    )


if __name__ == "__main__":
    main()
