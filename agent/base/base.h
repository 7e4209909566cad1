/* base/base.h - strings, errors, attributes: what every file of the agent uses.
 *
 * Thread:  [any]; everything here is a value or a pure function.
 * Never:   logs, allocates behind the caller's back.
 */
#ifndef EA_BASE_BASE_H
#define EA_BASE_BASE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EA_MUST_CHECK __attribute__((warn_unused_result))
#define EA_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define EA_UNUSED __attribute__((unused))
#define EA_NORETURN __attribute__((noreturn))
#define EA_LIKELY(x) __builtin_expect(!!(x), 1)
#define EA_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define EA_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define EA_MIN(a, b) ((a) < (b) ? (a) : (b))
#define EA_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Scope resources: EA_AUTO_FD int fd = -1; EA_AUTO_FREE char *p = NULL; released in reverse order
 * of declaration. */
#define EA_AUTO_FD __attribute__((cleanup(ea_auto_close)))
#define EA_AUTO_FREE __attribute__((cleanup(ea_auto_free)))
#define EA_AUTO(fn) __attribute__((cleanup(fn)))
void ea_auto_close(int *fd);
void ea_auto_free(void *pp);

/* ---- strings: pointer and length, borrowed, not NUL-terminated ---- */

struct ea_str {
    const char *p;
    size_t n;
};

#define EA_STR(lit) ((struct ea_str){(lit), sizeof(lit) - 1})
#define EA_STR_NULL ((struct ea_str){NULL, 0})
/* For printf: "%.*s" with EA_STRF(s). */
#define EA_STRF(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct ea_str ea_str(const char *z)
{
    return (struct ea_str){z, z ? strlen(z) : 0};
}
static inline struct ea_str ea_strn(const char *p, size_t n)
{
    return (struct ea_str){p, n};
}
static inline bool ea_str_eq(struct ea_str a, struct ea_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool ea_str_is(struct ea_str a, const char *z)
{
    size_t n = strlen(z);

    return a.n == n && memcmp(a.p ? a.p : "", z, n) == 0;
}
static inline bool ea_str_empty(struct ea_str a)
{
    return a.n == 0;
}
/* Byte order, as memcmp then length: <0, 0, >0. */
int ea_str_cmp(struct ea_str a, struct ea_str b);
bool ea_str_starts(struct ea_str s, struct ea_str prefix);
bool ea_str_ends(struct ea_str s, struct ea_str suffix);
/* Index of needle in s, or -1. */
ptrdiff_t ea_str_find(struct ea_str s, struct ea_str needle);
struct ea_str ea_str_trim(struct ea_str s);
/* Splits off the part before `sep`; *rest becomes what follows (empty, p NULL when sep is absent).
 */
struct ea_str ea_str_cut(struct ea_str s, char sep, struct ea_str *rest);
/* True when s is one of the words of "a|b|c". */
bool ea_str_is_one_of(struct ea_str s, const char *choices);
/* Decimal integer, the whole string, optional '-'. 0, -EINVAL, -ERANGE. */
EA_MUST_CHECK int ea_str_to_i64(struct ea_str s, int64_t *ret);
EA_MUST_CHECK int ea_str_to_u64(struct ea_str s, uint64_t *ret);
/* "100ms", "5s", "10m", "24h", "7d" -> microseconds. 0, -EINVAL, -ERANGE. */
EA_MUST_CHECK int ea_str_to_duration_us(struct ea_str s, uint64_t *ret_us);
/* "64Mi", "1Gi", "4096" -> bytes. 0, -EINVAL, -ERANGE. */
EA_MUST_CHECK int ea_str_to_bytes(struct ea_str s, uint64_t *ret);
/* Whole text is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool ea_utf8_valid(const char *p, size_t n);
/* Bytes of the well-formed sequence at p (Unicode, table 3-7: shortest form, no surrogates), 0 when
 * it is none; left >= 1. */
unsigned ea_utf8_len(const char *p, size_t left);
/* Encodes one code point into out[4]; number of bytes, 0 when cp is no scalar value. */
unsigned ea_utf8_put(uint32_t cp, char out[4]);
/* NUL-terminated heap copy; the caller frees. Aborts when memory is out. */
char *ea_str_dupz(struct ea_str s);
/* SipHash-like keyed hash for maps of outside keys (key chosen once per process). */
uint64_t ea_hash(const void *p, size_t n);
/* Lower-case hex; out gets 2n characters and a NUL. */
void ea_hex(const uint8_t *p, size_t n, char *out);
/* 0 or -EINVAL (odd length, not hex, more than cap). */
EA_MUST_CHECK int ea_unhex(struct ea_str s, uint8_t *out, size_t cap, size_t *ret_n);
/* Base64 (RFC 4648, padded). out: heap, NUL-terminated, the caller frees. */
char *ea_base64(const uint8_t *p, size_t n);
/* Standard or URL alphabet, padding optional, white space skipped. Heap, caller frees. 0, -EINVAL.
 */
EA_MUST_CHECK int ea_unbase64(struct ea_str s, uint8_t **ret_p, size_t *ret_n);

/* ---- errors: a value of the caller, last parameter, may be NULL ---- */

struct ea_err {
    int code;       /* the negative errno returned; 0 = nothing failed */
    char text[508]; /* one sentence, no trailing newline; cut when longer */
};

/* Fills e (when not NULL) and returns code (negative errno). */
int ea_fail(struct ea_err *e, int code, const char *fmt, ...) EA_PRINTF(3, 4);
#ifdef __clang_analyzer__
/* The analyser reads one file at a time: without this a failure might return 0 for all it knows. */
#define ea_fail(e, code, ...) ((void)ea_fail(e, code, __VA_ARGS__), (code))
#endif
/* Puts context before the text that is there ("reading x: …"); returns e->code. */
int ea_wrap(struct ea_err *e, const char *fmt, ...) EA_PRINTF(2, 3);
static inline const char *ea_err_text(const struct ea_err *e)
{
    return e && e->text[0] ? e->text : "no further detail";
}

/* Programmer errors only; always on. */
#define EA_ASSERT(c) ((c) ? (void)0 : ea_assert_failed(#c, __FILE__, __LINE__))
EA_NORETURN void ea_assert_failed(const char *what, const char *file, int line);

/* Start-up and fixed sizes only: abort when memory is out. Input-sized memory comes from arenas and
 * buffers. */
void *ea_xalloc(size_t n); /* zeroed */
void *ea_xrealloc(void *old, size_t n);
char *ea_xasprintf(const char *fmt, ...) EA_PRINTF(1, 2);

#endif
