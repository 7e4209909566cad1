/* web/session.c - browser sessions. */
#include "web/session.h"

#include <pthread.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/limits.h"

#define LIFE_US (12ull * 3600 * 1000000)

struct session {
    char id[EA_SESSION_ID_LEN + 1];
    char *token;
    ea_mono_us begun; /* 0 = free */
};

struct ea_sessions {
    pthread_mutex_t lock;
    struct session s[EA_MAX_WEB_SESSIONS];
};

void ea_session_forget(char *token)
{
    if (token)
        explicit_bzero(token, strlen(token));
    free(token);
}

static void clear(struct session *s)
{
    ea_session_forget(s->token);
    memset(s, 0, sizeof(*s));
}

struct ea_sessions *ea_sessions_new(void)
{
    struct ea_sessions *s = ea_xalloc(sizeof(*s));

    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void ea_sessions_free(struct ea_sessions *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < EA_COUNT(s->s); i++)
        clear(&s->s[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* In a time that does not depend on where they differ. */
static bool same_id(const char *have, struct ea_str given)
{
    unsigned char diff = 0;

    if (given.n != EA_SESSION_ID_LEN)
        return false;
    for (size_t i = 0; i < EA_SESSION_ID_LEN; i++)
        diff |= (unsigned char)(have[i] ^ given.p[i]);
    return diff == 0;
}

void ea_session_begin(struct ea_sessions *s, struct ea_str token,
                      char ret_id[EA_SESSION_ID_LEN + 1])
{
    uint8_t bytes[EA_SESSION_ID_LEN / 2];
    struct session *oldest;

    EA_ASSERT(getrandom(bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes));
    ea_hex(bytes, sizeof(bytes), ret_id);
    pthread_mutex_lock(&s->lock);
    oldest = &s->s[0];
    for (size_t i = 1; i < EA_COUNT(s->s); i++)
        if (s->s[i].begun < oldest->begun)
            oldest = &s->s[i];
    clear(oldest);
    memcpy(oldest->id, ret_id, EA_SESSION_ID_LEN + 1);
    oldest->token = ea_str_dupz(token);
    oldest->begun = ea_mono_now();
    pthread_mutex_unlock(&s->lock);
}

/* With the lock held. NULL when there is none, or it is too old. */
static struct session *find(struct ea_sessions *s, struct ea_str id)
{
    for (size_t i = 0; i < EA_COUNT(s->s); i++)
        if (s->s[i].begun && same_id(s->s[i].id, id)) {
            if (ea_mono_now() - s->s[i].begun < LIFE_US)
                return &s->s[i];
            clear(&s->s[i]);
        }
    return NULL;
}

void ea_session_end(struct ea_sessions *s, struct ea_str id)
{
    struct session *found;

    pthread_mutex_lock(&s->lock);
    found = find(s, id);
    if (found)
        clear(found);
    pthread_mutex_unlock(&s->lock);
}

char *ea_session_token(struct ea_sessions *s, struct ea_str id)
{
    struct session *found;
    char *token;

    pthread_mutex_lock(&s->lock);
    found = find(s, id);
    token = found ? ea_str_dupz(ea_str(found->token)) : NULL;
    pthread_mutex_unlock(&s->lock);
    return token;
}
