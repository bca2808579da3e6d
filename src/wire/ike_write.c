/* SPDX-License-Identifier: MIT */
/*
 * IKEv2 messages from values to octets (RFC 7296 3).
 *
 * The builder keeps where the next payload's type has to go: into the header, into the payload
 * before, or, when there is neither, into `first` for whoever wraps the chain.  All room comes
 * from the writer, whose error is sticky: after a failure every call writes nothing, and
 * ike_builder_finish says so.
 */
#include "wire/ike.h"

#define HEADER_NEXT_AT	 16
#define HEADER_LENGTH_AT 24

#define MORE_NONE	0
#define MORE_PROPOSALS	2
#define MORE_TRANSFORMS 3

#define ATTR_SHORT_KEY_LENGTH 0x800e

#define TS_IPV4	    7
#define TS_IPV6	    8
#define TS_IPV4_LEN 16
#define TS_IPV6_LEN 40

struct ike_builder ike_builder_of(void *buf, size_t len, const struct ike_header *h)
{
	struct ike_builder b = {.w = writer_of(buf, len)};

	if (!h)
		return b;
	b.message = buf;
	writer_bytes(&b.w, h->spi_i, sizeof(h->spi_i));
	writer_bytes(&b.w, h->spi_r, sizeof(h->spi_r));
	writer_u8(&b.w, IKE_PAYLOAD_NONE);
	writer_u8(&b.w, h->version);
	writer_u8(&b.w, h->exchange);
	writer_u8(&b.w, h->flags);
	writer_u32(&b.w, h->message_id);
	writer_u32(&b.w, IKE_HEADER_LEN);
	return b;
}

size_t ike_builder_finish(struct ike_builder *b)
{
	size_t len = writer_len(&b->w);

	if (b->w.failed)
		return 0;
	if (b->message) {
		struct writer w = writer_of(b->message, IKE_HEADER_LEN);
		writer_room(&w, HEADER_NEXT_AT);
		writer_u8(&w, b->first);
		writer_room(&w, HEADER_LENGTH_AT - HEADER_NEXT_AT - 1);
		writer_u32(&w, (uint32_t)len);
	}
	return len;
}

/* Payloads, proposals and transforms begin alike: one octet about the next, one of zero, and the
 * length of it all.  Gives where that length is to be written, NULL when it failed. */
static uint8_t *open_struct(struct writer *w, uint8_t about_next)
{
	writer_u8(w, about_next);
	writer_u8(w, 0);
	return writer_room(w, 2);
}

static void close_struct(struct writer *w, uint8_t *length)
{
	if (w->failed)
		return;
	size_t len = (size_t)(w->p - length) + 2;
	struct writer at = writer_of(length, 2);
	writer_u16(&at, (uint16_t)len);
	w->failed = len > UINT16_MAX;
}

void ike_open_payload(struct ike_builder *b, enum ike_payload_type type)
{
	uint8_t *start = b->w.p;

	b->length = open_struct(&b->w, IKE_PAYLOAD_NONE);
	if (b->w.failed)
		return;
	if (b->next)
		*b->next = (uint8_t)type;
	else
		b->first = (uint8_t)type;
	b->next = start;
}

void ike_close_payload(struct ike_builder *b)
{
	close_struct(&b->w, b->length);
	b->length = NULL;
}

void ike_put_bytes(struct ike_builder *b, enum ike_payload_type type, const void *data, size_t len)
{
	ike_open_payload(b, type);
	writer_bytes(&b->w, data, len);
	ike_close_payload(b);
}

void ike_put_ke(struct ike_builder *b, uint16_t group, const void *data, size_t len)
{
	ike_open_payload(b, IKE_PAYLOAD_KE);
	writer_u16(&b->w, group);
	writer_zero(&b->w, 2);
	writer_bytes(&b->w, data, len);
	ike_close_payload(b);
}

void ike_put_typed(struct ike_builder *b, enum ike_payload_type type, uint8_t kind,
		   const void *data, size_t len)
{
	ike_open_payload(b, type);
	writer_u8(&b->w, kind);
	if (type != IKE_PAYLOAD_CERT && type != IKE_PAYLOAD_CERTREQ)
		writer_zero(&b->w, 3);
	writer_bytes(&b->w, data, len);
	ike_close_payload(b);
}

