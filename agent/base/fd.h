/* base/fd.h - files and descriptors.
 *
 * Thread:  [any].
 */
#ifndef EA_BASE_FD_H
#define EA_BASE_FD_H

#include "base/base.h"

/* Writes everything; -errno on failure (short writes are continued, EINTR repeated). */
EA_MUST_CHECK int ea_write_all(int fd, const void *p, size_t n);
EA_MUST_CHECK int ea_pwrite_all(int fd, const void *p, size_t n, uint64_t off);
/* Reads a whole regular file or stream up to cap bytes; heap, NUL-terminated, the caller frees. "-"
 * is stdin. 0, -E2BIG (file is larger than cap), -errno. */
EA_MUST_CHECK int ea_read_file(const char *path, size_t cap, char **ret_p, size_t *ret_n,
                               struct ea_err *err);
/* tmp file beside it, write, fsync, rename, fsync of the folder. mode as for open(2). */
EA_MUST_CHECK int ea_write_file(const char *path, const void *p, size_t n, unsigned mode,
                                struct ea_err *err);
/* mkdir -p. */
EA_MUST_CHECK int ea_mkdirs(const char *path, unsigned mode, struct ea_err *err);
EA_MUST_CHECK int ea_fsync_dir(const char *path);

#endif
