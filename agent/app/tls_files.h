/* app/tls_files.h - certificates that the agent makes for itself, in a folder: own CA, server
 * certificate, keys.
 *
 * Thread:  [owner].
 * Limits:  CA ten years, server certificate one year, made anew when less than a third of its life
 * is left or a name is missing. Never:   touches files that a user configured.
 */
#ifndef EA_APP_TLS_FILES_H
#define EA_APP_TLS_FILES_H

#include "base/base.h"

/* dir/{ca.crt,ca.key,tls.crt,tls.key}, keys 0600. names: NULL-terminated DNS names and addresses.
 * 0, -errno. */
EA_MUST_CHECK int ea_tls_files_ensure(const char *dir, const char *const *names,
                                      struct ea_err *err);

#endif
