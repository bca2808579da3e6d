/* SPDX-License-Identifier: MIT */
/* The two boxes of IKE messages: see the header. */
#include "forward/ikebox.h"

#include <string.h>
#include "base/cursor.h"
#include "wire/ike.h"

/* Hundreds of messages as they come; the largest possible fit too. */
#define IKEBOX_KNOWN_LEN (1u << 20)
#define IKEBOX_INIT_LEN	 (1u << 18)

#define IKE_EXCHANGE_OFF 18

void ikebox_init(struct ikebox *b)
{
	b->known = bytering_new(IKEBOX_KNOWN_LEN);
	b->init = bytering_new(IKEBOX_INIT_LEN);
}

void ikebox_clear(struct ikebox *b)
{
	bytering_free(b->known);
	bytering_free(b->init);
	*b = (struct ikebox){0};
}

enum drop_reason ikebox_put(struct ikebox *b, const struct fwd_dgram *d, uint16_t sock,
			    const uint8_t *msg, uint32_t len, usec_t now_us)
{
	if (len < IKE_HEADER_LEN)
		return DROP_RUNT;
	struct reader r = reader_of(msg, IKE_HEADER_LEN);
	reader_skip(&r, IKE_EXCHANGE_OFF);
	bool init = reader_u8(&r) == IKE_SA_INIT;
	struct fwd_ike *e = bytering_slot(init ? b->init : b->known, sizeof(*e) + len);
	if (!e)
		return init ? DROP_IKE_INIT_BUSY : DROP_IKE_BUSY;
	e->src = d->src;
	e->dst = d->dst;
	e->sock = sock;
	e->at_us = now_us;
	e->len = len;
	memcpy(e->msg, msg, len);
	bytering_push(init ? b->init : b->known);
	return DROP_COUNT;
}

struct fwd_ike *ikebox_next(struct ikebox *b, bool init)
{
	struct bytering *from = init ? b->init : b->known;
	struct fwd_ike *e = from ? bytering_peek(from) : NULL;
	if (e)
		b->taken = from;
	return e;
}

void ikebox_done(struct ikebox *b)
{
	if (b->taken)
		bytering_pop(b->taken);
	b->taken = NULL;
}
