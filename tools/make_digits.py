"""Write pycnn/data/digits.npz from scikit-learn's copy of the UCI digits.

    pip install scikit-learn && python tools/make_digits.py

The images keep their order and their values 0..16; only the container changes. ATTRIBUTION.txt lies
beside it.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).resolve().parent.parent / "pycnn" / "data" / "digits.npz"


def main() -> None:
    """Write the file."""
    images, labels = load_digits(return_X_y=True)
    x = images.reshape(-1, 8, 8).astype(np.uint8)
    if len(x) != 1797 or x.max() != 16 or not np.array_equal(x.reshape(len(x), 64), images):
        raise SystemExit("this is not the set of 1,797 images with values 0..16")
    # Two 4-bit values do not fit 17 levels, so the bytes stay bytes and deflate does the packing.
    np.savez_compressed(TARGET, x=x, y=labels.astype(np.uint8))
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
