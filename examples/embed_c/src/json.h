/* A reader of JSON text: steps over it once, allocates nothing, never reads past its end.
 *
 * The first fault ends the reading: every function then returns 0, and `fault` says what is wrong. */
#ifndef DIGITNET_JSON_H
#define DIGITNET_JSON_H

#include <stddef.h>

typedef struct json_reader {
    const char *at, *end;
    const char *fault; /* NULL while all is well */
    int fresh;         /* an object or array has just been opened */
} json_reader;

json_reader json_begin(const char *text, size_t bytes);

/* The opening '{' or '['. */
int json_open(json_reader *r, char opening);

/* Whether another entry follows before `closing`; eats the comma between two, or `closing` after the last. */
int json_more(json_reader *r, char closing);

/* Text as UTF-8 with a 0 at its end; a fault where it does not fit. */
int json_string(json_reader *r, char *text, size_t room);

/* The name of the next entry of an object, and the ':' behind it. */
int json_name(json_reader *r, char *text, size_t room);

int json_number(json_reader *r, double *value);

/* A whole number from 0 to 2**53, which is as far as JSON's numbers are exact everywhere. */
int json_size(json_reader *r, size_t *value);

/* Any value, unread. */
int json_skip(json_reader *r);

/* Whether nothing but white space is left. */
int json_end(json_reader *r);

#endif
