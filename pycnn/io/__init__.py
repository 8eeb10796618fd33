"""Model files: arrays by name, written whole or not at all, read without trusting a byte.

Two formats, chosen by the suffix of the path:

``.safetensors``
    the format PyTorch models are exchanged in; needs the ``safetensors`` package
    (``pip install "pycnn[train]"``).
``.npz``
    NumPy's own, always there; `numpy.load` opens the file too.

Nothing here ever pickles or unpickles. A malformed file is one `ValueError` that names the path and the rule
it breaks, raised before memory is set aside for what the file claims to hold; a path that cannot be opened or
written is an `OSError`.

>>> import os, tempfile
>>> import numpy as np
>>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
>>> save({"fc.weight": np.ones((2, 3), np.float32)}, path, metadata={"epoch": "3"})
>>> load(path)["fc.weight"].shape, load_metadata(path)
((2, 3), {'epoch': '3'})
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pycnn.io import _npz, _safetensors
from pycnn.io._files import Path, atomic_write, describing, open_regular, path_name

__all__ = ["atomic_write", "load", "load_into", "load_metadata", "save"]

SUFFIXES = (".safetensors", ".npz")


class _HasStateDict(Protocol):
    def state_dict(self) -> Mapping[str, Any]: ...


class _TakesStateDict(Protocol):
    def load_state_dict(self, state: dict[str, npt.NDArray[Any]], /) -> Any: ...


def save(model: _HasStateDict | Mapping[str, Any], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the arrays of a model, or of a mapping, to one file.

    The file is complete or untouched at every moment (see `atomic_write`). Equal arrays and metadata give
    equal bytes, whenever and wherever they are saved.

    Parameters
    ----------
    model : Module or mapping of str to array
        Anything with ``state_dict()``, or the mapping itself. Arrays of bool, (u)int8 to (u)int64, float16,
        float32 or float64, of any shape; they keep their type. Names are not empty, at most 1,000 bytes, and
        hold no backslash, NUL or ``..`` part, so that each format can carry them.
    path : str or path-like
        Ends in ``.safetensors`` or ``.npz``.
    metadata : mapping of str to str, optional
        Notes kept beside the arrays; `load_metadata` gives them back.

    Raises
    ------
    ValueError
        Unknown suffix, a name that cannot be stored.
    TypeError
        A value that is not a numeric array, metadata that is not text.
    ImportError
        ``.safetensors`` without the package.
    OSError
        The file cannot be written; what was there before is unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import io
    >>> io.save({"weight": np.ones(2)}, "m.npz", metadata={"epoch": "3"})
    >>> io.load("m.npz")
    {'weight': array([1., 1.])}
    """
    name = path_name("save", path)
    suffix = _suffix("save", name)
    state = _checked_state(model)
    notes = _checked_metadata(metadata)
    if suffix == ".safetensors":
        blob = _safetensors.dump(state, notes)
        with atomic_write(name) as file:
            file.write(blob)
    else:
        with atomic_write(name) as file:
            _npz.write(file, state, notes)


def load(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of a ``.safetensors`` or ``.npz`` file.

    Arrays keep the type they were saved with, except that float16 and bfloat16 tensors of a ``.safetensors``
    file come back as float32, which holds all their values exactly (the layers compute in float32 or
    float64). They are new, writable, C-contiguous arrays in the order of the file.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ValueError
        Unknown suffix, or the file breaks its format: empty, truncated, a header beyond the end of the file
        or over 100 MB, bad or repeated JSON keys, data that overlaps, leaves holes or does not match shape
        and type, object arrays, a zip member that is repeated, misnamed, damaged or expands beyond
        64 MiB + 256 times the file.
    ImportError
        ``.safetensors`` without the package.
    OSError
        The path is missing, a directory, a pipe, or not readable.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import io
    >>> io.save({"weight": np.ones(2)}, "m.npz", metadata={"epoch": "3"})
    >>> io.load("m.npz")["weight"]
    array([1., 1.])
    """
    name = path_name("load", path)
    suffix = _suffix("load", name)
    with describing("load", name), open_regular(name) as file:
        if suffix == ".safetensors":
            return _safetensors.parse(file.read())
        return _npz.read(file)


def load_metadata(path: Path) -> dict[str, str]:
    """Read the notes that `save` stored beside the arrays; ``{}`` if there are none.

    Needs no extra package. Raises as `load` does; of an ``.npz`` file only the notes are read.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import io
    >>> io.save({"weight": np.ones(2)}, "m.npz", metadata={"epoch": "3"})
    >>> io.load_metadata("m.npz")
    {'epoch': '3'}
    """
    name = path_name("load_metadata", path)
    suffix = _suffix("load_metadata", name)
    with describing("load_metadata", name), open_regular(name) as file:
        if suffix == ".safetensors":
            return _safetensors.parse_metadata(file)
        return _npz.read_metadata(file)


def load_into(model: _TakesStateDict, path: Path) -> None:
    """Load a file into a model: ``model.load_state_dict(load(path))``.

    Parameters
    ----------
    model : Module
        Or anything else with ``load_state_dict``.
    path : str or path-like

    Raises
    ------
    ValueError
        As `load`; or names or shapes do not fit the model, which then keeps what it had.
    OSError
        As `load`.

    Examples
    --------
    >>> from pycnn import io, nn
    >>> io.save(nn.Linear(2, 1, rng=0), "m.npz")
    >>> net = nn.Linear(2, 1, rng=1)
    >>> io.load_into(net, "m.npz")
    >>> bool((net.weight.data == io.load("m.npz")["weight"]).all())
    True
    """
    name = path_name("load_into", path)
    state = load(name)
    with describing("load_into", name):
        model.load_state_dict(state)


def _suffix(function: str, name: str) -> str:
    suffix = PurePath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{function}: path must end in .safetensors or .npz, got {name!r}")
    return suffix


def _checked_state(model: _HasStateDict | Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    source: Any = model.state_dict() if hasattr(model, "state_dict") else model
    if not isinstance(source, Mapping):
        raise TypeError(f"save: model must have state_dict() or be a mapping, got {type(model).__name__}")
    return {_checked_key(key): _checked_array(key, value) for key, value in source.items()}


def _checked_key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"save: names must be str, got {key!r}")
    _npz.check_name(f"save: name {key!r}", key)
    return key


def _checked_array(key: str, value: object) -> npt.NDArray[Any]:
    """`value` as a C-contiguous little-endian array; scalars stay 0-d."""
    if isinstance(value, np.ma.MaskedArray) or not (
        isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "__array__")
    ):
        raise TypeError(f"save: {key!r} must be an array, got {type(value).__name__}")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"save: {key!r} must be bool, integer or float of at most 8 bytes, got {array.dtype}")
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _checked_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    notes = dict(metadata or {})
    for key, value in notes.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise TypeError(f"save: metadata must map str to str, got {key!r}: {value!r}")
        try:
            (key + value).encode()
        except UnicodeEncodeError:
            raise ValueError(f"save: metadata must be valid Unicode, got {key!r}: {value!r}") from None
    return notes
