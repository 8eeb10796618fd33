"""One file that holds a run at rest: weights, optimiser, random numbers, position, history.

The file is a ``.npz`` of arrays with one JSON note: nothing is pickled, and it is replaced as a whole, so that a kill
at any moment leaves the last complete one.
"""

import hashlib
import json
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from pycnn.io import load, load_metadata, save

Array = npt.NDArray[Any]
State = dict[str, Any]

FORMAT = 1
_NOTE = "pycnn.train"
_ARRAY = "__array__"


def write_checkpoint(path: str | os.PathLike[str], state: State) -> None:
    """Write a state: nested dicts and lists of arrays, numbers, strings, bools and None, with strings as keys.

    Parameters
    ----------
    path : str or path-like
        Ends in ``.npz``.
    state : dict

    Raises
    ------
    TypeError
        A value of another kind.
    OSError
        The file cannot be written; an older one stays as it was.

    Examples
    --------
    >>> import numpy as np
    >>> write_checkpoint("state.npz", {"step": 3, "mean": np.ones(2)})
    >>> read_checkpoint("state.npz")["step"]
    3
    """
    arrays: dict[str, Array] = {}
    tree = _take_arrays(state, "", arrays)
    note = json.dumps({"format": FORMAT, "state": tree}, allow_nan=False)
    save(arrays, path, {_NOTE: note})


def read_checkpoint(path: str | os.PathLike[str]) -> State:
    """Read what `write_checkpoint` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        The file is damaged, or no checkpoint.
    OSError
        It cannot be opened.

    Examples
    --------
    >>> import numpy as np
    >>> write_checkpoint("state.npz", {"step": 3, "mean": np.ones(2)})
    >>> read_checkpoint("state.npz")
    {'step': 3, 'mean': array([1., 1.])}
    """
    note = load_metadata(path).get(_NOTE)
    if note is None:
        raise ValueError(f"{os.fspath(path)}: not a checkpoint of a training run")
    arrays = load(path)
    try:
        content = json.loads(note)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, this version reads {FORMAT}")
        state = _put_arrays(content["state"], arrays)
        if not isinstance(state, dict):
            raise TypeError("no state")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)}: damaged checkpoint: {error}") from None
    return state


def fingerprint(*arrays: Array) -> str:
    """Return a short digest of the arrays' types, shapes and values: equal for equal data, wherever it lies."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.newbyteorder('=').str}{array.shape}".encode())
        for begin in range(0, len(array), 1024):
            part = array[begin : begin + 1024]
            digest.update(np.ascontiguousarray(part, part.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _take_arrays(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """Return `value` with each array replaced by its name in `arrays`."""
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {_ARRAY: name}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or key == _ARRAY:
                raise TypeError(f"checkpoint: keys must be str other than {_ARRAY}, got {key!r} in {name or 'state'}")
        return {key: _take_arrays(item, f"{name}/{key}" if name else key, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_take_arrays(item, f"{name}/{number}", arrays) for number, item in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"checkpoint: {name} must be an array, number or text, got {type(value).__name__}")


def _put_arrays(value: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {key: _put_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_put_arrays(item, arrays) for item in value]
    return value
