/* SPDX-License-Identifier: MIT */
/*
 * Longest-prefix match from an inner destination to the active connections of its binding.
 *
 * Control writes, one packet thread (or several) reads under RCU: an entry is found by
 * (family, length, prefix) in a hash table (sadb/rtable.h), once for each length in use, the
 * longest first.  A change of a binding replaces one pointer: the active set is the entry.
 *
 * For a batch, so that the waits for memory are spent together (as in sadb/sadb.h):
 *
 *   fib_ask(f, dst, &q)          for each packet: the line of the table for the longest length
 *   fib_ask_active(f, &q)        for each: the active set that it names
 *   a = fib_answer(f, dst, &q)   for each, and sa_prefetch_hot(a->sa[i])
 *   sa_prefetch_out(a->sa[i])    for each: what hangs on the SA
 */
#ifndef FORWARD_FIB_H
#define FORWARD_FIB_H

#include "base/addr.h"
#include "sadb/sa.h"

struct fib;

struct fib *fib_new(void);
void fib_free(struct fib *f); /* nobody reads any more; the active sets are freed too */

/* Packets to prefix go to `active` (taken); NULL takes the entry away.  What was there before
 * is freed by RCU.  0 or -ENOMEM (active is then freed). */
int fib_set(struct fib *f, const struct prefix *prefix, struct active *active)
    __attribute__((warn_unused_result));
/* In a read section; NULL: no entry. */
struct active *fib_find(const struct fib *f, const struct addr *dst);

/* A lookup in steps, all in one read section.  It begins with the longest length in use: on a home
 * server that is where nearly all are found. */
struct fib_question {
	struct prefix first;
	uint32_t hash;
	bool any;
};
void fib_ask(const struct fib *f, const struct addr *dst, struct fib_question *q);
void fib_ask_active(const struct fib *f, const struct fib_question *q);
/* As fib_find. */
struct active *fib_answer(const struct fib *f, const struct addr *dst,
			  const struct fib_question *q);

#endif
