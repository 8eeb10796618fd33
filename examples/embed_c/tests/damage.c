/* Reads files that were damaged on purpose, for AddressSanitizer: neither fault nor luck may touch memory out of bounds.
 *
 *     damage FILE ROUNDS    cuts the file in its header, changes bytes there at random; says how many files were read */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tensors.h"

static uint64_t state = 1;

/* A pseudo-random number below n: the multiplier of MMIX by D. Knuth. */
static unsigned long below(unsigned long n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned long)(state >> 33) % n;
}

static volatile float sink; /* so that the values are read */

/* Writes the bytes to a file, reads that, and touches every value. */
static int survives(const char *path, const unsigned char *bytes, size_t size) {
    char fault[512];
    tensor_file file;
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, size, f) != size || fclose(f)) exit(2);
    if (!tensor_file_open(&file, path, fault, sizeof fault)) return 0;
    for (size_t t = 0; t < file.n_tensors; t++)
        for (size_t i = 0; i < file.tensors[t].bytes / 4; i++) sink += tensor_f32(&file.tensors[t], i);
    tensor_file_close(&file);
    return 1;
}

int main(int argc, char **argv) {
    static const char likely[] = "{}[]\",:\\0123456789-.eEu ";
    char fault[512], path[4096];
    size_t size;
    unsigned long counts[2] = {0, 0};
    if (argc != 3) return 2;
    unsigned char *bytes = read_file(argv[1], &size, fault, sizeof fault);
    if (!bytes || size < 16) return 2;
    snprintf(path, sizeof path, "%s.damaged", argv[1]);
    const size_t header = 8 + (bytes[0] | (size_t)bytes[1] << 8);
    for (size_t cut = 0; cut < header + 64 && cut < size; cut += cut < 64 ? 1 : 7) counts[survives(path, bytes, cut)]++;
    for (long round = atol(argv[2]); round > 0; round--) {
        unsigned char old[4];
        size_t places[4];
        const unsigned long changes = 1 + below(4);
        for (unsigned long i = 0; i < changes; i++) {
            places[i] = below(8) ? 8 + below((unsigned long)header - 8) : below(8);
            old[i] = bytes[places[i]];
            bytes[places[i]] = below(2) ? (unsigned char)likely[below(sizeof likely - 1)] : (unsigned char)below(256);
        }
        counts[survives(path, bytes, size)]++;
        for (unsigned long i = changes; i-- > 0;) bytes[places[i]] = old[i];
    }
    remove(path);
    free(bytes);
    printf("%lu read, %lu refused\n", counts[1], counts[0]);
    return 0;
}
