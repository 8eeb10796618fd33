/* Many calls of one convolution through the table of pycnn.h, for `python -m benchmarks.embed`. */
#define PY_SSIZE_T_CLEAN
#include <pycnn.h>

static const pycnn_api *pycnn;

/* calls(count, x, weight, y, with_workspace): `count` calls on (n, channels, h, w) images; returns the status. */
static PyObject *calls(PyObject *self, PyObject *args) {
    Py_ssize_t count;
    Py_buffer x, weight, y;
    int with_workspace, status = PYCNN_OK;
    size_t bytes = 0;
    void *workspace = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "ny*y*w*p", &count, &x, &weight, &y, &with_workspace)) return NULL;
    const ptrdiff_t image = 8 * 8 * 8 * (ptrdiff_t)sizeof(float);
    const pycnn_conv_geometry g = pycnn_conv2d(x.len / image, 8, 8, 8, 8, 3, 3, 1, 1);
    if (with_workspace) {
        status = pycnn->conv_forward_workspace(&g, sizeof(float), &bytes);
        workspace = PyMem_Malloc(bytes + 1);
        if (!workspace) status = PYCNN_ERROR_MEMORY;
    }
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count && !status; i++)
        status = pycnn->conv_forward_f32(&g, (const float *)x.buf, (const float *)weight.buf, NULL, (float *)y.buf,
                                         workspace, bytes);
    Py_END_ALLOW_THREADS
    PyMem_Free(workspace);
    PyBuffer_Release(&x);
    PyBuffer_Release(&weight);
    PyBuffer_Release(&y);
    return PyLong_FromLong(status);
}

static PyMethodDef methods[] = {{"calls", calls, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "embedded_table", NULL, -1, methods, NULL, NULL, NULL,
                                        NULL};

PyMODINIT_FUNC PyInit_embedded_table(void) {
    pycnn = pycnn_import();
    return pycnn ? PyModule_Create(&definition) : NULL;
}
