/* evidence/tree.h - the Merkle tree of RFC 6962 2.1 over leaf hashes, kept as a stack of complete
 * subtrees.
 *
 * Thread:  [owner].
 * Source:  RFC 6962 2.1 (tree hash), 2.1.1 (audit path).
 */
#ifndef EA_EVIDENCE_TREE_H
#define EA_EVIDENCE_TREE_H

#include "crypto/crypto.h"

#define EA_TREE_DEPTH 64

/* One hash for every set bit of size, the largest subtree first. */
struct ea_tree {
    uint64_t size;
    unsigned n;
    uint8_t stack[EA_TREE_DEPTH][EA_SHA256_LEN];
};

void ea_tree_init(struct ea_tree *t);
/* Copies what is in use. */
void ea_tree_copy(struct ea_tree *to, const struct ea_tree *from);
/* Adds the next leaf; one hash on average. */
void ea_tree_add(struct ea_tree *t, const uint8_t leaf[EA_SHA256_LEN]);
/* Root; SHA-256 of nothing for an empty tree. */
void ea_tree_root(const struct ea_tree *t, uint8_t out[EA_SHA256_LEN]);
/* False when the number of subtrees does not fit the size. */
bool ea_tree_valid(const struct ea_tree *t);

/* SHA256(0x01 || left || right). */
void ea_node_hash(const uint8_t left[EA_SHA256_LEN], const uint8_t right[EA_SHA256_LEN],
                  uint8_t out[EA_SHA256_LEN]);
/* Audit path of leaf i among n leaves, the lowest sibling first; out holds EA_TREE_DEPTH hashes.
 * Number of hashes; 0 when i >= n. */
unsigned ea_tree_path(const uint8_t (*leaves)[EA_SHA256_LEN], uint64_t n, uint64_t i,
                      uint8_t (*out)[EA_SHA256_LEN]);
/* Root that leaf i of n implies by its path. 0, -EINVAL (the path's length does not fit). */
EA_MUST_CHECK int ea_tree_path_root(const uint8_t leaf[EA_SHA256_LEN], uint64_t i, uint64_t n,
                                    const uint8_t (*path)[EA_SHA256_LEN], unsigned path_n,
                                    uint8_t out[EA_SHA256_LEN]);

#endif
