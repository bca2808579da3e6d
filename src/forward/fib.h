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
 *   fib_prefetch(f, dst)         for each packet: the line of the table for the longest length
 *   fib_prefetch_active(f, dst)  for each: the active set that it names
 *   a = fib_find(f, dst)         for each, and sa_prefetch_hot(a->sa[i])
 *   sa_prefetch(a->sa[i])        for each: what hangs on the SA
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
void fib_prefetch(const struct fib *f, const struct addr *dst);
void fib_prefetch_active(const struct fib *f, const struct addr *dst);

#endif
