"""pycnn: convolutional networks on the CPU, from NumPy."""

from pycnn import functional
from pycnn._config import config, empty_cache, get_include, get_num_threads, set_num_threads, show_config, threads

__version__ = "0.1.0"

__all__ = [
    "config",
    "empty_cache",
    "functional",
    "get_include",
    "get_num_threads",
    "set_num_threads",
    "show_config",
    "threads",
]
