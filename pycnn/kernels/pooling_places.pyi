from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

# By the name of the C type: "float" or "double".
scatter_add: Mapping[str, Callable[[_Array, _Array, _Array], None]]

def scatter(x: _Array, places: _Array, y: _Array) -> None: ...
def gather(dy: _Array, places: _Array, dx: _Array) -> None: ...
def codes_inside(codes: _Array, numbers: tuple[int, ...], cells: tuple[int, ...]) -> bool: ...
def places_inside(places: _Array, cells: int) -> bool: ...
