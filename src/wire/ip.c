/* SPDX-License-Identifier: MIT */
/*
 * IP headers: parsing, checksums, writing, and the ECN rules of a tunnel's end.  What lies
 * above IP is in ip_l4.c, the sum of checksums in ip_sum.c.
 *
 * Pure functions over the caller's memory, without state; any thread.  Everything here may be
 * called per packet.  RFC 791, RFC 8200 (extension headers section 4), RFC 1071 and RFC 1624
 * (checksum and its update), RFC 6040 (ECN).
 */
#include "wire/ip.h"

#include <string.h>
#include "base/cursor.h"

/* More extension headers than this in one packet are nobody's honest traffic. */
#define IP6_EXT_MAX 8

#define IP4_FLAG_DF	0x4000u
#define IP4_FLAG_MF	0x2000u
#define IP4_OFFSET_MASK 0x1fffu

static bool ip4_parse(const uint8_t *p, size_t len, struct ip_info *out)
{
	struct reader r = reader_of(p, len);
	uint8_t first = reader_u8(&r);
	uint8_t tos = reader_u8(&r);
	uint16_t total_len = reader_u16(&r);
	reader_skip(&r, 2);
	uint16_t frag = reader_u16(&r);
	uint8_t ttl = reader_u8(&r);
	uint8_t proto = reader_u8(&r);
	reader_skip(&r, 2);
	const uint8_t *src = reader_bytes(&r, 4);
	const uint8_t *dst = reader_bytes(&r, 4);
	uint16_t header_len = (uint16_t)((first & 0x0f) * 4);

	if (r.failed || header_len < IP4_HEADER_LEN || total_len < header_len || total_len > len)
		return false;
	*out = (struct ip_info){
	    .version = 4,
	    .proto = proto,
	    .tos = tos,
	    .ttl = ttl,
	    .df = frag & IP4_FLAG_DF,
	    .fragment = frag & (IP4_FLAG_MF | IP4_OFFSET_MASK),
	    .first = !(frag & IP4_OFFSET_MASK),
	    .l4_off = header_len,
	    .total_len = total_len,
	    .src = addr_from_bytes(4, src),
	    .dst = addr_from_bytes(4, dst),
	};
	return true;
}

/*
 * Passes the extension headers (RFC 8200 section 4): r stands behind the fixed header, and
 * out->proto is its next header.  Ends at the upper layer, or behind the fragment header of a
 * fragment with an offset, whose rest is the middle of something.
 */
static bool ip6_pass_extensions(struct reader *r, struct ip_info *out)
{
	for (unsigned i = 0; i <= IP6_EXT_MAX; i++) {
		uint8_t next, ext_len;
		uint16_t frag;

		switch (out->proto) {
		case 0:	 /* hop-by-hop */
		case 43: /* routing */
		case 60: /* destination options */
			next = reader_u8(r);
			ext_len = reader_u8(r);
			reader_skip(r, 6 + (size_t)ext_len * 8);
			break;
		case 44: /* fragment */
			next = reader_u8(r);
			reader_skip(r, 1);
			frag = reader_u16(r);
			reader_skip(r, 4);
			if (r->failed)
				return false;
			/* Neither offset nor more to come is a whole packet (RFC 6946). */
			out->fragment = out->fragment || (frag & 0xfff9u);
			out->first = !(frag & 0xfff8u);
			out->proto = next;
			if (!out->first)
				return true;
			continue;
		case IP_PROTO_AH: /* counts in 4 bytes, less 2 (RFC 4302 2.2) */
			next = reader_u8(r);
			ext_len = reader_u8(r);
			reader_skip(r, ((size_t)ext_len + 2) * 4 - 2);
			break;
		default:
			return true;
		}
		if (r->failed)
			return false;
		out->proto = next;
	}
	return false;
}

static bool ip6_parse(const uint8_t *p, size_t len, struct ip_info *out)
{
	struct reader r = reader_of(p, len);
	uint32_t first = reader_u32(&r);
	uint16_t payload_len = reader_u16(&r);
	uint8_t next = reader_u8(&r);
	uint8_t ttl = reader_u8(&r);
	const uint8_t *src = reader_bytes(&r, 16);
	const uint8_t *dst = reader_bytes(&r, 16);

	if (r.failed || payload_len > reader_left(&r))
		return false;
	struct ip_info info = {
	    .version = 6,
	    .proto = next,
	    .tos = (uint8_t)(first >> 20),
	    .ttl = ttl,
	    .df = true,
	    .first = true,
	    .total_len = (uint32_t)IP6_HEADER_LEN + payload_len,
	    .src = addr_from_bytes(6, src),
	    .dst = addr_from_bytes(6, dst),
	};
	struct reader payload = reader_sub(&r, payload_len);
	if (!ip6_pass_extensions(&payload, &info))
		return false;
	/* The length field bounds the payload, but 40 + 65535 bytes of extensions would not fit
	 * the offset. */
	size_t off = (size_t)(payload.p - p);
	if (off > UINT16_MAX)
		return false;
	info.l4_off = (uint16_t)off;
	*out = info;
	return true;
}

bool ip_parse(const uint8_t *p, size_t len, struct ip_info *out)
{
	if (!len)
		return false;
	if (p[0] >> 4 == 4)
		return ip4_parse(p, len, out);
	return p[0] >> 4 == 6 && ip6_parse(p, len, out);
}

