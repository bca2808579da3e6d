/* SPDX-License-Identifier: MIT */
/*
 * A path on trial: packets come from there, but whether what is sent there arrives is not known.
 * An attacker who has a copy of a packet arrive first from another address could have a stream
 * sent to somebody who never asked for it.  So no more than three times what came from there is
 * sent there (as RFC 9000 8 has it); the rest goes to where the terminal was proven to be, or
 * nowhere.
 *
 * Only these paths have a credit.  All others pay one test of a flag in a line that is read anyway.
 */
#ifndef SADB_TRIAL_H
#define SADB_TRIAL_H

#include "sadb/sa.h"

#define TRIAL_FACTOR 3

struct trial {
	struct path path; /* first; its flag `trial` says what it is in */
	bool has_fallback;
	_Atomic uint64_t credit; /* bytes of outer packets that may still be sent there */
	struct path fallback;	 /* where the terminal was proven to be */
};

/* fallback: copied; NULL: none.  Freed as the path is (path_free). */
struct path *trial_new(uint64_t credit, const struct path *fallback)
    __attribute__((returns_nonnull));
/* A copy that has all the credit from now. */
struct path *trial_copy(struct path *path) __attribute__((returns_nonnull));

static inline struct trial *trial_of(const struct path *path)
{
	return (struct trial *)(uintptr_t)path;
}

/* So many bytes came from there. */
static inline void trial_received(const struct path *path, uint64_t bytes)
{
	atomic_fetch_add_explicit(&trial_of(path)->credit, bytes * TRIAL_FACTOR,
				  memory_order_relaxed);
}

/* False: so many may not be sent there. */
bool trial_spend(const struct path *path, uint64_t bytes);

#endif
