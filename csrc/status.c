/* What a status of pycnn.h says in words. */
#define PYCNN_NO_PYTHON
#include "status.h"

#include "pycnn.h"

const char *pycnn_strerror(int status) {
    switch (status) {
        case PYCNN_OK: return "done";
        case PYCNN_ERROR_MEMORY: return "there is no memory for the workspace";
        case PYCNN_ERROR_WORKSPACE: return "the workspace is smaller than the function for its size says";
        case PYCNN_ERROR_POINTER: return "a geometry, a place for a size and an array with values must not be NULL";
        case PYCNN_ERROR_SHAPE: return "sizes must be >= 0 and go together, and arrays have less than 2**62 bytes";
        case PYCNN_ERROR_KERNEL: return "kernel sizes must be >= 1";
        case PYCNN_ERROR_STRIDE: return "strides must be >= 1, and windows at most 2**31 cells apart";
        case PYCNN_ERROR_DILATION: return "dilations must be >= 1, and windows at most 2**31 cells long";
        case PYCNN_ERROR_PADDING: return "padding must be >= 0 and at most 2**31, and for pooling smaller than the window";
        case PYCNN_ERROR_GROUPS: return "groups must be >= 1 and divide the channels and the filters";
        case PYCNN_ERROR_VALUE_BYTES: return "a value must have 4 or 8 bytes";
        case PYCNN_ERROR_WINDOW: return "each window must hold a cell, and with codes at most 255 of them";
        case PYCNN_ERROR_CODES: return "each code must name a cell of its window";
        default: return "no status of pycnn's";
    }
}
