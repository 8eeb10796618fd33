#include "tensors.h"

#include "json.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 30, MOST_TENSORS = 4096, LENGTH_BYTES = 8 };

unsigned char *read_file(const char *path, size_t *bytes, char *fault, size_t room) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        snprintf(fault, room, "%s: %s", path, strerror(errno));
        return NULL;
    }
    const long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    unsigned char *memory = NULL;
    if (size < 0 || size > LARGEST_FILE || fseek(file, 0, SEEK_SET) != 0) {
        snprintf(fault, room, "%s: no file, or one of more than %d bytes", path, LARGEST_FILE);
    } else if (!(memory = malloc((size_t)size + 1))) {
        snprintf(fault, room, "%s: no memory for %ld bytes", path, size);
    } else if (fread(memory, 1, (size_t)size, file) != (size_t)size) {
        snprintf(fault, room, "%s: cannot be read", path);
        free(memory);
        memory = NULL;
    }
    fclose(file);
    *bytes = memory ? (size_t)size : 0;
    return memory;
}

/* Bytes of a value; 0 for an unknown type. */
static size_t value_bytes(const char *type) {
    static const struct {
        char name[8];
        size_t bytes;
    } types[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"U16", 2}, {"I16", 2}, {"F16", 2}, {"BF16", 2},
                 {"U32", 4},  {"I32", 4}, {"F32", 4}, {"U64", 8}, {"I64", 8}, {"F64", 8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i].name) == 0) return types[i].bytes;
    return 0;
}

static int read_shape(json_reader *r, tensor *t) {
    t->axes = 0;
    if (!json_open(r, '[')) return 0;
    while (json_more(r, ']')) {
        if (t->axes == TENSOR_AXES) r->fault = "a tensor of more than 4 axes";
        if (r->fault || !json_size(r, &t->shape[t->axes++])) return 0;
    }
    return !r->fault;
}

static int read_offsets(json_reader *r, size_t offsets[2]) {
    int count = 0;
    if (!json_open(r, '[')) return 0;
    while (json_more(r, ']')) {
        if (count == 2) r->fault = "data_offsets of more than 2 numbers";
        if (r->fault || !json_size(r, &offsets[count++])) return 0;
    }
    if (count < 2 && !r->fault) r->fault = "data_offsets of less than 2 numbers";
    return !r->fault;
}

/* Whether the values, of a known type, lie inside of the data and are as many as the shape says. */
static const char *misplaced(const tensor *t, const size_t offsets[2], size_t data_bytes) {
    size_t count = value_bytes(t->type);
    if (!count) return "a tensor of unknown type";
    if (t->axes < 0) return "a tensor without a shape";
    if (offsets[0] > offsets[1] || offsets[1] > data_bytes) return "a tensor outside of the file (cut short?)";
    for (int axis = 0; axis < t->axes; axis++) {
        if (t->shape[axis] && count > SIZE_MAX / t->shape[axis]) return "a tensor that is too large";
        count *= t->shape[axis];
    }
    return count == offsets[1] - offsets[0] ? NULL : "a tensor whose bytes are not those of its shape";
}

static int read_tensor(json_reader *r, tensor *t, const unsigned char *data, size_t data_bytes) {
    char name[16];
    size_t offsets[2] = {1, 0};
    t->axes = -1;
    if (!json_open(r, '{')) return 0;
    while (json_more(r, '}')) {
        if (!json_name(r, name, sizeof name)) return 0;
        const int known = strcmp(name, "dtype") == 0          ? json_string(r, t->type, sizeof t->type)
                          : strcmp(name, "shape") == 0        ? read_shape(r, t)
                          : strcmp(name, "data_offsets") == 0 ? read_offsets(r, offsets)
                                                              : json_skip(r);
        if (!known) return 0;
    }
    if (r->fault) return 0;
    r->fault = misplaced(t, offsets, data_bytes);
    t->values = data + (r->fault ? 0 : offsets[0]);
    t->bytes = r->fault ? 0 : offsets[1] - offsets[0];
    return !r->fault;
}

static int read_notes(json_reader *r, char *model, size_t room) {
    char name[TENSOR_NAME];
    if (!json_open(r, '{')) return 0;
    while (json_more(r, '}')) {
        if (!json_name(r, name, sizeof name)) return 0;
        if (!(strcmp(name, "model") == 0 ? json_string(r, model, room) : json_skip(r))) return 0;
    }
    return !r->fault;
}

/* A place for one more tensor; their memory doubles when it is full. */
static tensor *another(tensor_file *file, const char *name) {
    const size_t n = file->n_tensors;
    if (n == MOST_TENSORS) return NULL;
    if ((n & (n - 1)) == 0) {
        tensor *more = realloc(file->tensors, (n ? 2 * n : 1) * sizeof *more);
        if (!more) return NULL;
        file->tensors = more;
    }
    tensor *t = &file->tensors[n];
    memset(t, 0, sizeof *t);
    strcpy(t->name, name); /* both have room for TENSOR_NAME */
    file->n_tensors++;
    return t;
}

/* What is wrong with the header and the data behind it; NULL when all is read. */
static const char *read_header(tensor_file *file, const char *header, size_t bytes, const unsigned char *data,
                               size_t data_bytes) {
    char name[TENSOR_NAME];
    size_t used = 0;
    json_reader r = json_begin(header, bytes);
    json_open(&r, '{');
    while (json_more(&r, '}')) {
        if (!json_name(&r, name, sizeof name)) break;
        if (strcmp(name, "__metadata__") == 0) {
            if (!read_notes(&r, file->model, sizeof file->model)) break;
            continue;
        }
        if (tensor_find(file, name)) return "two tensors of one name";
        tensor *t = another(file, name);
        if (!t) return "too many tensors";
        if (!read_tensor(&r, t, data, data_bytes)) break;
        used += t->bytes; /* each at most data_bytes, at most MOST_TENSORS of them: no overflow */
    }
    json_end(&r);
    return r.fault ? r.fault : used == data_bytes ? NULL : "values that belong to no tensor, or to two";
}

int tensor_file_open(tensor_file *file, const char *path, char *fault, size_t room) {
    size_t bytes, header = 0;
    memset(file, 0, sizeof *file);
    if (!(file->memory = read_file(path, &bytes, fault, room))) return 0;
    const char *wrong = NULL;
    for (int i = LENGTH_BYTES - 1; i >= 0 && bytes >= LENGTH_BYTES; i--) {
        wrong = header > SIZE_MAX >> 8 ? "a header longer than memory" : wrong;
        header = header << 8 | file->memory[i];
    }
    if (bytes < LENGTH_BYTES || header > bytes - LENGTH_BYTES) wrong = "cut short, or no safetensors file";
    if (!wrong) {
        const unsigned char *text = file->memory + LENGTH_BYTES;
        wrong = read_header(file, (const char *)text, header, text + header, bytes - LENGTH_BYTES - header);
    }
    if (!wrong) return 1;
    snprintf(fault, room, "%s: %s", path, wrong);
    tensor_file_close(file);
    return 0;
}

void tensor_file_close(tensor_file *file) {
    free(file->tensors);
    free(file->memory);
    memset(file, 0, sizeof *file);
}

const tensor *tensor_find(const tensor_file *file, const char *name) {
    for (size_t i = 0; i < file->n_tensors; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}

float tensor_f32(const tensor *t, size_t i) {
    const unsigned char *b = t->values + 4 * i;
    const uint32_t bits = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
