/* SPDX-License-Identifier: MIT */
/* One producer thread, one consumer thread, fixed-size elements, no lock, never blocks. */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <stdbool.h>
#include <stddef.h>

struct ring;

struct ring *ring_new(size_t element_len, size_t count); /* count: a power of two */
void ring_free(struct ring *r);
/* A slot to fill in place, or NULL when full; then ring_push makes it visible. */
void *ring_slot(struct ring *r);
void ring_push(struct ring *r);
/* The oldest element, or NULL when empty; then ring_pop gives its slot back. */
void *ring_peek(struct ring *r);
void ring_pop(struct ring *r);

#endif
