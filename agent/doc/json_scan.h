/* doc/json_scan.h - the byte loops of the JSON parser: strings, UTF-8, numbers, white space.
 * Included by json*.c only.
 *
 * Thread:  [any]; pure functions.
 * Limits:  never read at or beyond `end`.
 */
#ifndef EA_DOC_JSON_SCAN_H
#define EA_DOC_JSON_SCAN_H

#include "base/base.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define EA_JSON_INLINE static inline __attribute__((always_inline))

/* First byte at or after `at` that is no white space. */
const char *ea_json_skip_space(const char *at, const char *end);

/* Everything up to the space is white space or an error, so compact text costs one comparison. */
EA_JSON_INLINE const char *ea_json_skip_ws(const char *at, const char *end)
{
    return EA_LIKELY(at < end && (unsigned char)*at > ' ') ? at : ea_json_skip_space(at, end);
}

/* Eight bytes at once: the high bit of a byte of the result is set when that byte is '"', '\',
 * below 0x20 or above 0x7f. Bytes after the first hit may be false hits, so only the lowest one
 * counts. */
static inline uint64_t ea_json_special8(uint64_t w)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = UINT64_C(0x8080808080808080);
    uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');

    return (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | (w - ones * 0x20) | w) & high;
}

/* First byte at or after `at` that is '"', '\', a control character or not ASCII; `end` when there
 * is none. */
EA_JSON_INLINE const char *ea_json_scan_plain(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
                  space = _mm_set1_epi8(' ');

    while (end - at >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* as signed bytes, control characters and everything that is not ASCII are below the space
         */
        __m128i m = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
                                 _mm_cmplt_epi8(v, space));
        int mask = _mm_movemask_epi8(m);

        if (mask)
            return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#elif defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    while (end - at >= 8) {
        uint64_t w, hit;

        memcpy(&w, at, sizeof w);
        hit = ea_json_special8(w);
        if (hit)
            return at + __builtin_ctzll(hit) / 8;
        at += 8;
    }
#endif
    for (; at < end; at++) {
        unsigned char c = (unsigned char)*at;

        if (c == '"' || c == '\\' || c < 0x20 || c >= 0x80)
            break;
    }
    return at;
}

/* What is wrong with a token, or NULL; *ret_end is where it ends, or where the fault is. `at` is
 * behind the opening quote; the end is behind the closing one. */
const char *ea_json_check_string(const char *at, const char *end, const char **ret_end,
                                 bool *ret_escapes);
/* Decodes the inside of a checked string into out, which has room for n bytes. Bytes written. */
size_t ea_json_unescape(const char *at, size_t n, char *out);
/* Grammar of a number; *ret_int when it has neither fraction nor exponent. */
const char *ea_json_check_number(const char *at, const char *end, const char **ret_end,
                                 bool *ret_int);

#endif
