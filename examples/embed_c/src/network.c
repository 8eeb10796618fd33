/* Two blocks of two 3 x 3 convolutions, each with batch normalisation and ReLU, each block with 2 x 2 max pooling at
 * its end; then two linear layers with ReLU between them (`pycnn.models.vgg_small`; dropout does nothing here).
 *
 * In use, batch normalisation is (y - mean) / sqrt(variance + 1e-5) * scale + shift with numbers that no longer change,
 * so it goes into the weights of the convolution before it: one pass over memory less, and no code. Images are taken a
 * few at a time, which keeps what lies between the layers in the cache. */
#include "network.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "tensors.h"

enum { BLOCKS = 2, CONVS = 4, LINEARS = 2, MOST_CHANNELS = 4, LARGEST_SIDE = 1024, AT_ONCE = 32 };

typedef struct layer {
    size_t inputs, outputs;
    float *weight; /* (outputs, inputs, 3, 3) or (outputs, inputs) */
    float *bias;   /* (outputs) */
} layer;

struct network {
    const pycnn_api *pycnn;
    size_t input_shape[3];
    float mean[MOST_CHANNELS], std[MOST_CHANNELS];
    layer convs[CONVS], linears[LINEARS];
    size_t largest; /* values of one image between two layers */
};

static const struct {
    const char *conv, *norm;
} CONV_NAMES[CONVS] = {{"features.0", "features.1"},
                       {"features.3", "features.4"},
                       {"features.8", "features.9"},
                       {"features.11", "features.12"}};
static const char *const LINEAR_NAMES[LINEARS] = {"classifier.0", "classifier.3"};

/* A tensor of float32 with as many axes; NULL, and what is wrong in `fault`. */
static const tensor *find(const tensor_file *file, const char *layer_name, const char *name, int axes, char *fault,
                          size_t room) {
    char full[TENSOR_NAME];
    snprintf(full, sizeof full, "%s.%s", layer_name, name);
    const tensor *t = tensor_find(file, full);
    if (!t || strcmp(t->type, "F32") != 0 || t->axes != axes) {
        snprintf(fault, room, "the model has no tensor %s of type F32 with %d axes", full, axes);
        return NULL;
    }
    return t;
}

/* Room for a layer's numbers, and its weights as the file has them. */
static int take_weight(layer *l, const tensor *weight, size_t inputs, size_t taps, char *fault, size_t room) {
    const size_t count = weight->bytes / sizeof(float);
    l->outputs = weight->shape[0];
    l->inputs = inputs;
    if (weight->shape[1] != inputs || count == 0 || count != l->outputs * inputs * taps) {
        snprintf(fault, room, "%s does not fit the layer before it", weight->name);
        return 0;
    }
    l->weight = malloc(count * sizeof(float));
    l->bias = malloc(l->outputs * sizeof(float));
    if (!l->weight || !l->bias) {
        snprintf(fault, room, "no memory for %s", weight->name);
        return 0;
    }
    for (size_t i = 0; i < count; i++) l->weight[i] = tensor_f32(weight, i);
    return 1;
}

static int read_conv(layer *l, const tensor_file *file, int index, size_t inputs, char *fault, size_t room) {
    static const char *const names[4] = {"weight", "bias", "running_mean", "running_var"};
    const char *norm = CONV_NAMES[index].norm;
    const tensor *weight = find(file, CONV_NAMES[index].conv, "weight", 4, fault, room);
    const tensor *n[4];
    if (!weight || !take_weight(l, weight, inputs, 9, fault, room)) return 0;
    if (weight->shape[2] != 3) {
        snprintf(fault, room, "%s is no 3 x 3 kernel", weight->name);
        return 0;
    }
    for (int i = 0; i < 4; i++) {
        if (!(n[i] = find(file, norm, names[i], 1, fault, room))) return 0;
        if (n[i]->shape[0] != l->outputs) {
            snprintf(fault, room, "%s does not fit the layer before it", n[i]->name);
            return 0;
        }
    }
    for (size_t f = 0; f < l->outputs; f++) {
        const float scale = tensor_f32(n[0], f) / sqrtf(tensor_f32(n[3], f) + 1e-5f);
        l->bias[f] = tensor_f32(n[1], f) - tensor_f32(n[2], f) * scale;
        for (size_t i = 0; i < 9 * inputs; i++) l->weight[f * 9 * inputs + i] *= scale;
    }
    return 1;
}

