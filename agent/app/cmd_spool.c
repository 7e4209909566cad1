#include "app/cmd.h"
#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The init container of the DaemonSet: hands the host's folder to the agent's user. Needs CAP_CHOWN
 * and nothing else, so it opens the folder once, without following a link, and works on that
 * descriptor. What lies inside was made by the agent's user already. */
static int hand_over(const char *dir, uint64_t uid, struct ea_err *err)
{
    EA_AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st)) {
        int e = -errno;

        return ea_fail(err, e, "%s: %s", dir, strerror(-e));
    }
    if (st.st_uid == uid && (st.st_mode & 07777) == 0700)
        return 0;
    /* the mode first, while the folder is still ours: changing it later would need CAP_FOWNER */
    if (st.st_uid == geteuid() && fchmod(fd, 0700)) {
        int e = -errno;

        return ea_fail(err, e, "%s: chmod: %s", dir, strerror(-e));
    }
    if (st.st_uid != uid && fchown(fd, (uid_t)uid, (gid_t)uid)) {
        int e = -errno;

        return ea_fail(err, e, "%s: chown: %s", dir, strerror(-e));
    }
    return 0;
}

static int run_init(const struct ea_args *a)
{
    const char *dir = ea_args_words(a, NULL)[0];
    struct ea_err err = {0};
    uint64_t uid;

    if (ea_str_to_u64(ea_str(ea_opt_get(a, "owner")), &uid) || uid > UINT32_MAX - 1) {
        fprintf(stderr, "eucs-agent spool init: --owner is a user id\n");
        return 2;
    }
    if (ea_mkdirs(dir, 0700, &err) || hand_over(dir, uid, &err)) {
        fprintf(stderr, "eucs-agent spool init: %s\n", ea_err_text(&err));
        return 2;
    }
    return 0;
}

static const struct ea_opt init_options[] = {
    {"owner", 0, EA_OPT_VALUE, "UID", "65532", NULL, "user that the agent runs as"},
    {NULL},
};

const struct ea_cmd ea_cmd_spool_init = {
    .name = "spool init",
    .summary = "make the evidence folder and hand it to the agent's user",
    .usage = "DIR",
    .text = "Example: eucs-agent spool init --owner 65532 /var/lib/eucs-agent",
    .options = init_options,
    .min_words = 1,
    .max_words = 1,
    .run = run_init,
};
