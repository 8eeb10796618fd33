/* The digit network that `pycnn train` saves, run from C: nothing here knows of Python. */
#ifndef DIGITNET_NETWORK_H
#define DIGITNET_NETWORK_H

#define PYCNN_NO_PYTHON
#include <pycnn.h>

typedef struct network network;

/* The network of a run folder (its config.json and model.safetensors), of the kind `vgg-small`; NULL, and what is wrong
 * in `fault`. */
network *network_open(const pycnn_api *pycnn, const char *folder, char *fault, size_t room);
void network_free(network *net);

/* (channels, height, width) of an image. */
const size_t *network_input_shape(const network *net);
size_t network_classes(const network *net);

/* What the network puts out for n images of bytes, (n, channels, height, width), as (n, classes). Returns a status of
 * pycnn. Any number of threads may share a network. */
int network_logits(const network *net, const uint8_t *images, size_t n, float *logits);

#endif
