/* The tensors of a safetensors file: 8 bytes with the length of a JSON header, the header, and the values. */
#ifndef DIGITNET_TENSORS_H
#define DIGITNET_TENSORS_H

#include <stddef.h>

enum { TENSOR_AXES = 4, TENSOR_NAME = 128 };

typedef struct tensor {
    char name[TENSOR_NAME];
    char type[8]; /* "F32", "I64", ... */
    int axes;
    size_t shape[TENSOR_AXES];
    const unsigned char *values; /* little-endian, in C order; not aligned */
    size_t bytes;
} tensor;

typedef struct tensor_file {
    unsigned char *memory;
    tensor *tensors;
    size_t n_tensors;
    char model[32]; /* what the file's notes call it, "" where they do not */
} tensor_file;

/* The bytes of a whole file, to be given to free(); NULL, and what is wrong in `fault`. */
unsigned char *read_file(const char *path, size_t *bytes, char *fault, size_t room);

/* 1; 0 and what is wrong in `fault`. */
int tensor_file_open(tensor_file *file, const char *path, char *fault, size_t room);
void tensor_file_close(tensor_file *file);

/* NULL where the file has no such tensor. */
const tensor *tensor_find(const tensor_file *file, const char *name);

/* Value i of a tensor of type F32. */
float tensor_f32(const tensor *t, size_t i);

#endif
