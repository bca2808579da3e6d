/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

#define HEAP_ROOM_LEAST 16

static void put(struct heap *h, uint32_t at, struct heap_item *item)
{
	h->items[at - 1] = item;
	item->index = at;
}

static void sift_up(struct heap *h, uint32_t at, struct heap_item *item)
{
	while (at > 1 && h->items[at / 2 - 1]->at_us > item->at_us) {
		put(h, at, h->items[at / 2 - 1]);
		at /= 2;
	}
	put(h, at, item);
}

static void sift_down(struct heap *h, uint32_t at, struct heap_item *item)
{
	for (;;) {
		uint32_t child = at * 2;
		if (child > h->count)
			break;
		if (child < h->count && h->items[child]->at_us < h->items[child - 1]->at_us)
			child++;
		if (h->items[child - 1]->at_us >= item->at_us)
			break;
		put(h, at, h->items[child - 1]);
		at = child;
	}
	put(h, at, item);
}

static void place(struct heap *h, uint32_t at, struct heap_item *item)
{
	if (at > 1 && h->items[at / 2 - 1]->at_us > item->at_us)
		sift_up(h, at, item);
	else
		sift_down(h, at, item);
}

static void take_out(struct heap *h, struct heap_item *item)
{
	uint32_t at = item->index;
	struct heap_item *last = h->items[--h->count];
	item->index = 0;
	if (last != item)
		place(h, at, last);
}

static void grow(struct heap *h)
{
	uint32_t room = h->room ? h->room * 2 : HEAP_ROOM_LEAST;
	struct heap_item **items = mem_zalloc(room * sizeof(struct heap_item *));
	if (h->count)
		memcpy(items, h->items, h->count * sizeof(struct heap_item *));
	free(h->items);
	h->items = items;
	h->room = room;
}

void heap_set(struct heap *h, struct heap_item *item, usec_t at_us)
{
	item->at_us = at_us;
	if (at_us == USEC_NEVER) {
		if (item->index)
			take_out(h, item);
		return;
	}
	if (item->index) {
		place(h, item->index, item);
		return;
	}
	if (h->count == h->room)
		grow(h);
	h->count++;
	sift_up(h, h->count, item);
}

struct heap_item *heap_first(const struct heap *h)
{
	return h->count ? h->items[0] : NULL;
}

void heap_clear(struct heap *h)
{
	free(h->items);
	*h = (struct heap){0};
}
