"""pycnn: convolutional networks on the CPU, from NumPy."""

__version__ = "0.1.0"
