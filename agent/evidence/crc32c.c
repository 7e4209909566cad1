/* evidence/crc32c.c - CRC-32C by table (slicing by 8) and by SSE4.2. */
#include "evidence/crc32c.h"

#include <pthread.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#define POLY 0x82f63b78u

static uint32_t table[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = (c & 1) ? (c >> 1) ^ POLY : c >> 1;
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 0xff];
}

uint32_t ea_crc32c_table(uint32_t crc, const void *p, size_t n)
{
    const uint8_t *at = p;

    EA_ASSERT(pthread_once(&once, make_table) == 0);
    crc = ~crc;
    while (n >= 8) {
        uint32_t lo = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                             (uint32_t)at[3] << 24);

        crc = table[7][lo & 0xff] ^ table[6][(lo >> 8) & 0xff] ^ table[5][(lo >> 16) & 0xff] ^
              table[4][lo >> 24] ^ table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^
              table[0][at[7]];
        at += 8;
        n -= 8;
    }
    while (n--)
        crc = (crc >> 8) ^ table[0][(crc ^ *at++) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const uint8_t *p,
                                                            size_t n)
{
    uint64_t c = (uint32_t)~crc;

    while (n >= 8) {
        uint64_t word;

        memcpy(&word, p, 8);
        c = _mm_crc32_u64(c, word);
        p += 8;
        n -= 8;
    }
    while (n--)
        c = _mm_crc32_u8((uint32_t)c, *p++);
    return ~(uint32_t)c;
}
#endif

bool ea_crc32c_hw(uint32_t crc, const void *p, size_t n, uint32_t *ret)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        *ret = crc_sse42(crc, p, n);
        return true;
    }
#endif
    return false;
}

uint32_t ea_crc32c(uint32_t crc, const void *p, size_t n)
{
    uint32_t r;

    return ea_crc32c_hw(crc, p, n, &r) ? r : ea_crc32c_table(crc, p, n);
}
