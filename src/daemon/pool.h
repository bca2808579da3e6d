/* SPDX-License-Identifier: MIT */
/*
 * A pool of home addresses (RFC 7296 3.15): who gets which, and who had which.
 *
 * Whoever comes back gets the address it had: the past is remembered up to a bounded number of
 * assignments, the oldest forgotten first, and an address that was never given goes first to whom
 * its identity's hash points at, so that a server that was restarted gives the same again as a
 * rule.  Only when nothing else is free is a remembered address given to another.
 *
 * One thread.
 */
#ifndef DAEMON_POOL_H
#define DAEMON_POOL_H

#include "base/addr.h"

#define POOL_RANGES_MAX	    16
#define POOL_REMEMBERED_MAX 65536 /* default */

struct pool_range {
	struct addr from, to; /* of one family, both in it */
};

struct pool_config {
	uint8_t range_count;
	struct pool_range ranges[POOL_RANGES_MAX]; /* which do not overlap */
	/* Not free: addresses of terminals and the home server, whether in the ranges or not. */
	const struct addr *excluded;
	size_t excluded_count;
	uint32_t remembered_max; /* 0: the default */
};

struct pool;
struct pool *pool_new(const struct pool_config *cfg); /* copied */
void pool_free(struct pool *p);

/* An address for an identity (any octets): the one it has, had, asks for (`wish`, NULL none) or
 * another.  -EAFNOSUPPORT: there is no range of this family; -ENOSPC: all are in use. */
int pool_take(struct pool *p, const void *id, size_t id_len, uint8_t family,
	      const struct addr *wish, struct addr *out) __attribute__((warn_unused_result));
/* It is not used any more; remembered. */
void pool_give(struct pool *p, const struct addr *a);
/* What `from` gave and remembers, as far as it lies in p and is free there; before p gives any. */
void pool_inherit(struct pool *p, const struct pool *from);
/* Is it in use here? */
bool pool_has(const struct pool *p, const struct addr *a);
/* Does it lie in a range? */
bool pool_covers(const struct pool *p, const struct addr *a);

struct pool_counts {
	uint64_t size, used, remembered, excluded; /* size: at most UINT64_MAX */
};
struct pool_counts pool_counts(const struct pool *p, uint8_t family);

#endif
