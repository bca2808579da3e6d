/* SPDX-License-Identifier: MIT */
/*
 * The headers of packets in transport and BEET mode: see the header.
 *
 * What Linux does is the measure: a fragment is not carried, options are padded with NOPs, the
 * class of service of the packet built again is that of the outer one.
 */
#include "wire/bare.h"

#include <string.h>
#include "base/cursor.h"

#define BEET_FIXED_LEN 4
#define BEET_UNIT      8
#define IP4_OPT_NOP    1
#define IP4_OPTS_MAX   40
#define BARE_TTL       64

enum {
	PROTO_HOP_BY_HOP = 0,
	PROTO_DCCP = 33,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_BEET = 94,
	PROTO_UDP_LITE = 136,
};

static void beet_head(struct bare *b, const uint8_t *options, uint8_t len)
{
	struct writer w = writer_of(b->head, sizeof(b->head));
	uint8_t pad = len & 4 ? 0 : BEET_UNIT - BEET_FIXED_LEN;

	writer_u8(&w, b->next_header);
	writer_u8(&w, len / BEET_UNIT);
	writer_u8(&w, pad);
	writer_u8(&w, 0);
	for (uint8_t i = 0; i < pad; i++)
		writer_u8(&w, IP4_OPT_NOP);
	writer_bytes(&w, options, len);
	b->head_len = (uint8_t)writer_len(&w);
	b->next_header = PROTO_BEET;
}

static enum bare_result take4(const uint8_t *packet, const struct ip_info *info, bool beet,
			      struct bare *out)
{
	uint8_t options_len = (uint8_t)(info->l4_off - IP4_HEADER_LEN);

	out->next_header = info->proto;
	out->head_len = 0;
	out->body = packet + info->l4_off;
	out->body_len = info->total_len - info->l4_off;
	if (!options_len)
		return BARE_OK;
	if (!beet)
		return BARE_OUTSIDE;
	beet_head(out, packet + IP4_HEADER_LEN, options_len);
	return BARE_OK;
}

enum bare_result bare_take(const uint8_t *packet, const struct ip_info *info, bool beet,
			   struct bare *out)
{
	if (info->fragment)
		return BARE_FRAGMENT;
	if (info->version == 4)
		return take4(packet, info, beet, out);

	struct reader r = reader_of(packet, info->total_len);
	reader_skip(&r, 6);
	out->next_header = reader_u8(&r);
	out->head_len = 0;
	out->body = packet + IP6_HEADER_LEN;
	out->body_len = info->total_len - IP6_HEADER_LEN;
	if (!beet && (out->next_header == PROTO_HOP_BY_HOP || out->next_header == PROTO_ROUTING))
		return BARE_OUTSIDE;
	return BARE_OK;
}

static enum bare_result read_beet(struct reader *r, struct bare_plan *out)
{
	out->next_header = reader_u8(r);
	size_t whole = ((size_t)reader_u8(r) + 1) * BEET_UNIT;
	uint8_t pad = reader_u8(r);
	reader_skip(r, 1);
	if (r->failed || pad > BEET_UNIT - BEET_FIXED_LEN)
		return BARE_UNSOUND;
	size_t options_len = whole - BEET_FIXED_LEN - pad;
	reader_skip(r, pad);
	if (r->failed || options_len % 4 || options_len > IP4_OPTS_MAX ||
	    options_len > reader_left(r) || out->next_header == PROTO_BEET)
		return BARE_UNSOUND;
	out->options_len = (uint8_t)options_len;
	return BARE_OK;
}

enum bare_result bare_read(const uint8_t *payload, size_t len, uint8_t next_header, uint8_t family,
			   bool beet, struct bare_plan *out)
{
	struct reader r = reader_of(payload, len);

	*out = (struct bare_plan){.next_header = next_header};
	if (beet && family == 4 && next_header == PROTO_BEET && read_beet(&r, out) != BARE_OK)
		return BARE_UNSOUND;
	out->rest = r.p;
	out->rest_len = (uint32_t)reader_left(&r);
	size_t most = family == 4 ? UINT16_MAX - IP4_HEADER_LEN : UINT16_MAX;
	return out->rest_len <= most ? BARE_OK : BARE_UNSOUND;
}

uint32_t bare_packet_len(const struct bare_plan *plan, uint8_t family)
{
	return plan->rest_len + (family == 4 ? IP4_HEADER_LEN : IP6_HEADER_LEN);
}

void bare_build(const struct bare_plan *plan, const struct addr *src, const struct addr *dst,
		uint8_t tos, uint8_t *p)
{
	size_t head = ip_write_header(p, IP6_HEADER_LEN, src, dst, plan->next_header, tos, BARE_TTL,
				      plan->rest_len);

	if (plan->rest_len)
		memcpy(p + head, plan->rest, plan->rest_len);
	if (!plan->options_len)
		return;
	p[0] = (uint8_t)(0x40 | (IP4_HEADER_LEN + plan->options_len) / 4);
	ip4_set_checksum(p);
}

/* --- checksums */

int bare_checksum_at(uint8_t proto)
{
	switch (proto) {
	case IP_PROTO_TCP:
		return 16;
	case IP_PROTO_UDP:
	case PROTO_UDP_LITE:
	case PROTO_DCCP:
		return 6;
	case IP_PROTO_ICMPV6:
		return 2;
	case IP_PROTO_MH:
		return 4;
	default: /* IANA's numbers */
		return -1;
	}
}

uint16_t bare_pair_sum(const struct addr *a, const struct addr *b)
{
	return (uint16_t)~ip_fold(ip_sum(b->b, addr_len(b), ip_sum(a->b, addr_len(a), 0)));
}

static bool is_udp(uint8_t proto)
{
	return proto == IP_PROTO_UDP || proto == PROTO_UDP_LITE;
}

void bare_checksum_change(uint8_t *l4, size_t l4_len, uint8_t proto, uint16_t before,
			  uint16_t after)
{
	int at = bare_checksum_at(proto);

	if (at < 0 || (size_t)at + 2 > l4_len)
		return;
	uint8_t *field = l4 + at;
	bool none = field[0] == 0 && field[1] == 0;
	if (is_udp(proto) && none)
		return;
	ip_checksum_mend(field, before, after);
	if (is_udp(proto) && field[0] == 0 && field[1] == 0)
		field[0] = field[1] = 0xff;
}

bool bare_checksum_renew(uint8_t *packet, const struct ip_info *info)
{
	int at = bare_checksum_at(info->proto);
	size_t len = info->total_len - info->l4_off;
	uint8_t *l4 = packet + info->l4_off;

	/* UDP-Lite's and DCCP's do not cover the whole: theirs stays as it is. */
	if (at < 0 || info->proto == PROTO_UDP_LITE || info->proto == PROTO_DCCP)
		return true;
	if ((size_t)at + 2 > len)
		return false;
	uint8_t *field = l4 + at;
	bool udp = info->proto == IP_PROTO_UDP;
	if (udp && info->version == 4 && field[0] == 0 && field[1] == 0)
		return true;
	struct writer w = writer_of(field, 2);
	writer_u16(&w, 0);
	uint32_t sum = ip_pseudo_sum(&info->src, &info->dst, info->proto, (uint32_t)len);
	uint16_t checksum = ip_fold(ip_sum(l4, len, sum));
	w = writer_of(field, 2);
	writer_u16(&w, checksum == 0 && udp ? 0xffff : checksum);
	return true;
}
