/* SPDX-License-Identifier: MIT */
/*
 * Deadlines in order: a binary heap of items that live inside their owners.  Setting, moving
 * and taking one out cost O(log n); the first one O(1).
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/clock.h"

struct heap_item {
	usec_t at_us;
	uint32_t index; /* from 1; 0: in no heap */
};

struct heap {
	struct heap_item **items; /* owned; the items are borrowed */
	uint32_t count, room;
};

/* Puts the item in, or moves it; USEC_NEVER takes it out. */
void heap_set(struct heap *h, struct heap_item *item, usec_t at_us);
/* The earliest; NULL: none. */
struct heap_item *heap_first(const struct heap *h);
void heap_clear(struct heap *h); /* frees the heap; the items may be gone already */

#endif
