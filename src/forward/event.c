/* SPDX-License-Identifier: MIT */
/*
 * From the packet threads to control: one ring of events and one box of IKE messages for each
 * worker, from which control takes in turn; and the lifetimes that make such events.
 */
#include <string.h>
#include "forward/state.h"

/* How much room must stay for what is rarer and matters more. */
static uint64_t event_spare(enum fwd_event_kind kind)
{
	switch (kind) {
	case FWD_EV_CONTROL:
	case FWD_EV_PROBE:
		return FWD_EVENTS_SPARE;
	case FWD_EV_MOVED:
	case FWD_EV_DATA:
	case FWD_EV_PATH_MTU:
		return FWD_EVENTS_LAST;
	case FWD_EV_SOFT_LIFETIME:
	case FWD_EV_HARD_LIFETIME:
		return 0;
	}
	return 0;
}

struct fwd_event *fwd_event_slot(struct fwd_worker *w, enum fwd_event_kind kind,
				 const struct sa *sa, usec_t now_us)
{
	uint64_t waiting = w->events_given - fwd_get(&w->events_taken);
	if (waiting + event_spare(kind) >= FWD_EVENTS_MAX)
		return NULL;
	struct fwd_event *e = ring_slot(w->events);
	if (!e)
		return NULL;
	memset(e, 0, offsetof(struct fwd_event, data));
	e->kind = kind;
	e->sa = sa;
	e->spi = sa->spi;
	e->at_us = now_us;
	return e;
}

void fwd_event_push(struct fwd_worker *w)
{
	ring_push(w->events);
	w->events_given++;
	w->event_waiting = true;
}

void fwd_event_flush(struct fwd_worker *w)
{
	if (!w->event_waiting)
		return;
	w->event_waiting = false;
	if (w->io.event)
		w->io.event(w->io.ctx);
}

/* The next worker that has something has its turn. */
const struct fwd_event *fwd_event_next(struct fwd *f)
{
	for (unsigned i = 0; i < f->count; i++) {
		unsigned at = (f->event_of + i) % f->count;
		const struct fwd_event *e = ring_peek(f->workers[at]->events);
		if (e) {
			f->event_of = at;
			return e;
		}
	}
	return NULL;
}

void fwd_event_done(struct fwd *f)
{
	struct fwd_worker *w = f->workers[f->event_of];
	ring_pop(w->events);
	fwd_add(&w->events_taken, 1);
	f->event_of = (f->event_of + 1) % f->count;
}

struct fwd_ike *fwd_ike_next(struct fwd *f)
{
	for (int init = 0; init < 2; init++) {
		for (unsigned i = 0; i < f->count; i++) {
			unsigned at = (f->ike_of + i) % f->count;
			struct fwd_ike *m = ikebox_next(&f->workers[at]->ike, init);
			if (m) {
				f->ike_of = at;
				return m;
			}
		}
	}
	return NULL;
}

void fwd_ike_done(struct fwd *f)
{
	ikebox_done(&f->workers[f->ike_of]->ike);
	f->ike_of = (f->ike_of + 1) % f->count;
}

/* --- lifetimes (RFC 4301 4.4.2.1) */

static bool lifetime_event(struct fwd_worker *w, struct sa *sa, bool outbound,
			   enum fwd_event_kind kind, usec_t now_us)
{
	struct fwd_event *e = fwd_event_slot(w, kind, sa, now_us);
	if (!e)
		return false;
	e->outbound = outbound;
	fwd_event_push(w);
	return true;
}

void fwd_kill_sa(struct fwd_worker *w, struct sa *sa, bool outbound, usec_t now_us)
{
	if (!atomic_exchange_explicit(&sa->dead, true, memory_order_relaxed))
		lifetime_event(w, sa, outbound, FWD_EV_HARD_LIFETIME, now_us);
}

static bool reached(uint64_t value, uint64_t limit)
{
	return limit && value >= limit;
}

uint32_t fwd_lifetime_left(const struct sa *sa, uint32_t packets)
{
	uint64_t before = fwd_get(&sa->packets);
	if (!sa->hard_packets || sa->hard_packets - before >= packets)
		return packets;
	return (uint32_t)(sa->hard_packets - before);
}

void fwd_count(struct fwd_worker *w, struct sa *sa, bool outbound, uint32_t packets,
	       uint64_t inner_bytes, usec_t now_us)
{
	fwd_add(&sa->packets, packets);
	fwd_add(&sa->bytes, inner_bytes);
	fwd_put(&sa->last_us, now_us);
	uint64_t all = fwd_get(&sa->packets), bytes = fwd_get(&sa->bytes);
	if (reached(all, sa->hard_packets) || reached(bytes, sa->hard_bytes))
		fwd_kill_sa(w, sa, outbound, now_us);
	else if ((reached(all, sa->soft_packets) || reached(bytes, sa->soft_bytes)) &&
		 !atomic_load_explicit(&sa->soft_told, memory_order_relaxed) &&
		 lifetime_event(w, sa, outbound, FWD_EV_SOFT_LIFETIME, now_us))
		atomic_store_explicit(&sa->soft_told, true, memory_order_relaxed);
}
