/* SPDX-License-Identifier: MIT */
/*
 * A hash index of items that live inside their owners: chains that double when there are more
 * items than chains.  The caller hashes (with a random key where a stranger chooses what is
 * hashed) and compares; an item may be in several indexes by several links.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash_link {
	struct hash_link *next, **at; /* at NULL: in no index */
	uint64_t hash;
};

struct hash { /* zero: empty */
	struct hash_link **chains;
	size_t chain_count; /* a power of two */
	size_t count;
};

void hash_add(struct hash *h, struct hash_link *l, uint64_t hash);
void hash_remove(struct hash *h, struct hash_link *l); /* not there: nothing */
/* The first with this hash, then the next one: the latest added first. */
struct hash_link *hash_find(const struct hash *h, uint64_t hash);
struct hash_link *hash_next(const struct hash_link *l);
void hash_clear(struct hash *h); /* frees the chains; the items may be gone already */

/* Of bytes, under a key: not to be foreseen by who does not know it, well spread. */
uint64_t hash_bytes(uint64_t key, const void *data, size_t len);

#define hash_owner(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

#endif