static int read_linear(layer *l, const tensor_file *file, int index, size_t inputs, char *fault, size_t room) {
    const tensor *weight = find(file, LINEAR_NAMES[index], "weight", 2, fault, room);
    const tensor *bias = find(file, LINEAR_NAMES[index], "bias", 1, fault, room);
    if (!weight || !bias || !take_weight(l, weight, inputs, 1, fault, room)) return 0;
    if (bias->shape[0] != l->outputs) {
        snprintf(fault, room, "%s does not fit its weights", bias->name);
        return 0;
    }
    for (size_t f = 0; f < l->outputs; f++) l->bias[f] = tensor_f32(bias, f);
    return 1;
}

/* "data" of config.json: the shape of an image, mean and deviation of each of its channels. */
static int read_data(json_reader *r, network *net) {
    char name[64];
    size_t sizes = 0, means = 0, stds = 0;
    double number;
    if (!json_open(r, '{')) return 0;
    while (json_more(r, '}')) {
        if (!json_name(r, name, sizeof name)) return 0;
        const int shape = strcmp(name, "input_shape") == 0, mean = strcmp(name, "mean") == 0;
        if (!shape && !mean && strcmp(name, "std") != 0) {
            if (!json_skip(r)) return 0;
            continue;
        }
        size_t *count = shape ? &sizes : mean ? &means : &stds;
        const size_t most = shape ? 3 : MOST_CHANNELS;
        if (!json_open(r, '[')) return 0;
        for (*count = 0; json_more(r, ']'); ++*count) {
            if (*count == most) r->fault = "a shape of more than 3 sizes, or more than 4 channels";
            if (r->fault || !(shape ? json_size(r, &net->input_shape[*count]) : json_number(r, &number))) return 0;
            if (!shape) (mean ? net->mean : net->std)[*count] = (float)number;
        }
    }
    if (r->fault) return 0;
    if (sizes != 3 || means != net->input_shape[0] || stds != means) r->fault = "no input_shape, mean and std that fit";
    for (size_t c = 0; c < stds; c++)
        if (!(net->std[c] > 0)) r->fault = "a std that is not above 0";
    return !r->fault;
}

static int read_config(network *net, const char *path, char *fault, size_t room) {
    char name[64];
    size_t bytes;
    int found = 0;
    unsigned char *memory = read_file(path, &bytes, fault, room);
    if (!memory) return 0;
    json_reader r = json_begin((const char *)memory, bytes);
    json_open(&r, '{');
    while (json_more(&r, '}')) {
        if (!json_name(&r, name, sizeof name)) break;
        if (strcmp(name, "data") == 0) found = read_data(&r, net);
        else json_skip(&r);
    }
    json_end(&r);
    free(memory);
    if (!r.fault && !found) r.fault = "no \"data\" in it";
    if (r.fault) snprintf(fault, room, "%s: %s", path, r.fault);
    return !r.fault;
}

static int read_layers(network *net, const tensor_file *file, char *fault, size_t room) {
    size_t channels = net->input_shape[0], height = net->input_shape[1], width = net->input_shape[2];
    if (strcmp(file->model, "vgg-small") != 0) {
        snprintf(fault, room, "the model is \"%s\", only \"vgg-small\" is known here", file->model);
        return 0;
    }
    if (height > LARGEST_SIDE || width > LARGEST_SIDE) {
        snprintf(fault, room, "images of more than %d pixels a side", LARGEST_SIDE);
        return 0;
    }
    for (int i = 0; i < CONVS; i++) {
        if (!read_conv(&net->convs[i], file, i, channels, fault, room)) return 0;
        channels = net->convs[i].outputs;
        net->largest = channels * height * width > net->largest ? channels * height * width : net->largest;
        if (i % 2) height /= 2, width /= 2;
    }
    const size_t flat = channels * height * width;
    if (!read_linear(&net->linears[0], file, 0, flat, fault, room)) return 0;
    if (!read_linear(&net->linears[1], file, 1, net->linears[0].outputs, fault, room)) return 0;
    net->largest = net->linears[0].outputs > net->largest ? net->linears[0].outputs : net->largest;
    return 1;
}

