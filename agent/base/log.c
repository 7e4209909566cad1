#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define LINE_MAX_BYTES (8u << 10)
#define SLUGS 64u
#define BURST 20u
#define WINDOW_US 10000000ull

static _Atomic int level_max = EA_LOG_INFO;
static _Atomic bool as_json;

static struct {
    const char *slug;
    ea_mono_us since;
    unsigned n;
} seen[SLUGS];
static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;

void ea_log_init(enum ea_log_level max, bool json)
{
    atomic_store(&level_max, (int)max);
    atomic_store(&as_json, json);
}

bool ea_log_on(enum ea_log_level level)
{
    return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

/* True when the line may be printed; *ret_held gets the lines held back in the window that just
 * ended. */
static bool admit(const char *slug, unsigned *ret_held)
{
    size_t i = 0;
    bool ok = true;

    *ret_held = 0;
    (void)pthread_mutex_lock(&seen_lock);
    while (i < SLUGS && seen[i].slug && strcmp(seen[i].slug, slug) != 0)
        i++;
    if (i < SLUGS) {
        ea_mono_us now = ea_mono_now();

        if (!seen[i].slug || now - seen[i].since > WINDOW_US) {
            *ret_held = seen[i].n > BURST ? seen[i].n - BURST : 0;
            seen[i].slug = slug;
            seen[i].since = now;
            seen[i].n = 0;
        }
        ok = ++seen[i].n <= BURST;
    }
    (void)pthread_mutex_unlock(&seen_lock);
    return ok;
}

static bool is_plain(struct ea_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c <= 0x20 || c == '"' || c == '=' || c == '\\' || c >= 0x7F)
            return false;
    }
    return s.n > 0;
}

/* Text of the outside may hold anything: bytes that are no UTF-8 are shown as '?'. */
static void add_text(struct ea_buf *b, struct ea_str s, bool json)
{
    char copy[2048];

    s.n = EA_MIN(s.n, sizeof(copy));
    if (s.n && !ea_utf8_valid(s.p, s.n)) {
        for (size_t i = 0; i < s.n; i++)
            copy[i] = (s.p[i] & 0x80) ? '?' : s.p[i];
        s.p = copy;
    }
    if (!json && is_plain(s))
        ea_buf_adds(b, s);
    else
        ea_buf_add_json(b, s);
}

static void add_field(struct ea_buf *b, const struct ea_kv *kv, bool json)
{
    if (json)
        ea_buf_addf(b, ",\"%s\":", kv->key);
    else
        ea_buf_addf(b, " %s=", kv->key);
    switch (kv->type) {
    case EA_KV_T_STR:
        add_text(b, kv->s, json);
        break;
    case EA_KV_T_I64:
        ea_buf_addf(b, "%lld", (long long)kv->i);
        break;
    case EA_KV_T_U64:
        ea_buf_addf(b, "%llu", (unsigned long long)kv->u);
        break;
    }
}

static void print_line(enum ea_log_level level, const char *slug, const struct ea_kv *kv, size_t n)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    bool json = atomic_load_explicit(&as_json, memory_order_relaxed);
    struct ea_buf b;
    char when[32];

    ea_buf_init(&b, LINE_MAX_BYTES);
    ea_rfc3339(ea_wall_now(), 3, when);
    if (json)
        ea_buf_addf(&b, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", when, names[level],
                    slug);
    else
        ea_buf_addf(&b, "%s %s %s", when, names[level], slug);
    for (size_t i = 0; i < n; i++) {
        if (kv[i].key)
            add_field(&b, &kv[i], json);
    }
    ea_buf_addz(&b, json ? "}\n" : "\n");
    if (b.p) {
        ssize_t w = write(STDERR_FILENO, b.p, b.n);

        (void)w; /* nowhere left to say that stderr is gone */
    }
    ea_buf_done(&b);
}

void ea_log_kv(enum ea_log_level level, const char *slug, const struct ea_kv *kv, size_t n)
{
    unsigned held;

    if (!ea_log_on(level))
        return;
    bool ok = admit(slug, &held);

    if (held)
        print_line(EA_LOG_WARN, "suppressed",
                   (struct ea_kv[]){EA_KV_Z("event", slug), EA_KV_U64("lines", held)}, 2);
    if (ok)
        print_line(level, slug, kv, n);
}

void ea_log_err(enum ea_log_level level, const char *slug, const struct ea_err *e)
{
    ea_log(level, slug, EA_KV_Z("error", ea_err_text(e)), EA_KV_I64("code", e ? e->code : 0));
}
