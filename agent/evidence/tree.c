/* evidence/tree.c - the Merkle tree of RFC 6962 2.1. */
#include "evidence/tree.h"

void ea_node_hash(const uint8_t left[EA_SHA256_LEN], const uint8_t right[EA_SHA256_LEN],
                  uint8_t out[EA_SHA256_LEN])
{
    uint8_t b[1 + 2 * EA_SHA256_LEN];

    b[0] = 1;
    memcpy(b + 1, left, EA_SHA256_LEN);
    memcpy(b + 1 + EA_SHA256_LEN, right, EA_SHA256_LEN);
    ea_sha256(b, sizeof(b), out);
}

void ea_tree_init(struct ea_tree *t)
{
    t->size = 0;
    t->n = 0;
}

void ea_tree_copy(struct ea_tree *to, const struct ea_tree *from)
{
    to->size = from->size;
    to->n = from->n;
    memcpy(to->stack, from->stack, (size_t)from->n * EA_SHA256_LEN);
}

void ea_tree_add(struct ea_tree *t, const uint8_t leaf[EA_SHA256_LEN])
{
    EA_ASSERT(t->n < EA_TREE_DEPTH);
    memcpy(t->stack[t->n++], leaf, EA_SHA256_LEN);
    /* Each trailing one of the old size is a complete subtree as large as the one just finished. */
    for (uint64_t s = t->size; s & 1; s >>= 1) {
        t->n--;
        ea_node_hash(t->stack[t->n - 1], t->stack[t->n], t->stack[t->n - 1]);
    }
    t->size++;
}

void ea_tree_root(const struct ea_tree *t, uint8_t out[EA_SHA256_LEN])
{
    if (t->n == 0) {
        ea_sha256("", 0, out);
        return;
    }
    memcpy(out, t->stack[t->n - 1], EA_SHA256_LEN);
    for (unsigned i = t->n - 1; i-- > 0;)
        ea_node_hash(t->stack[i], out, out);
}

bool ea_tree_valid(const struct ea_tree *t)
{
    return t->n == (unsigned)__builtin_popcountll(t->size);
}

/* Largest power of two below n, n > 1. */
static uint64_t split(uint64_t n)
{
    return 1ull << (63 - __builtin_clzll(n - 1));
}

unsigned ea_tree_path(const uint8_t (*leaves)[EA_SHA256_LEN], uint64_t n, uint64_t i,
                      uint8_t (*out)[EA_SHA256_LEN])
{
    struct {
        uint64_t at, n;
    } sibling[EA_TREE_DEPTH];
    unsigned depth = 0;
    uint64_t at = 0;

    if (i >= n)
        return 0;
    while (n > 1) {
        uint64_t k = split(n);

        if (i - at < k) {
            sibling[depth].at = at + k;
            sibling[depth++].n = n - k;
            n = k;
        } else {
            sibling[depth].at = at;
            sibling[depth++].n = k;
            at += k;
            n -= k;
        }
    }
    for (unsigned d = 0; d < depth; d++) {
        unsigned from = depth - 1 - d;
        struct ea_tree t;

        ea_tree_init(&t);
        for (uint64_t j = 0; j < sibling[from].n; j++)
            ea_tree_add(&t, leaves[sibling[from].at + j]);
        ea_tree_root(&t, out[d]);
    }
    return depth;
}

/* RFC 9162 2.1.3.2, which also fixes the length of the path. */
int ea_tree_path_root(const uint8_t leaf[EA_SHA256_LEN], uint64_t i, uint64_t n,
                      const uint8_t (*path)[EA_SHA256_LEN], unsigned path_n,
                      uint8_t out[EA_SHA256_LEN])
{
    uint64_t fn = i, sn = n - 1;

    if (i >= n)
        return -EINVAL;
    memcpy(out, leaf, EA_SHA256_LEN);
    for (unsigned k = 0; k < path_n; k++) {
        if (sn == 0)
            return -EINVAL;
        if ((fn & 1) || fn == sn) {
            ea_node_hash(path[k], out, out);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            ea_node_hash(out, path[k], out);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 ? 0 : -EINVAL;
}
