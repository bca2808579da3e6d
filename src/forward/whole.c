/* SPDX-License-Identifier: MIT */
/* See the header.  RFC 791 3.2, RFC 8200 4.5; of IPv6 only what has no other extension header. */
#include "forward/whole.h"

#include <string.h>
#include "base/cursor.h"

#define PLACE_LASTS_US	 USEC_PER_SEC
#define IP4_MORE	 0x2000u
#define IP4_OFFSET	 0x1fffu
#define IP6_FRAGMENT	 44
#define IP6_FRAGMENT_LEN 8

/* A fragment's place in the whole. */
struct piece {
	uint32_t id, off;
	uint8_t proto;
	bool more;
	uint16_t head_len; /* of what the whole's header is made of */
	const uint8_t *data;
	uint32_t data_len;
};

static bool read4(const uint8_t *p, const struct ip_info *info, struct piece *out)
{
	struct reader r = reader_of(p, info->total_len);
	reader_skip(&r, 4);
	out->id = reader_u16(&r);
	uint16_t field = reader_u16(&r);
	out->off = (field & IP4_OFFSET) * 8;
	out->more = field & IP4_MORE;
	out->proto = info->proto;
	out->head_len = info->l4_off;
	out->data = p + info->l4_off;
	out->data_len = info->total_len - info->l4_off;
	return !r.failed;
}

static bool read6(const uint8_t *p, const struct ip_info *info, struct piece *out)
{
	struct reader r = reader_of(p, info->total_len);
	reader_skip(&r, 6);
	if (reader_u8(&r) != IP6_FRAGMENT)
		return false;
	reader_skip(&r, IP6_HEADER_LEN - 7);
	out->proto = reader_u8(&r);
	reader_skip(&r, 1);
	uint16_t field = reader_u16(&r);
	out->off = field & ~7u;
	out->more = field & 1;
	out->id = reader_u32(&r);
	out->head_len = IP6_HEADER_LEN;
	out->data = r.p;
	out->data_len = (uint32_t)reader_left(&r);
	return !r.failed;
}

static struct whole_place *place_find(struct whole *w, const struct piece *piece,
				      const struct ip_info *info)
{
	for (unsigned i = 0; i < WHOLE_PLACES; i++) {
		struct whole_place *at = &w->places[i];
		if (at->len && at->id == piece->id && at->proto == piece->proto &&
		    addr_equal(&at->src, &info->src) && addr_equal(&at->dst, &info->dst))
			return at;
	}
	return NULL;
}

static struct whole_place *place_oldest(struct whole *w)
{
	struct whole_place *oldest = &w->places[0];
	for (unsigned i = 1; i < WHOLE_PLACES; i++) {
		struct whole_place *at = &w->places[i];
		if (oldest->len && (!at->len || at->at_us < oldest->at_us))
			oldest = at;
	}
	return oldest;
}

static void place_begin(struct whole_place *at, const uint8_t *packet, const struct piece *piece,
			const struct ip_info *info, usec_t now_us)
{
	at->id = piece->id;
	at->proto = piece->proto;
	at->len = piece->head_len;
	at->head_len = piece->head_len;
	at->src = info->src;
	at->dst = info->dst;
	at->at_us = now_us;
	memcpy(at->data, packet, piece->head_len);
}

/* The header of the whole. */
static void place_finish(struct whole_place *at, uint8_t version)
{
	if (version == 4) {
		struct writer w = writer_of(at->data + 2, 6);
		writer_u16(&w, (uint16_t)at->len);
		writer_u16(&w, (uint16_t)at->id);
		writer_u16(&w, 0);
		ip4_set_checksum(at->data);
		return;
	}
	struct writer w = writer_of(at->data + 4, 3);
	writer_u16(&w, (uint16_t)(at->len - IP6_HEADER_LEN));
	writer_u8(&w, at->proto);
}

enum whole_result whole_add(struct whole *w, const uint8_t *packet, const struct ip_info *info,
			    usec_t now_us, const uint8_t **out, struct ip_info *out_info)
{
	struct piece piece;
	if (!(info->version == 4 ? read4(packet, info, &piece) : read6(packet, info, &piece)))
		return WHOLE_REFUSED;
	struct whole_place *at = place_find(w, &piece, info);
	if (piece.off == 0) {
		at = at ? at : place_oldest(w);
		place_begin(at, packet, &piece, info, now_us);
	}
	if (!at)
		return WHOLE_REFUSED;
	if (at->len != at->head_len + piece.off || at->len + piece.data_len > WHOLE_LEN ||
	    now_us - at->at_us > PLACE_LASTS_US) {
		at->len = 0;
		return WHOLE_REFUSED;
	}
	memcpy(at->data + at->len, piece.data, piece.data_len);
	at->len += piece.data_len;
	if (piece.more)
		return WHOLE_WAITS;
	place_finish(at, info->version);
	uint32_t len = at->len;
	at->len = 0;
	*out = at->data;
	return ip_parse(at->data, len, out_info) ? WHOLE_READY : WHOLE_REFUSED;
}
