#include "json.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { DEEPEST = 64 };

static int fail(json_reader *r, const char *fault) {
    if (!r->fault) r->fault = fault;
    return 0;
}

json_reader json_begin(const char *text, size_t bytes) {
    const json_reader r = {text, text + bytes, NULL, 0};
    return r;
}

/* The next character that is not white space, unread; 0 at the end, which no caller asks for. */
static char peek(json_reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) r->at++;
    return r->at < r->end ? *r->at : '\0';
}

static int expect(json_reader *r, char c, const char *fault) {
    if (r->fault) return 0;
    if (peek(r) != c) return fail(r, fault);
    r->at++;
    return 1;
}

int json_open(json_reader *r, char opening) {
    if (!expect(r, opening, opening == '{' ? "no object where one belongs" : "no array where one belongs")) return 0;
    r->fresh = 1;
    return 1;
}

int json_more(json_reader *r, char closing) {
    if (r->fault) return 0;
    const int fresh = r->fresh;
    r->fresh = 0;
    if (peek(r) == closing) {
        r->at++;
        return 0;
    }
    return fresh || expect(r, ',', "no ',' between two entries");
}

static int hex(json_reader *r, unsigned *code) {
    *code = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        if (r->at == r->end) return fail(r, "text without an end");
        const char c = *r->at;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return fail(r, "\\u without four hexadecimal digits");
        *code = *code << 4 | (unsigned)digit;
    }
    return 1;
}

/* What \u and its digits stand for, with the second half of a pair, as UTF-8. Returns its bytes, 0 after a fault. */
static int escaped_code(json_reader *r, char utf8[4]) {
    unsigned code, low;
    if (!hex(r, &code)) return 0;
    if (code >= 0xD800 && code < 0xDC00) {
        if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u') return fail(r, "half of a pair of \\u");
        r->at += 2;
        if (!hex(r, &low)) return 0;
        if (low < 0xDC00 || low > 0xDFFF) return fail(r, "half of a pair of \\u");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
        return fail(r, "half of a pair of \\u");
    }
    const int bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[5] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    for (int i = bytes - 1; i > 0; i--, code >>= 6) utf8[i] = (char)(0x80 | (code & 0x3F));
    utf8[0] = (char)(first[bytes] | code);
    return bytes;
}

/* One character of a text, as UTF-8. Returns its bytes, 0 after a fault. */
static int character(json_reader *r, char utf8[4]) {
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    utf8[0] = *r->at++;
    if ((unsigned char)utf8[0] < 0x20) return fail(r, "a control character in a text");
    if (utf8[0] != '\\') return 1;
    if (r->at == r->end) return fail(r, "text without an end");
    const char name = *r->at++;
    if (name == 'u') return escaped_code(r, utf8);
    for (const char *e = escapes; *e; e += 2) {
        if (*e == name) {
            utf8[0] = e[1];
            return 1;
        }
    }
    return fail(r, "an unknown escape in a text");
}

/* `text` NULL: unread. */
static int string(json_reader *r, char *text, size_t room) {
    char utf8[4];
    size_t used = 0;
    if (!expect(r, '"', "no text where one belongs")) return 0;
    while (r->at < r->end && *r->at != '"') {
        const int bytes = character(r, utf8);
        if (!bytes) return 0;
        if (!text) continue;
        if ((size_t)bytes >= room - used) return fail(r, "a text that is too long");
        memcpy(text + used, utf8, (size_t)bytes);
        used += (size_t)bytes;
    }
    if (r->at == r->end) return fail(r, "text without an end");
    r->at++;
    if (text) text[used] = '\0';
    return 1;
}

int json_string(json_reader *r, char *text, size_t room) { return string(r, text, room); }

int json_name(json_reader *r, char *text, size_t room) {
    return string(r, text, room) && expect(r, ':', "no ':' behind a name");
}

static int digit(const json_reader *r) { return r->at < r->end && *r->at >= '0' && *r->at <= '9'; }

/* By hand, as strtod() reads a decimal point only where the locale has one. Right to a few units in the last place. */
int json_number(json_reader *r, double *value) {
    if (r->fault) return 0;
    double digits = 0;
    int exponent = 0, given = 0, sign = 1;
    const int negative = peek(r) == '-';
    if (negative) r->at++;
    if (!digit(r)) return fail(r, "no number where one belongs");
    for (; digit(r); r->at++) digits = digits * 10 + (*r->at - '0');
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!digit(r)) return fail(r, "no digit behind a decimal point");
        for (; digit(r); r->at++) {
            if (digits > 1e17) continue; /* no longer seen in a double */
            digits = digits * 10 + (*r->at - '0');
            exponent--;
        }
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        if (r->at < r->end && (*r->at == '-' || *r->at == '+')) sign = *r->at++ == '-' ? -1 : 1;
        if (!digit(r)) return fail(r, "no digit in an exponent");
        for (; digit(r); r->at++) given = given < 9999 ? given * 10 + (*r->at - '0') : given;
        exponent += sign * given;
    }
    *value = (negative ? -1 : 1) * (exponent < 0 ? digits / pow(10, -exponent) : digits * pow(10, exponent));
    return 1;
}

int json_size(json_reader *r, size_t *value) {
    double number;
    if (!json_number(r, &number)) return 0;
    if (!(number >= 0 && number <= 9007199254740992.0 && number == floor(number) && number <= (double)(SIZE_MAX / 2)))
        return fail(r, "no size where one belongs");
    *value = (size_t)number;
    return 1;
}

static int word(json_reader *r, const char *expected) {
    const size_t length = strlen(expected);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, expected, length) != 0) return fail(r, "an unknown word");
    r->at += length;
    return 1;
}

static int plain(json_reader *r) {
    double number;
    const char c = peek(r);
    if (c == '"') return string(r, NULL, 0);
    if (c == 't' || c == 'f' || c == 'n') return word(r, c == 't' ? "true" : c == 'f' ? "false" : "null");
    return json_number(r, &number);
}

/* Without recursion: the kinds of the containers that are open lie in `closing`. */
int json_skip(json_reader *r) {
    char closing[DEEPEST];
    int depth = 0;
    do {
        const char c = r->fault ? '\0' : peek(r);
        if (c == '{' || c == '[') {
            if (depth == DEEPEST) return fail(r, "too many values in one another");
            closing[depth++] = c == '{' ? '}' : ']';
            json_open(r, c);
        } else if (!plain(r)) {
            return 0;
        }
        while (depth && !json_more(r, closing[depth - 1])) {
            if (r->fault) return 0;
            depth--;
        }
        if (depth && closing[depth - 1] == '}' && !(string(r, NULL, 0) && expect(r, ':', "no ':' behind a name")))
            return 0;
    } while (depth);
    return !r->fault;
}

int json_end(json_reader *r) {
    if (r->fault) return 0;
    peek(r);
    return r->at == r->end || fail(r, "something behind the last value");
}
