/* SPDX-License-Identifier: MIT */
/*
 * The authentication header (RFC 4302), and which fields of the headers before it are mutable
 * (3.3.3.1, appendix A).
 *
 * An IPv4 option is one unit: it is immutable as a whole, if it is in the list of A1, or counts as
 * zero as a whole, unknown ones too.  An IPv6 option says itself whether its data may change (RFC
 * 8200 4.2).  The only extension headers that may stand before AH are the three listed here.
 *
 * Pure functions over the caller's memory; any thread.  Everything may be called per packet.
 */
#include "wire/ah.h"

#include <string.h>
#include "base/cursor.h"
#include "wire/ip.h"

#define IP4_OPTION_END	0
#define IP4_OPTION_NOP	1
#define IP4_TTL		64
#define IP4_DF		0x40
#define IP6_OPTION_PAD1 0
#define IP6_MUTABLE	0x20 /* of an option's type: its data may change on the way */
#define IP6_EXT_MAX	8    /* extension headers of one packet */

enum { IP6_HOP_BY_HOP = 0, IP6_ROUTING = 43, IP6_DESTINATION = 60 };

/* --- the header itself */

size_t ah_write(uint8_t *p, size_t room, const struct ah_header *h)
{
	struct writer w = writer_of(p, room);

	if (h->len < AH_FIXED_LEN || h->len > AH_LEN_MAX || h->len % 4)
		return 0;
	writer_u8(&w, h->next_header);
	writer_u8(&w, (uint8_t)(h->len / 4 - 2));
	writer_u16(&w, 0);
	writer_u32(&w, h->spi);
	writer_u32(&w, h->seq);
	writer_zero(&w, h->len - (size_t)AH_FIXED_LEN);
	return w.failed ? 0 : writer_len(&w);
}

bool ah_read(const uint8_t *p, size_t len, struct ah_header *out)
{
	struct reader r = reader_of(p, len);
	uint8_t next_header = reader_u8(&r);
	uint16_t header_len = (uint16_t)((reader_u8(&r) + 2) * 4);

	reader_skip(&r, 2);
	uint32_t spi = reader_u32(&r), seq = reader_u32(&r);
	if (r.failed || header_len < AH_FIXED_LEN || header_len > len)
		return false;
	*out = (struct ah_header){
	    .next_header = next_header, .len = header_len, .spi = spi, .seq = seq};
	return true;
}

/* --- IPv4 */

static bool ip4_option_is_immutable(uint8_t type)
{
	switch (type) {
	case 0x82: /* security */
	case 0x85: /* extended security */
	case 0x86: /* commercial security */
	case 0x94: /* router alert */
	case 0x95: /* sender directed multi-destination delivery */
		return true;
	default: /* of the network's numbers */
		return false;
	}
}

/* The next option's length and type; 0: that was the last, or (failed) they are not sound. */
static size_t ip4_option(struct reader *r, uint8_t *type)
{
	if (reader_left(r) == 0)
		return 0;
	*type = reader_u8(r);
	if (*type == IP4_OPTION_END)
		return 0;
	if (*type == IP4_OPTION_NOP)
		return 1;
	size_t len = reader_u8(r);
	if (len < 2)
		r->failed = true;
	else
		reader_skip(r, len - 2);
	return r->failed ? 0 : len;
}

static bool ip4_options_zero(uint8_t *options, size_t len, bool apply)
{
	struct reader r = reader_of(options, len);
	uint8_t type;
	size_t option_len;

	while ((option_len = ip4_option(&r, &type))) {
		uint8_t *option = options + (len - reader_left(&r)) - option_len;
		if (apply && type != IP4_OPTION_NOP && !ip4_option_is_immutable(type))
			memset(option, 0, option_len);
	}
	return !r.failed;
}

bool ah_zero_ip4(uint8_t *ip, size_t len)
{
	if (len < IP4_HEADER_LEN || ip[0] >> 4 != 4 || (ip[0] & 15u) * 4u != len ||
	    !ip4_options_zero(ip + IP4_HEADER_LEN, len - IP4_HEADER_LEN, false))
		return false;
	ip[1] = 0;	     /* DSCP, ECN */
	ip[6] = ip[7] = 0;   /* flags, offset */
	ip[8] = 0;	     /* TTL */
	ip[10] = ip[11] = 0; /* checksum */
	return ip4_options_zero(ip + IP4_HEADER_LEN, len - IP4_HEADER_LEN, true);
}

/* --- IPv6 */

/* Hop-by-hop or destination options: p from the header's first octet. */
static bool ip6_options_zero(uint8_t *p, size_t len, bool apply)
{
	struct reader r = reader_of(p, len);

	reader_skip(&r, 2);
	while (!r.failed && reader_left(&r) > 0) {
		uint8_t type = reader_u8(&r);
		if (type == IP6_OPTION_PAD1)
			continue;
		size_t data_len = reader_u8(&r);
		uint8_t *data = p + (len - reader_left(&r));
		reader_skip(&r, data_len);
		if (apply && !r.failed && (type & IP6_MUTABLE))
			memset(data, 0, data_len);
	}
	return !r.failed;
}

/* Segments left of 0 and the addresses behind it are as they were foreseen. */
static bool ip6_routing_ended(const uint8_t *p)
{
	return p[3] == 0;
}

static bool ip6_extensions_zero(uint8_t *ip, size_t len, bool apply)
{
	struct reader r = reader_of(ip, len);
	reader_skip(&r, 6);
	uint8_t next = reader_u8(&r);

	reader_skip(&r, IP6_HEADER_LEN - 7);
	for (unsigned i = 0; i <= IP6_EXT_MAX && !r.failed; i++) {
		size_t left = reader_left(&r);
		if (next == IP_PROTO_AH)
			return left == 0;
		if (next != IP6_HOP_BY_HOP && next != IP6_ROUTING && next != IP6_DESTINATION)
			return false;
		uint8_t *ext = ip + (len - left);
		uint8_t kind = next;
		next = reader_u8(&r);
		size_t ext_len = ((size_t)reader_u8(&r) + 1) * 8;
		reader_skip(&r, ext_len - 2);
		if (r.failed || !(kind == IP6_ROUTING ? ip6_routing_ended(ext)
						      : ip6_options_zero(ext, ext_len, apply)))
			return false;
	}
	return false;
}

bool ah_zero_ip6(uint8_t *ip, size_t len)
{
	if (len < IP6_HEADER_LEN || ip[0] >> 4 != 6 || !ip6_extensions_zero(ip, len, false))
		return false;
	ip[0] = 0x60; /* class, flow label */
	ip[1] = ip[2] = ip[3] = 0;
	ip[7] = 0; /* hop limit */
	return ip6_extensions_zero(ip, len, true);
}

/* --- ours */

size_t ah_write_ip(uint8_t *p, size_t room, const struct addr *src, const struct addr *dst,
		   uint16_t id, size_t payload_len)
{
	size_t len = ip_write_header(p, room, src, dst, IP_PROTO_AH, 0, 0, payload_len);
	bool ok = len == IP4_HEADER_LEN ? ah_zero_ip4(p, len) : len && ah_zero_ip6(p, len);
	if (!ok)
		return 0;
	if (len == IP4_HEADER_LEN) {
		p[4] = (uint8_t)(id >> 8);
		p[5] = (uint8_t)id;
	}
	return len;
}

void ah_finish_ip4(uint8_t *ip, uint8_t tos, bool df)
{
	ip[1] = tos;
	ip[6] = df ? IP4_DF : 0;
	ip[8] = IP4_TTL;
	ip4_set_checksum(ip);
}
