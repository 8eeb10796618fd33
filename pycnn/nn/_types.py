"""Type aliases that every layer shares."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
#: A size per spatial axis, or one for all of them.
Ints: TypeAlias = int | Sequence[int]
#: Everything that the functions take as padding: int, one int or one (before, after) pair per axis, or a
#: name.
Padding: TypeAlias = int | str | Sequence[int] | Sequence[Sequence[int]]
Rng: TypeAlias = np.random.Generator | int | None
