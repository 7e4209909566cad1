/* controls/embedded.h - the control files inside the binary (generated from controls/ at build
 * time). Thread:  [any]; constants. */
#ifndef EA_CONTROLS_EMBEDDED_H
#define EA_CONTROLS_EMBEDDED_H

#include <stddef.h>

struct ea_embedded_file {
    const char *path; /* below controls/, e.g. "pod/pod-privileged.yaml"; NULL ends the table */
    const char *bytes;
    size_t n;
};
extern const struct ea_embedded_file ea_embedded_controls[];

#endif
