# Nothing for Python: the other kernels reach it by cimport.
