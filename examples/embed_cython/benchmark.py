"""Images a second: on one thread, on two, and with scipy.ndimage; each in turns, the medians.

python benchmark.py [--shape 480 640] [--levels 4] [--images 400] [--rounds 9]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import with_scipy
from featurepyramid import Pyramid


def seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def exhaust(stream) -> None:
    for _ in stream:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=(480, 640))
    parser.add_argument("--levels", type=int, default=4)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    some = [rng.random(options.shape, dtype=np.float32) for _ in range(8)]
    images = [some[i % len(some)] for i in range(options.images)]
    fewer = images[: max(1, options.images // 20)]
    pyramid = Pyramid(tuple(options.shape), options.levels)
    difference = max(
        float(np.abs(mine - theirs).max())
        for mine, theirs in zip(pyramid(some[0]), with_scipy.pyramid(some[0], options.levels))
    )
    runs = {
        "one thread": (lambda: exhaust(pyramid.stream(images, 1)), len(images)),
        "two threads": (lambda: exhaust(pyramid.stream(images, 2)), len(images)),
        "scipy": (lambda: [with_scipy.pyramid(image, options.levels) for image in fewer], len(fewer)),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, (run, count) in runs.items():
            taken[name].append(seconds(run) / count)
    middle = {name: statistics.median(times) for name, times in taken.items()}
    for name, value in middle.items():
        print(f"{name:<12} {1e3 * value:8.3f} ms an image {1 / value:8.0f} images/s")
    for faster, slower in (("two threads", "one thread"), ("one thread", "scipy")):
        ratio = statistics.median(long / short for long, short in zip(taken[slower], taken[faster]))
        fastest = min(taken[slower]) / min(taken[faster])
        print(f"{faster} over {slower}: {ratio:.2f}, in their fastest rounds {fastest:.2f}")
    print(f"largest difference from scipy: {difference:.1e}")


if __name__ == "__main__":
    main()