void ike_put_notify(struct ike_builder *b, uint16_t type, const void *data, size_t len)
{
	ike_put_notify_spi(b, type, IKE_PROTO_NONE, NULL, 0, data, len);
}

void ike_put_notify_spi(struct ike_builder *b, uint16_t type, uint8_t protocol, const void *spi,
			uint8_t spi_len, const void *data, size_t len)
{
	ike_open_payload(b, IKE_PAYLOAD_NOTIFY);
	writer_u8(&b->w, protocol);
	writer_u8(&b->w, spi_len);
	writer_u16(&b->w, type);
	writer_bytes(&b->w, spi, spi_len);
	writer_bytes(&b->w, data, len);
	ike_close_payload(b);
}

void ike_put_delete(struct ike_builder *b, uint8_t protocol, const uint32_t *spis, uint16_t count)
{
	ike_open_payload(b, IKE_PAYLOAD_DELETE);
	writer_u8(&b->w, protocol);
	writer_u8(&b->w, protocol == IKE_PROTO_IKE ? 0 : 4);
	writer_u16(&b->w, count);
	for (size_t i = 0; i < count; i++)
		writer_u32(&b->w, spis[i]);
	ike_close_payload(b);
}

/* --- SA */

static void put_transform(struct writer *w, const struct ike_transform *t, bool last)
{
	uint8_t *length = open_struct(w, last ? MORE_NONE : MORE_TRANSFORMS);

	writer_u8(w, t->type);
	writer_u8(w, 0);
	writer_u16(w, t->id);
	if (t->key_bits) {
		writer_u16(w, ATTR_SHORT_KEY_LENGTH);
		writer_u16(w, t->key_bits);
	}
	close_struct(w, length);
}

static void put_proposal(struct writer *w, const struct ike_proposal *p, bool last)
{
	uint8_t *length = open_struct(w, last ? MORE_NONE : MORE_PROPOSALS);

	writer_u8(w, p->number);
	writer_u8(w, p->protocol);
	writer_u8(w, p->spi_len);
	writer_u8(w, p->count);
	writer_bytes(w, p->spi, p->spi_len);
	for (size_t i = 0; i < p->count; i++)
		put_transform(w, &p->at[i], i + 1u == p->count);
	close_struct(w, length);
}

void ike_put_sa(struct ike_builder *b, const struct ike_proposals *p)
{
	ike_open_payload(b, IKE_PAYLOAD_SA);
	for (size_t i = 0; i < p->count; i++)
		put_proposal(&b->w, &p->at[i], i + 1u == p->count);
	ike_close_payload(b);
}

/* --- TS, CP */

static void put_selector(struct writer *w, const struct ike_ts *ts)
{
	size_t len = addr_len(&ts->from);

	if (!len) {
		w->failed = true;
		return;
	}
	writer_u8(w, ts->from.family == 4 ? TS_IPV4 : TS_IPV6);
	writer_u8(w, ts->protocol);
	writer_u16(w, ts->from.family == 4 ? TS_IPV4_LEN : TS_IPV6_LEN);
	writer_u16(w, ts->port_from);
	writer_u16(w, ts->port_to);
	writer_bytes(w, ts->from.b, len);
	writer_bytes(w, ts->to.b, len);
}

void ike_put_ts(struct ike_builder *b, enum ike_payload_type type, const struct ike_ts_list *ts)
{
	ike_open_payload(b, type);
	writer_u8(&b->w, ts->count);
	writer_zero(&b->w, 3);
	for (size_t i = 0; i < ts->count; i++)
		put_selector(&b->w, &ts->at[i]);
	ike_close_payload(b);
}

void ike_put_cp(struct ike_builder *b, const struct ike_cp *cp)
{
	ike_open_payload(b, IKE_PAYLOAD_CP);
	writer_u8(&b->w, cp->kind);
	writer_zero(&b->w, 3);
	for (size_t i = 0; i < cp->count; i++) {
		writer_u16(&b->w, cp->at[i].attr);
		writer_u16(&b->w, cp->at[i].len);
		writer_bytes(&b->w, cp->at[i].value, cp->at[i].len);
	}
	ike_close_payload(b);
}
