"""The pool in threadpoolctl's list: scikit-learn, joblib and others limit the pools of a process through that package.

`pycnn.register_threadpoolctl` adds it; ``import pycnn`` does so where threadpoolctl is imported already, and imports
nothing for it otherwise: a program that does not use it does not pay for it.
"""

import os
import sys
from typing import Any

from pycnn.kernels import _runtime

_registered = False


def register_threadpoolctl() -> None:
    """Let threadpoolctl see and limit the thread pool.

    ``import pycnn`` does it where threadpoolctl (or a package that uses it, such as scikit-learn) is imported already;
    call this where it is imported later. A second call changes nothing. A limit is that of the Python thread which sets
    it, as with OpenMP, and ends with its context.

    Raises
    ------
    ImportError
        If threadpoolctl is not installed, or older than 3.2.

    Examples
    --------
    >>> import pycnn, threadpoolctl
    >>> pycnn.register_threadpoolctl()
    >>> [pool["prefix"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "pycnn"]
    ['_runtime.']
    >>> with threadpoolctl.threadpool_limits(1, user_api="pycnn"):
    ...     pycnn.get_num_threads()
    1
    """
    global _registered
    if not _registered:
        from threadpoolctl import LibController, register

        register(_controller(LibController))
        _registered = True


def register_if_imported() -> None:
    """Register where somebody has imported a threadpoolctl that takes controllers; ``import pycnn`` calls it."""
    if hasattr(sys.modules.get("threadpoolctl"), "register"):
        register_threadpoolctl()


def _controller(base: Any) -> type:
    """Make the controller's class; `base` is not known before threadpoolctl is imported."""

    class PycnnController(base):  # type: ignore[misc]  # its base is not known to the checker
        user_api = internal_api = "pycnn"
        filename_prefixes = ("_runtime.",)

        def get_version(self) -> str:
            from pycnn import __version__

            # threadpoolctl goes by the file's name; an OSError says that this is another package's file.
            if not os.path.samefile(self.filepath, _runtime.__file__):
                raise OSError(f"{self.filepath} is not pycnn's")
            return __version__

        def get_num_threads(self) -> int:
            return _runtime.num_threads()

        def set_num_threads(self, num_threads: int) -> None:
            _runtime.set_local_threads(0)
            if num_threads < _runtime.num_threads():  # else the limit of the process holds, as before a limit
                _runtime.set_local_threads(max(1, num_threads))

    return PycnnController