bool ip_dst(const uint8_t *p, size_t len, struct addr *dst)
{
	if (len >= IP4_HEADER_LEN && p[0] >> 4 == 4) {
		*dst = addr_from_bytes(4, p + 16);
		return true;
	}
	if (len >= IP6_HEADER_LEN && p[0] >> 4 == 6) {
		*dst = addr_from_bytes(6, p + 24);
		return true;
	}
	return false;
}

uint16_t ip_fold(uint32_t sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

void ip_checksum_mend(uint8_t *field, uint16_t before, uint16_t after)
{
	uint16_t old = (uint16_t)(field[0] << 8 | field[1]);
	uint32_t sum = (uint16_t)~old;

	/* RFC 1624 equation 3: HC' = ~(~HC + ~m + m') */
	sum += (uint16_t)~before;
	sum += after;
	uint16_t mended = ip_fold(sum);
	field[0] = (uint8_t)(mended >> 8);
	field[1] = (uint8_t)mended;
}

uint32_t ip_pseudo_sum(const struct addr *src, const struct addr *dst, uint8_t proto,
		       uint32_t l4_len)
{
	uint32_t sum = ip_sum(src->b, addr_len(src), 0);

	sum = ip_sum(dst->b, addr_len(dst), sum);
	return sum + (l4_len >> 16) + (l4_len & 0xffff) + proto;
}

static size_t ip4_header_len(const uint8_t *ip4)
{
	return (size_t)(ip4[0] & 0x0f) * 4;
}

void ip4_set_checksum(uint8_t *ip4)
{
	ip4[10] = 0;
	ip4[11] = 0;
	uint16_t sum = ip_fold(ip_sum(ip4, ip4_header_len(ip4), 0));
	ip4[10] = (uint8_t)(sum >> 8);
	ip4[11] = (uint8_t)sum;
}

bool ip4_checksum_ok(const uint8_t *ip4, size_t len)
{
	if (len < IP4_HEADER_LEN || ip4[0] >> 4 != 4)
		return false;
	size_t header_len = ip4_header_len(ip4);
	if (header_len < IP4_HEADER_LEN || header_len > len)
		return false;
	return ip_fold(ip_sum(ip4, header_len, 0)) == 0;
}

/* RFC 6040 figure 4: what arrives, by inner (row) and outer (column) ECN field. */
#define ECN_DROP 4
static const uint8_t ecn_arriving[4][4] = {
    /* outer:  not-ECT ECT(1) ECT(0) CE */
    [0] = {0, 0, 0, ECN_DROP},
    [1] = {1, 1, 1, ECN_CE},
    [2] = {2, 1, 2, ECN_CE},
    [3] = {3, 3, 3, ECN_CE},
};

bool ip_ecn_decapsulate(uint8_t *inner, uint8_t outer_tos)
{
	bool v4 = inner[0] >> 4 == 4;
	unsigned tos = v4 ? inner[1] : (inner[0] & 0x0fu) << 4 | inner[1] >> 4;
	uint8_t ecn = ecn_arriving[tos & ECN_MASK][outer_tos & ECN_MASK];

	if (ecn == ECN_DROP)
		return false;
	if (ecn == (tos & ECN_MASK))
		return true;
	if (v4) {
		uint16_t before = (uint16_t)(inner[0] << 8 | inner[1]);
		inner[1] = (uint8_t)((inner[1] & ~ECN_MASK) | ecn);
		ip_checksum_mend(inner + 10, before, (uint16_t)(inner[0] << 8 | inner[1]));
	} else {
		inner[1] = (uint8_t)((inner[1] & ~(ECN_MASK << 4)) | ecn << 4);
	}
	return true;
}

static size_t ip4_write_header(uint8_t *p, size_t room, const struct addr *src,
			       const struct addr *dst, uint8_t proto, uint8_t tos, uint8_t ttl,
			       size_t payload_len)
{
	struct writer w = writer_of(p, room);

	if (payload_len > UINT16_MAX - IP4_HEADER_LEN)
		return 0;
	writer_u8(&w, 0x45);
	writer_u8(&w, tos);
	writer_u16(&w, (uint16_t)(IP4_HEADER_LEN + payload_len));
	writer_u16(&w, 0);
	writer_u16(&w, IP4_FLAG_DF);
	writer_u8(&w, ttl);
	writer_u8(&w, proto);
	writer_u16(&w, 0);
	writer_bytes(&w, src->b, 4);
	writer_bytes(&w, dst->b, 4);
	if (w.failed)
		return 0;
	ip4_set_checksum(p);
	return writer_len(&w);
}

size_t ip_write_header(uint8_t *p, size_t room, const struct addr *src, const struct addr *dst,
		       uint8_t proto, uint8_t tos, uint8_t ttl, size_t payload_len)
{
	if (src->family != dst->family)
		return 0;
	if (src->family == 4)
		return ip4_write_header(p, room, src, dst, proto, tos, ttl, payload_len);
	if (src->family != 6 || payload_len > UINT16_MAX)
		return 0;

	struct writer w = writer_of(p, room);
	writer_u32(&w, 6u << 28 | (uint32_t)tos << 20);
	writer_u16(&w, (uint16_t)payload_len);
	writer_u8(&w, proto);
	writer_u8(&w, ttl);
	writer_bytes(&w, src->b, 16);
	writer_bytes(&w, dst->b, 16);
	return w.failed ? 0 : writer_len(&w);
}
