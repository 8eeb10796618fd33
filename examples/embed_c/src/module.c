/* digitnet: network.h for Python. Arrays come and go by the buffer protocol, so NumPy is not needed to build. */
#define PY_SSIZE_T_CLEAN
#include <pycnn.h>

#include "network.h"

static const pycnn_api *pycnn;

typedef struct {
    PyObject_HEAD
    network *net;
} Network;

static PyObject *network_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"folder", NULL};
    char fault[4608];
    PyObject *folder;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&:Network", names, PyUnicode_FSConverter, &folder)) return NULL;
    network *net;
    Py_BEGIN_ALLOW_THREADS
    net = network_open(pycnn, PyBytes_AS_STRING(folder), fault, sizeof fault);
    Py_END_ALLOW_THREADS
    Py_DECREF(folder);
    if (!net) {
        PyErr_SetString(PyExc_ValueError, fault);
        return NULL;
    }
    Network *self = (Network *)type->tp_alloc(type, 0);
    if (self) self->net = net;
    else network_free(net);
    return (PyObject *)self;
}

static void network_dealloc(PyObject *self) {
    network_free(((Network *)self)->net);
    Py_TYPE(self)->tp_free(self);
}

/* How many images the two buffers hold; -1 with an exception set where they do not fit the network or each other. */
static Py_ssize_t count_images(const network *net, const Py_buffer *images, const Py_buffer *out) {
    const size_t *shape = network_input_shape(net);
    const Py_ssize_t image = (Py_ssize_t)(shape[0] * shape[1] * shape[2]);
    const Py_ssize_t row = (Py_ssize_t)(network_classes(net) * sizeof(float));
    if (strcmp(images->format, "B") != 0 || images->len % image != 0) {
        PyErr_Format(PyExc_ValueError, "images must be uint8, %zu x %zu x %zu each", shape[0], shape[1], shape[2]);
        return -1;
    }
    const Py_ssize_t n = images->len / image;
    if (strcmp(out->format, "f") != 0 || out->len % row != 0 || out->len / row != n) {
        PyErr_Format(PyExc_ValueError, "out must be float32, %zd x %zu", n, network_classes(net));
        return -1;
    }
    return n;
}

static PyObject *network_call_logits(PyObject *self, PyObject *args) {
    const network *net = ((Network *)self)->net;
    PyObject *images_object, *out_object;
    Py_buffer images, out;
    int status = PYCNN_OK;
    if (!PyArg_ParseTuple(args, "OO:logits", &images_object, &out_object)) return NULL;
    if (PyObject_GetBuffer(images_object, &images, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) return NULL;
    if (PyObject_GetBuffer(out_object, &out, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)) {
        PyBuffer_Release(&images);
        return NULL;
    }
    const Py_ssize_t n = count_images(net, &images, &out);
    if (n >= 0) {
        Py_BEGIN_ALLOW_THREADS
        status = network_logits(net, images.buf, (size_t)n, out.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&images);
    PyBuffer_Release(&out);
    if (n < 0) return NULL;
    if (status) return PyErr_Format(PyExc_RuntimeError, "pycnn: %s", pycnn->strerror(status));
    Py_RETURN_NONE;
}

static PyObject *get_input_shape(PyObject *self, void *unused) {
    const size_t *shape = network_input_shape(((Network *)self)->net);
    (void)unused;
    return Py_BuildValue("nnn", (Py_ssize_t)shape[0], (Py_ssize_t)shape[1], (Py_ssize_t)shape[2]);
}

static PyObject *get_classes(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(network_classes(((Network *)self)->net));
}

static PyMethodDef network_methods[] = {
    {"logits", network_call_logits, METH_VARARGS,
     "logits(images, out)\n--\n\nWrite what the network makes of uint8 images (N, C, H, W) to float32 (N, classes)."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef network_attributes[] = {
    {"input_shape", get_input_shape, NULL, "(C, H, W) of an image", NULL},
    {"classes", get_classes, NULL, "how many numbers an image gives", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject network_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "digitnet.Network",
    .tp_doc = "Network(folder)\n--\n\nThe network that `pycnn train` left in a folder.",
    .tp_basicsize = sizeof(Network),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = network_new,
    .tp_dealloc = network_dealloc,
    .tp_methods = network_methods,
    .tp_getset = network_attributes,
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "digitnet",
    .m_doc = "The digit network of `pycnn train`, computed in C.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit_digitnet(void) {
    if (!(pycnn = pycnn_import()) || PyType_Ready(&network_type)) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
#ifdef Py_GIL_DISABLED
    PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    if (PyModule_AddObjectRef(module, "Network", (PyObject *)&network_type) == 0) return module;
    Py_DECREF(module);
    return NULL;
}
