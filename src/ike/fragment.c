/* SPDX-License-Identifier: MIT */
/*
 * Encrypted fragments (RFC 7383): putting messages together.
 *
 *   fragment_wanted  by its numbers, before it is opened
 *   fragment_take    authentic: kept until the others are there
 *
 * At most one message each way is under way, since the window is one.  Bounds: FRAGMENTS_MAX
 * pieces and IKE_MESSAGE_MAX octets of one message; UNPROVEN_BYTES_MAX octets of all peers that
 * have proven nothing but a key exchange; FRAGMENTS_WAIT_US from the latest piece on.
 */
#include "base/mem.h"
#include "ike/state.h"

#define FRAGMENTS_MAX	   256
#define FRAGMENTS_WAIT_US  (20 * (usec_t)USEC_PER_SEC)
#define UNPROVEN_BYTES_MAX (16u << 20)

struct piece {
	uint8_t *bytes; /* owned; NULL: not there (an empty one has an address, too) */
	uint32_t len;
};

struct reassembly {
	struct reassembly *next;
	bool response;
	bool unproven; /* its bytes are counted in engine->reassembly_bytes */
	uint8_t first; /* payload type, from piece 1 */
	uint16_t total, have;
	uint32_t id;
	size_t bytes;
	usec_t until_us;
	struct piece at[]; /* total */
};

static struct reassembly **reassembly_at(struct ike_sa *sa, bool response)
{
	struct reassembly **at = &sa->fragments;
	while (*at && (*at)->response != response)
		at = &(*at)->next;
	return at;
}

static void reassembly_drop(struct ike_sa *sa, struct reassembly **at)
{
	struct reassembly *r = *at;
	*at = r->next;
	if (r->unproven)
		sa->engine->reassembly_bytes -= r->bytes;
	for (unsigned i = 0; i < r->total; i++)
		free(r->at[i].bytes);
	free(r);
}

bool fragment_wanted(const struct ike_sa *sa, const struct ike_header *h,
		     const struct ike_fragment *f)
{
	if (!f->number || f->number > f->total || f->total > FRAGMENTS_MAX)
		return false;
	bool response = h->flags & IKE_FLAG_RESPONSE;
	for (const struct reassembly *r = sa->fragments; r; r = r->next) {
		if (r->response != response || r->id != h->message_id)
			continue;
		/* More pieces than before: the peer cuts smaller now (RFC 7383 2.6). */
		return f->total > r->total || (f->total == r->total && !r->at[f->number - 1].bytes);
	}
	return true;
}

static struct reassembly *reassembly_begin(struct ike_sa *sa, struct reassembly **at,
					   const struct ike_header *h, uint16_t total)
{
	if (*at && ((*at)->id != h->message_id || (*at)->total != total))
		reassembly_drop(sa, at);
	at = reassembly_at(sa, h->flags & IKE_FLAG_RESPONSE);
	if (*at)
		return *at;
	struct reassembly *r = mem_zalloc(sizeof(*r) + total * sizeof(r->at[0]));
	r->response = h->flags & IKE_FLAG_RESPONSE;
	r->unproven = sa->state == IKE_SA_CONNECTING && !sa->initiator;
	r->id = h->message_id;
	r->total = total;
	r->next = sa->fragments;
	sa->fragments = r;
	return r;
}

bool fragment_take(struct ike_sa *sa, const struct ike_header *h, const struct ike_fragment *f,
		   uint8_t next, const uint8_t *inner, size_t inner_len, uint8_t *first,
		   size_t *len)
{
	struct ike *e = sa->engine;
	bool response = h->flags & IKE_FLAG_RESPONSE;
	struct reassembly *r = reassembly_begin(sa, reassembly_at(sa, response), h, f->total);

	if (r->bytes + inner_len > sizeof(e->open) ||
	    (r->unproven && e->reassembly_bytes + inner_len > UNPROVEN_BYTES_MAX)) {
		e->counters.malformed++;
		reassembly_drop(sa, reassembly_at(sa, response));
		return false;
	}
	struct piece *p = &r->at[f->number - 1];
	p->bytes = mem_zalloc(inner_len);
	memcpy(p->bytes, inner, inner_len);
	p->len = (uint32_t)inner_len;
	if (f->number == 1)
		r->first = next;
	r->have++;
	r->bytes += inner_len;
	if (r->unproven)
		e->reassembly_bytes += inner_len;
	r->until_us = e->now_us + FRAGMENTS_WAIT_US;
	if (r->have < r->total)
		return false;

	*len = 0;
	for (unsigned i = 0; i < r->total; i++) {
		memcpy(e->open + *len, r->at[i].bytes, r->at[i].len);
		*len += r->at[i].len;
	}
	*first = r->first;
	reassembly_drop(sa, reassembly_at(sa, response));
	return true;
}

usec_t fragment_deadline(const struct ike_sa *sa)
{
	usec_t next = USEC_NEVER;
	for (const struct reassembly *r = sa->fragments; r; r = r->next)
		if (r->until_us < next)
			next = r->until_us;
	return next;
}

void fragment_tick(struct ike_sa *sa, usec_t now_us)
{
	for (struct reassembly **at = &sa->fragments; *at;) {
		if ((*at)->until_us <= now_us)
			reassembly_drop(sa, at);
		else
			at = &(*at)->next;
	}
}

void fragment_clear(struct ike_sa *sa)
{
	while (sa->fragments)
		reassembly_drop(sa, &sa->fragments);
}
