/* kube/pack.h - JSON of API objects, deflated with a dictionary of what such objects are made of.
 *
 * Thread:  a packer is [any] (one lock inside); unpacking is [any].
 * Limits:  none of its own: the caller knows the size of what it packed.
 * Never:   packs when built without zlib; the caller keeps the text then.
 */
#ifndef EA_KUBE_PACK_H
#define EA_KUBE_PACK_H

#include "base/buf.h"

struct kube_packer;
struct kube_packer *kube_packer_new(void);
void kube_packer_free(struct kube_packer *p);
/* Appends the packed text. 0, or -ENODATA: not worth it or not possible; out is then undefined. */
int kube_pack(struct kube_packer *p, struct ea_str text, struct ea_buf *out);
/* text gets n bytes, exactly. 0 or -EBADMSG. */
int kube_unpack(struct ea_str packed, char *text, size_t n);

#endif
