/* What AddressSanitizer cannot see by itself; nothing at all in any other build (PYCNN_BUILD=sanitize).
 *
 *      hide(p, n) unhide(p, n)   the n bytes from p may not be touched, may be touched
 *      touched(p, n)             p, after a look at p[0 .. n - 1]: masked loads and stores are not checked otherwise */
#ifndef PYCNN_SANITIZE_H
#define PYCNN_SANITIZE_H

#if defined(__SANITIZE_ADDRESS__)
#define PYCNN_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PYCNN_ASAN
#endif
#endif

#ifdef PYCNN_ASAN
#include <sanitizer/asan_interface.h>
#include <stddef.h>
#define hide(p, n) __asan_poison_memory_region((p), (n))
#define unhide(p, n) __asan_unpoison_memory_region((p), (n))
static inline void *pycnn_look(const void *p, ptrdiff_t bytes) {
    for (ptrdiff_t i = 0; i < bytes; i++) (void)((const volatile char *)p)[i];
    return (void *)p;
}
#define touched(p, n) pycnn_look((p), (ptrdiff_t)(n) * (ptrdiff_t)sizeof *(p))
#else
#define hide(p, n) ((void)0)
#define unhide(p, n) ((void)0)
#define touched(p, n) (p)
#endif

#endif
