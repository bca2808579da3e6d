/* SPDX-License-Identifier: MIT */
/*
 * Somebody on the way, who hears everything, repeats what was sent, from where it came or from
 * elsewhere, changes it, and invents.  (Dropping it is what links do.)
 *
 * As soon as the network is quiet the attacker changes no first message any more: nobody vouches
 * for an IKE_SA_INIT; and repeats nothing that was not heard, which would be to delay it.  Who is
 * on the way can keep two nodes apart anyhow.
 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "world.h"

#define RECORD_DATA_PERMILLE 30
#define JUNK_MAX	     200

static const struct endpoint nowhere = {.addr = {.family = 4, .b = {198, 51, 100, 66}},
					.port = 4500};

void attack_record(struct world *w, const struct datagram *d)
{
	if (d->is_esp && d->esp.kind == ESP_DATA && !world_chance(w, RECORD_DATA_PERMILLE))
		return;
	struct recorded *r = &w->recorded[w->recorded_count++ % RECORDED];
	free(r->d);
	r->d = mem_zalloc(sizeof(*d) + d->len);
	memcpy(r->d, d, sizeof(*d) + d->len);
	memset(&r->d->arrival, 0, sizeof(r->d->arrival));
}

void attack_free(struct world *w)
{
	for (unsigned i = 0; i < RECORDED; i++)
		free(w->recorded[i].d);
}

static void send_it(struct world *w, struct datagram *d)
{
	world_push(w, w->now_us + 1000 + world_below(w, 50000), EVENT_DATAGRAM)->datagram = d;
}

static void invent(struct world *w, const struct datagram *like)
{
	uint8_t junk[JUNK_MAX];
	size_t len = 1 + world_below(w, sizeof(junk));
	for (size_t i = 0; i < len; i++)
		junk[i] = (uint8_t)world_random(w);
	/* Often something that looks like a header. */
	if (like->len > 28 && len > 28 && world_chance(w, 700))
		memcpy(junk, like->bytes, 28);
	struct datagram *d = datagram_new(junk, len);
	d->up = like->up;
	d->src = world_chance(w, 500) ? like->src : nowhere;
	d->dst = like->dst;
	d->origin = INVENTED;
	d->lost_index = UINT32_MAX;
	send_it(w, d);
}

static bool is_first_message(const struct datagram *d)
{
	return !d->is_esp && d->len > 18 && d->bytes[18] == IKE_SA_INIT;
}

static void change_bytes(struct world *w, struct datagram *d)
{
	if (d->is_esp) {
		switch (world_below(w, 3)) {
		case 0:
			d->esp.lo += 1 + world_below(w, 2000);
			return;
		case 1:
			d->esp.tag ^= 1;
			return;
		default:
			d->esp.spi ^= 1u << world_below(w, 32);
			return;
		}
	}
	size_t at = d->len ? world_below(w, (uint32_t)d->len) : 0;
	for (unsigned n = 1 + world_below(w, 3); n && at < d->len; n--)
		d->bytes[at++] ^= (uint8_t)(1 + world_below(w, 255));
	if (world_chance(w, 200))
		d->len = world_below(w, (uint32_t)d->len);
}

void attack(struct world *w)
{
	unsigned kept = w->recorded_count < RECORDED ? w->recorded_count : RECORDED;
	if (!kept)
		return;
	const struct datagram *like = w->recorded[world_below(w, kept)].d;
	if (world_chance(w, 200)) {
		invent(w, like);
		return;
	}
	bool change = world_chance(w, 400);
	if (w->quiet && (change ? is_first_message(like) : !w->heard[like->lost_index]))
		return;
	struct datagram *d = datagram_new(like->bytes, like->len);
	d->up = like->up;
	d->is_esp = like->is_esp;
	d->link = like->link;
	d->src = like->src;
	d->dst = like->dst;
	d->esp = like->esp;
	d->lost_index = like->lost_index;
	d->origin = change ? CHANGED : REPEATED;
	if (change)
		change_bytes(w, d);
	if (d->up && world_chance(w, 500))
		d->src = nowhere;
	send_it(w, d);
}
