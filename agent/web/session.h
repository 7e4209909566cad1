/* web/session.h - browser sessions: a random cookie that stands for a token, so that the token is
 * in no URL and no page.
 *
 * Thread:  [any].
 * Limits:  EA_MAX_WEB_SESSIONS; the oldest gives way. 12 hours. Tokens up to EA_MAX_HTTP_HEAD
 * bytes, erased with their session.
 */
#ifndef EA_WEB_SESSION_H
#define EA_WEB_SESSION_H

#include "base/base.h"

#define EA_SESSION_ID_LEN 64 /* hex digits */

struct ea_sessions;
struct ea_sessions *ea_sessions_new(void);
void ea_sessions_free(struct ea_sessions *s);
void ea_session_begin(struct ea_sessions *s, struct ea_str token,
                      char ret_id[EA_SESSION_ID_LEN + 1]);
void ea_session_end(struct ea_sessions *s, struct ea_str id);
/* Copy of the token (heap, the caller erases and frees it with ea_session_forget) or NULL. */
char *ea_session_token(struct ea_sessions *s, struct ea_str id);
void ea_session_forget(char *token);

#endif
