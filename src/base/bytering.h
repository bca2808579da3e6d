/* SPDX-License-Identifier: MIT */
/* One producer thread, one consumer thread, records of any length, no lock, never blocks. */
#ifndef BASE_BYTERING_H
#define BASE_BYTERING_H

#include <stddef.h>

struct bytering;

struct bytering *bytering_new(size_t size); /* of all records with their heads: a power of two */
void bytering_free(struct bytering *r);
/* Room for a record of `len` octets, in one piece and aligned for anything, to fill in place; NULL
 * when there is none.  Then bytering_push makes it visible. */
void *bytering_slot(struct bytering *r, size_t len);
void bytering_push(struct bytering *r);
/* The oldest record, the consumer's to change, or NULL when empty; then bytering_pop gives its
 * room back. */
void *bytering_peek(struct bytering *r);
void bytering_pop(struct bytering *r);

#endif
