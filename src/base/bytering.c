/* SPDX-License-Identifier: MIT */
/*
 * A ring of records of any length between one producer thread and one consumer thread: ring.c for
 * elements of which few are as large as the largest.
 *
 *   | head | record .. | head | record .... | free | head: skip | (too short for the next one)
 *
 * Each record lies in one piece behind a head that says how far the next one is.  One that does not
 * fit before the end of the memory begins at its start again, and a head that says so is left in
 * its place; everything is a multiple of the head's length, so there is always room for it.
 *
 * The producer owns `tail`, the consumer `head`; both only rise, and the place in memory is the
 * index modulo the size.  As in ring.c each is stored with release and loaded by the other side
 * with acquire order, and each side looks at the other's index only when what it saw last says full
 * or empty.
 */
#include "base/bytering.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/mem.h"

#define BYTERING_LINE 64

struct record {
	alignas(max_align_t) size_t total; /* with this head */
	bool skip;			   /* no record: go on at the start */
};

struct bytering {
	/* producer's line */
	alignas(BYTERING_LINE) atomic_size_t tail;
	size_t head_seen, next; /* the tail after the push to come */
	/* consumer's line */
	alignas(BYTERING_LINE) atomic_size_t head;
	size_t tail_seen;
	/* read by both, written by none */
	alignas(BYTERING_LINE) size_t size;
	uint8_t *data;
};

struct bytering *bytering_new(size_t size)
{
	if (size < sizeof(struct record) * 2 || (size & (size - 1)))
		return NULL;
	struct bytering *r = aligned_alloc(BYTERING_LINE, sizeof(*r));
	if (!r)
		return NULL;
	*r = (struct bytering){.size = size, .data = malloc(size)};
	if (!r->data) {
		free(r);
		return NULL;
	}
	return r;
}

void bytering_free(struct bytering *r)
{
	if (!r)
		return;
	mem_wipe(r->data, r->size);
	free(r->data);
	free(r);
}

static struct record *bytering_at(const struct bytering *r, size_t index)
{
	return (struct record *)(void *)(r->data + (index & (r->size - 1)));
}

static bool bytering_has_room(struct bytering *r, size_t tail, size_t len)
{
	if (r->size - (tail - r->head_seen) >= len)
		return true;
	r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
	return r->size - (tail - r->head_seen) >= len;
}

void *bytering_slot(struct bytering *r, size_t len)
{
	size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	size_t align = sizeof(struct record);
	if (len > r->size - align)
		return NULL;
	size_t total = align + ((len + align - 1) & ~(align - 1));
	size_t to_end = r->size - (tail & (r->size - 1));
	size_t skip = total > to_end ? to_end : 0;
	if (!bytering_has_room(r, tail, total + skip))
		return NULL;
	if (skip)
		*bytering_at(r, tail) = (struct record){.total = skip, .skip = true};
	struct record *e = bytering_at(r, tail + skip);
	*e = (struct record){.total = total};
	r->next = tail + skip + total;
	return e + 1;
}

void bytering_push(struct bytering *r)
{
	atomic_store_explicit(&r->tail, r->next, memory_order_release);
}

/* NULL: empty.  A skip is never the last: it is pushed with the record behind it. */
static struct record *bytering_oldest(struct bytering *r, size_t *head)
{
	*head = atomic_load_explicit(&r->head, memory_order_relaxed);
	if (*head == r->tail_seen) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (*head == r->tail_seen)
			return NULL;
	}
	struct record *e = bytering_at(r, *head);
	if (e->skip) {
		*head += e->total;
		e = bytering_at(r, *head);
	}
	return e;
}

void *bytering_peek(struct bytering *r)
{
	size_t head;
	struct record *e = bytering_oldest(r, &head);
	return e ? e + 1 : NULL;
}

void bytering_pop(struct bytering *r)
{
	size_t head;
	const struct record *e = bytering_oldest(r, &head);
	atomic_store_explicit(&r->head, head + e->total, memory_order_release);
}