network *network_open(const pycnn_api *pycnn, const char *folder, char *fault, size_t room) {
    char path[4096];
    tensor_file file;
    network *net = calloc(1, sizeof *net);
    if (!net || strlen(folder) + 32 > sizeof path) {
        snprintf(fault, room, "no memory, or a path of more than %d bytes", (int)sizeof path - 32);
        free(net);
        return NULL;
    }
    net->pycnn = pycnn;
    snprintf(path, sizeof path, "%s/config.json", folder);
    int well = read_config(net, path, fault, room);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (well && (well = tensor_file_open(&file, path, fault, room))) {
        well = read_layers(net, &file, fault, room);
        tensor_file_close(&file);
    }
    if (well) return net;
    network_free(net);
    return NULL;
}

static void free_layers(layer *layers, int count) {
    for (int i = 0; i < count; i++) {
        free(layers[i].weight);
        free(layers[i].bias);
    }
}

void network_free(network *net) {
    if (!net) return;
    free_layers(net->convs, CONVS);
    free_layers(net->linears, LINEARS);
    free(net);
}

const size_t *network_input_shape(const network *net) { return net->input_shape; }

size_t network_classes(const network *net) { return net->linears[LINEARS - 1].outputs; }

static void normalise(const network *net, const uint8_t *images, size_t n, float *x) {
    const size_t channels = net->input_shape[0], pixels = net->input_shape[1] * net->input_shape[2];
    for (size_t plane = 0; plane < n * channels; plane++) {
        const float mean = net->mean[plane % channels], std = net->std[plane % channels];
        for (size_t i = plane * pixels; i < (plane + 1) * pixels; i++) x[i] = ((float)images[i] - mean) / std;
    }
}

static void relu(float *x, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] = x[i] < 0 ? 0 : x[i];
}

static int run_linear(const network *net, const layer *l, size_t n, const float *x, float *y) {
    pycnn_gemm_geometry g = pycnn_matrices((ptrdiff_t)n, (ptrdiff_t)l->outputs, (ptrdiff_t)l->inputs);
    g.b_steps[0] = 1; /* the weights lie as (outputs, inputs) */
    g.b_steps[1] = (ptrdiff_t)l->inputs;
    return net->pycnn->gemm_f32(&g, x, l->weight, l->bias, y, NULL, 0);
}

/* What n images give, which the values of `x` and `y` pass on the way. */
static int run(const network *net, const uint8_t *images, size_t n, float *x, float *y, float *logits) {
    ptrdiff_t height = (ptrdiff_t)net->input_shape[1], width = (ptrdiff_t)net->input_shape[2];
    int status = PYCNN_OK;
    normalise(net, images, n, x);
    for (int i = 0; i < CONVS && !status; i++) {
        const layer *l = &net->convs[i];
        const pycnn_conv_geometry g =
            pycnn_conv2d((ptrdiff_t)n, (ptrdiff_t)l->inputs, height, width, (ptrdiff_t)l->outputs, 3, 3, 1, 1);
        status = net->pycnn->conv_forward_f32(&g, x, l->weight, l->bias, y, NULL, 0);
        if (status) break;
        relu(y, n * l->outputs * (size_t)(height * width));
        if (i % 2) {
            const pycnn_pool_geometry p = pycnn_pool2d((ptrdiff_t)n, (ptrdiff_t)l->outputs, height, width, 2, 2, 0);
            status = net->pycnn->max_pool_forward_f32(&p, y, x, NULL, NULL, 0);
            height /= 2, width /= 2;
        } else {
            float *swap = x;
            x = y, y = swap;
        }
    }
    if (!status) status = run_linear(net, &net->linears[0], n, x, y);
    if (!status) relu(y, n * net->linears[0].outputs);
    return status ? status : run_linear(net, &net->linears[1], n, y, logits);
}

int network_logits(const network *net, const uint8_t *images, size_t n, float *logits) {
    const size_t image = net->input_shape[0] * net->input_shape[1] * net->input_shape[2];
    const size_t room = AT_ONCE * (image > net->largest ? image : net->largest);
    float *memory = malloc(2 * room * sizeof *memory);
    int status = memory ? PYCNN_OK : PYCNN_ERROR_MEMORY;
    for (size_t begin = 0; begin < n && !status; begin += AT_ONCE) {
        const size_t count = n - begin < AT_ONCE ? n - begin : AT_ONCE;
        status = run(net, images + begin * image, count, memory, memory + room, logits + begin * network_classes(net));
    }
    free(memory);
    return status;
}
