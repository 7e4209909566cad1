/* evidence/slots.c - state and cursor files: two slots, the older one is overwritten, the valid one
 * of the higher generation counts. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "evidence/store.h"

#define MAX_SLOT EA_STATE_SLOT

static uint64_t generation(const uint8_t *slot)
{
    uint64_t g = 0;

    for (int i = 7; i >= 0; i--)
        g = g << 8 | slot[8 + i];
    return g;
}

/* Reads the file and picks the slot. ret gets the raw bytes of the winner. */
static int load(const char *path, size_t slot, bool (*valid)(const uint8_t *), uint8_t *ret,
                struct ea_slots_found *found)
{
    uint8_t raw[EA_SLOT_STEP + MAX_SLOT + 1] = {0};
    EA_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t want = EA_SLOT_STEP + slot;
    ssize_t n;
    int best = -1;

    *found = (struct ea_slots_found){0};
    if (fd < 0)
        return -errno;
    n = pread(fd, raw, want + 1, 0);
    if (n < 0)
        return -errno;
    if (n == 0)
        return -ENOENT;
    if ((size_t)n > want ||
        ea_first_nonzero(raw + slot, EA_SLOT_STEP - slot) != EA_SLOT_STEP - slot)
        found->broken |= 4;
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *s = raw + (size_t)i * EA_SLOT_STEP;

        /* The slot's place follows from its generation, so that a copy of a slot in the other place
         * does not count. */
        if (!valid(s) || (generation(s) & 1) != i)
            found->broken |= 1u << i;
        else if (best < 0 || generation(s) > generation(raw + (size_t)best * EA_SLOT_STEP))
            best = (int)i;
    }
    if (best < 0)
        return -EBADMSG;
    memcpy(ret, raw + (size_t)best * EA_SLOT_STEP, slot);
    return 0;
}

static int store(const char *path, size_t slot, uint64_t gen, const uint8_t *bytes,
                 struct ea_err *err)
{
    EA_AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    int r;

    if (fd < 0)
        return ea_fail(err, -errno, "opening %s: %s", path, strerror(errno));
    r = ea_evidence_io.pwrite_all(fd, bytes, slot, (gen & 1) * EA_SLOT_STEP);
    if (r == 0)
        r = ea_evidence_io.sync(fd);
    return r < 0 ? ea_fail(err, r, "writing %s: %s", path, strerror(-r)) : 0;
}

/* A new file is born with both slots whole. */
static int create(const char *path, size_t slot, const uint8_t *even, const uint8_t *odd,
                  struct ea_err *err)
{
    uint8_t raw[EA_SLOT_STEP + MAX_SLOT] = {0};

    memcpy(raw, even, slot);
    memcpy(raw + EA_SLOT_STEP, odd, slot);
    return ea_write_file(path, raw, EA_SLOT_STEP + slot, 0600, err);
}

/* The file must be written whole when it is missing, empty or too damaged to be trusted with one
 * good slot. */
static bool must_create(const char *path, size_t slot, bool (*valid)(const uint8_t *))
{
    uint8_t raw[MAX_SLOT];
    struct ea_slots_found found;

    return load(path, slot, valid, raw, &found) < 0 || (found.broken & 4);
}

static bool state_valid(const uint8_t *p)
{
    struct ea_state s;

    return ea_state_get(p, &s) == 0;
}

static bool cursor_valid(const uint8_t *p)
{
    struct ea_cursor c;

    return ea_cursor_get(p, &c) == 0;
}

int ea_state_load(const char *dir, struct ea_state *ret, struct ea_slots_found *found)
{
    char path[EA_PATH];
    uint8_t raw[EA_STATE_SLOT];
    int r = ea_path(path, dir, "state");

    *found = (struct ea_slots_found){0};
    if (r == 0)
        r = load(path, EA_STATE_SLOT, state_valid, raw, found);
    return r < 0 ? r : ea_state_get(raw, ret);
}

int ea_state_store(const char *dir, struct ea_state *s, struct ea_err *err)
{
    char path[EA_PATH];
    uint8_t a[EA_STATE_SLOT], b[EA_STATE_SLOT];
    int r = ea_path(path, dir, "state");

    if (r < 0)
        return ea_fail(err, r, "the path of the state is too long");
    s->generation++;
    ea_state_put(a, s);
    if (!must_create(path, EA_STATE_SLOT, state_valid))
        return store(path, EA_STATE_SLOT, s->generation, a, err);
    s->generation++;
    ea_state_put(b, s);
    return create(path, EA_STATE_SLOT, s->generation & 1 ? a : b, s->generation & 1 ? b : a, err);
}

bool ea_sink_name_ok(struct ea_str name)
{
    if (name.n == 0 || name.n > 64 || name.p[0] == '.')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

int ea_cursor_load(const char *dir, const char *sink, struct ea_cursor *ret,
                   struct ea_slots_found *found)
{
    char path[EA_PATH];
    uint8_t raw[EA_CURSOR_SLOT];
    int r = ea_path(path, dir, "cur-%s", sink);

    *found = (struct ea_slots_found){0};
    if (r == 0)
        r = load(path, EA_CURSOR_SLOT, cursor_valid, raw, found);
    return r < 0 ? r : ea_cursor_get(raw, ret);
}

int ea_cursor_store(const char *dir, const char *sink, struct ea_cursor *c, struct ea_err *err)
{
    char path[EA_PATH];
    uint8_t a[EA_CURSOR_SLOT], b[EA_CURSOR_SLOT];
    int r = ea_path(path, dir, "cur-%s", sink);

    if (r < 0)
        return ea_fail(err, r, "the path of a cursor is too long");
    c->generation++;
    ea_cursor_put(a, c);
    if (!must_create(path, EA_CURSOR_SLOT, cursor_valid))
        return store(path, EA_CURSOR_SLOT, c->generation, a, err);
    c->generation++;
    ea_cursor_put(b, c);
    return create(path, EA_CURSOR_SLOT, c->generation & 1 ? a : b, c->generation & 1 ? b : a, err);
}

int ea_cursor_each(const char *dir,
                   int (*fn)(void *arg, const char *sink, int result, const struct ea_cursor *c),
                   void *arg)
{
    DIR *d = opendir(dir);
    struct dirent *de;
    int r = 0;

    if (!d)
        return -errno;
    while (r >= 0 && (de = readdir(d)) != NULL) {
        struct ea_cursor c = {0};
        struct ea_slots_found found;
        int got;

        if (strncmp(de->d_name, "cur-", 4) != 0 || !ea_sink_name_ok(ea_str(de->d_name + 4)) ||
            ea_str_ends(ea_str(de->d_name), EA_STR(".tmp")))
            continue;
        got = ea_cursor_load(dir, de->d_name + 4, &c, &found);
        r = fn(arg, de->d_name + 4, got, &c);
    }
    closedir(d);
    return r < 0 ? r : 0;
}
