/* SPDX-License-Identifier: MIT */
/*
 * A ring of fixed-size elements between one producer thread and one consumer thread.
 *
 * The producer owns `tail` and calls ring_slot and ring_push, the consumer owns `head` and
 * calls ring_peek and ring_pop.  Each stores its own index with release order and loads the
 * other's with acquire order: so an element is written before it is seen and read before its
 * slot is used again.  Indices only rise (and wrap at the word's size); the slot is the index
 * modulo the count.  Each side keeps the last value it saw of the other's index and looks
 * again only when that says full or empty, so that the cache line of the other side is left
 * alone most of the time.
 *
 * ring_new's ring is freed with ring_free when both threads have stopped using it.
 */
#include "base/ring.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/mem.h"

#define RING_LINE 64

struct ring {
	/* producer's line */
	alignas(RING_LINE) atomic_size_t tail;
	size_t head_seen;
	/* consumer's line */
	alignas(RING_LINE) atomic_size_t head;
	size_t tail_seen;
	/* read by both, written by none */
	alignas(RING_LINE) size_t element_len;
	size_t count;
	uint8_t *data;
};

struct ring *ring_new(size_t element_len, size_t count)
{
	if (!element_len || !count || (count & (count - 1)) || element_len > SIZE_MAX / count)
		return NULL;

	/* Elements may hold anything: each begins aligned for any type. */
	size_t align = alignof(max_align_t);
	if (element_len > SIZE_MAX / count - align)
		return NULL;
	element_len = (element_len + align - 1) & ~(align - 1);

	struct ring *r = aligned_alloc(RING_LINE, sizeof(*r));
	if (!r)
		return NULL;
	*r = (struct ring){.element_len = element_len, .count = count};
	atomic_init(&r->tail, 0);
	atomic_init(&r->head, 0);
	r->data = calloc(count, element_len);
	if (!r->data) {
		free(r);
		return NULL;
	}
	return r;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	mem_wipe(r->data, r->count * r->element_len);
	free(r->data);
	free(r);
}

static void *ring_at(const struct ring *r, size_t index)
{
	return r->data + (index & (r->count - 1)) * r->element_len;
}

void *ring_slot(struct ring *r)
{
	size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail - r->head_seen == r->count) {
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		if (tail - r->head_seen == r->count)
			return NULL;
	}
	return ring_at(r, tail);
}

void ring_push(struct ring *r)
{
	size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

void *ring_peek(struct ring *r)
{
	size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head == r->tail_seen) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (head == r->tail_seen)
			return NULL;
	}
	return ring_at(r, head);
}

void ring_pop(struct ring *r)
{
	size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}
