"""Real images: data sets from disk, batches and augmentation.

>>> from pycnn import data
>>> digits = data.digits()
>>> mean, std = data.channel_stats(digits.x_train)
>>> for x, y in data.batches(digits.x_train, digits.y_train, 64, rng=0, augment="shift"):
...     x = data.normalize(x, mean, std)
>>> x.shape, x.dtype
((34, 1, 8, 8), dtype('float32'))
"""

from pycnn.data._batches import AUGMENTATIONS, batches, channel_stats, normalize
from pycnn.data._dataset import Dataset, held_back
from pycnn.data._digits import digits
from pycnn.data._images import read_image
from pycnn.data._load import load

__all__ = [
    "AUGMENTATIONS",
    "Dataset",
    "batches",
    "channel_stats",
    "digits",
    "held_back",
    "load",
    "normalize",
    "read_image",
]
