/* SPDX-License-Identifier: MIT */
/*
 * What lies above IP: UDP for the control messages, ICMP "too big", the MSS of a TCP SYN, and
 * the cutting of IPv4 packets.
 *
 * Pure functions over the caller's memory, without state; any thread.  RFC 768, RFC 792 and
 * RFC 1191, RFC 1812 4.3.2 (when and what an ICMP error quotes), RFC 4443 2.4, RFC 9293 3.7.1
 * (MSS), RFC 791 3.2 (fragments).
 */
#include "wire/ip.h"

#include <string.h>
#include "base/cursor.h"

#define IP_L4_TTL 64

#define ICMP_HEADER_LEN	  8
#define ICMP_UNREACHABLE  3
#define ICMP_FRAG_NEEDED  4
#define ICMP6_TOO_BIG	  2
#define ICMP6_REDIRECT	  137
#define ICMP6_INFORMATION 128 /* below are errors */
#define ICMP4_ERROR_MAX	  576 /* RFC 1812 4.3.2.3 */
#define ICMP6_ERROR_MAX	  1280
#define ICMP_TOS	  0xc0 /* internetwork control, RFC 1812 4.3.2.5 */

#define TCP_SYN	    0x02
#define TCP_OPT_END 0
#define TCP_OPT_NOP 1
#define TCP_OPT_MSS 2

size_t ip_write_udp(uint8_t *p, size_t room, const struct endpoint *src, const struct endpoint *dst,
		    const void *payload, size_t len)
{
	size_t udp_len = UDP_HEADER_LEN + len;
	size_t ip_len = src->addr.family == 4 ? IP4_HEADER_LEN : IP6_HEADER_LEN;

	if (len > UINT16_MAX - UDP_HEADER_LEN || room < ip_len + udp_len)
		return 0;
	/* First the payload: it may lie where the headers go. */
	if (len)
		memmove(p + ip_len + UDP_HEADER_LEN, payload, len);
	if (ip_write_header(p, room, &src->addr, &dst->addr, IP_PROTO_UDP, 0, IP_L4_TTL, udp_len) !=
	    ip_len)
		return 0;

	uint8_t *udp = p + ip_len;
	struct writer w = writer_of(udp, udp_len);
	writer_u16(&w, src->port);
	writer_u16(&w, dst->port);
	writer_u16(&w, (uint16_t)udp_len);
	writer_u16(&w, 0);
	uint32_t sum = ip_pseudo_sum(&src->addr, &dst->addr, IP_PROTO_UDP, (uint32_t)udp_len);
	uint16_t checksum = ip_fold(ip_sum(udp, udp_len, sum));
	w = writer_of(udp + 6, 2);
	writer_u16(&w, checksum ? checksum : 0xffff); /* 0 would mean none */
	return ip_len + udp_len;
}

bool ip_read_udp(const uint8_t *p, const struct ip_info *info, uint16_t *sport, uint16_t *dport,
		 const uint8_t **payload, size_t *payload_len)
{
	if (info->proto != IP_PROTO_UDP || info->fragment || info->l4_off > info->total_len)
		return false;

	const uint8_t *udp = p + info->l4_off;
	size_t left = info->total_len - info->l4_off;
	struct reader r = reader_of(udp, left);
	uint16_t from = reader_u16(&r);
	uint16_t to = reader_u16(&r);
	uint16_t udp_len = reader_u16(&r);
	uint16_t checksum = reader_u16(&r);
	if (r.failed || udp_len < UDP_HEADER_LEN || udp_len > left)
		return false;
	if (checksum) {
		uint32_t sum = ip_pseudo_sum(&info->src, &info->dst, IP_PROTO_UDP, udp_len);
		if (ip_fold(ip_sum(udp, udp_len, sum)) != 0)
			return false;
	} else if (info->version == 6) {
		return false;
	}
	*sport = from;
	*dport = to;
	*payload = udp + UDP_HEADER_LEN;
	*payload_len = udp_len - (size_t)UDP_HEADER_LEN;
	return true;
}

static bool icmp4_is_error(uint8_t type)
{
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

/* Whether the rules let an ICMP error be sent about this packet (RFC 1812 4.3.2.7, RFC 4443
 * 2.4 e). */
static bool icmp_may_answer(const uint8_t *p, const struct ip_info *info)
{
	if (!info->first || addr_is_multicast(&info->dst))
		return false;
	if (addr_is_any(&info->src) || addr_is_multicast(&info->src))
		return false;
	if (info->version == 4 && (info->src.b[0] >= 240 || info->src.b[0] == 127))
		return false;
	if (info->version == 4 && memcmp(info->dst.b, "\xff\xff\xff\xff", 4) == 0)
		return false;
	/* A type that cannot be read might be an error's. */
	if (info->version == 4 && info->proto == IP_PROTO_ICMP)
		return info->l4_off < info->total_len && !icmp4_is_error(p[info->l4_off]);
	if (info->version == 6 && info->proto == IP_PROTO_ICMPV6)
		return info->l4_off < info->total_len && p[info->l4_off] >= ICMP6_INFORMATION &&
		       p[info->l4_off] != ICMP6_REDIRECT;
	return true;
}

size_t ip_write_too_big(uint8_t *p, size_t room, const uint8_t *original, size_t original_len,
			const struct addr *from, uint32_t mtu)
{
	struct ip_info info;

	if (!ip_parse(original, original_len, &info) || from->family != info.version ||
	    !icmp_may_answer(original, &info))
		return 0;

	bool v4 = info.version == 4;
	size_t header_len = (v4 ? IP4_HEADER_LEN : IP6_HEADER_LEN) + (size_t)ICMP_HEADER_LEN;
	size_t max = v4 ? ICMP4_ERROR_MAX : ICMP6_ERROR_MAX;
	if (max > room)
		max = room;
	/* Less than the header and 8 bytes would help nobody (RFC 792). */
	size_t needed = info.l4_off + (size_t)8;
	if (needed > info.total_len)
		needed = info.total_len;
	if (max < header_len + needed)
		return 0;
	size_t quote = max - header_len;
	if (quote > info.total_len)
		quote = info.total_len;

	size_t icmp_len = ICMP_HEADER_LEN + quote;
	uint8_t proto = v4 ? IP_PROTO_ICMP : IP_PROTO_ICMPV6;
	size_t off = ip_write_header(p, room, from, &info.src, proto, v4 ? ICMP_TOS : 0, IP_L4_TTL,
				     icmp_len);
	struct writer w = writer_of(p + off, room - off);
	writer_u8(&w, v4 ? ICMP_UNREACHABLE : ICMP6_TOO_BIG);
	writer_u8(&w, v4 ? ICMP_FRAG_NEEDED : 0);
	writer_u16(&w, 0);
	/* In IPv4 the upper half is unused (RFC 1191 4). */
	writer_u32(&w, v4 && mtu > UINT16_MAX ? UINT16_MAX : mtu);
	writer_bytes(&w, original, quote);
	if (!off || w.failed)
		return 0;
	uint32_t sum = v4 ? 0 : ip_pseudo_sum(from, &info.src, proto, (uint32_t)icmp_len);
	sum = ip_sum(p + off, icmp_len, sum);
	w = writer_of(p + off + 2, 2);
	writer_u16(&w, ip_fold(sum));
	return off + icmp_len;
}

/* Lowers the MSS value at `off` of the TCP header. */
static bool tcp_lower_mss(uint8_t *tcp, size_t off, uint16_t max)
{
	uint16_t before = (uint16_t)(tcp[off] << 8 | tcp[off + 1]);

	if (before <= max)
		return false;
	tcp[off] = (uint8_t)(max >> 8);
	tcp[off + 1] = (uint8_t)max;
	/* At an odd place the value's bytes lie in the other halves of two words. */
	if (off & 1)
		ip_checksum_mend(tcp + 16, __builtin_bswap16(before), __builtin_bswap16(max));
	else
		ip_checksum_mend(tcp + 16, before, max);
	return true;
}

bool ip_clamp_mss(uint8_t *p, size_t len, uint32_t mtu)
{
	struct ip_info info;
	uint32_t headers;

	if (!ip_parse(p, len, &info) || info.proto != IP_PROTO_TCP || !info.first)
		return false;
	headers = TCP_HEADER_LEN + (info.version == 4 ? IP4_HEADER_LEN : IP6_HEADER_LEN);
	if (mtu <= headers || mtu - headers >= UINT16_MAX)
		return false;

	uint8_t *tcp = p + info.l4_off;
	struct reader r = reader_of(tcp, info.total_len - info.l4_off);
	reader_skip(&r, 12);
	size_t header_len = (size_t)(reader_u8(&r) >> 4) * 4;
	uint8_t flags = reader_u8(&r);
	reader_skip(&r, 6);
	if (r.failed || !(flags & TCP_SYN) || header_len < TCP_HEADER_LEN)
		return false;
	struct reader options = reader_sub(&r, header_len - TCP_HEADER_LEN);
	bool changed = false;
	while (!options.failed && reader_left(&options)) {
		uint8_t kind = reader_u8(&options);
		if (kind == TCP_OPT_END)
			break;
		if (kind == TCP_OPT_NOP)
			continue;
		uint8_t opt_len = reader_u8(&options);
		if (opt_len < 2)
			break;
		const uint8_t *value = reader_bytes(&options, opt_len - 2u);
		if (value && kind == TCP_OPT_MSS && opt_len == 4)
			changed |=
			    tcp_lower_mss(tcp, (size_t)(value - tcp), (uint16_t)(mtu - headers));
	}
	return changed;
}

/* The options that every fragment carries (RFC 791 3.1, the copied flag), padded to 4 bytes.
 * Returns their length; options that cannot be read are left out from there on. */
static size_t ip4_copied_options(const uint8_t *ip4, size_t header_len, uint8_t out[40])
{
	struct reader r = reader_of(ip4 + IP4_HEADER_LEN, header_len - IP4_HEADER_LEN);
	struct writer w = writer_of(out, 40);

	while (reader_left(&r)) {
		const uint8_t *option = r.p;
		uint8_t type = reader_u8(&r);
		if (type == 0)
			break;
		if (type == 1)
			continue;
		uint8_t len = reader_u8(&r);
		if (r.failed || len < 2)
			break;
		reader_skip(&r, len - 2u);
		if (r.failed)
			break;
		if (type & 0x80)
			writer_bytes(&w, option, len);
	}
	while (writer_len(&w) % 4)
		writer_u8(&w, 0);
	return writer_len(&w);
}

struct ip4_cut {
	const uint8_t *p; /* the whole packet */
	size_t header_len;
	uint8_t options[40];
	size_t options_len;
};

/* Builds the fragment of `len` bytes of data at `off`; `field` is flags and offset. */
static size_t ip4_write_fragment(uint8_t *out, const struct ip4_cut *cut, size_t off, size_t len,
				 uint16_t field)
{
	size_t header_len = off ? IP4_HEADER_LEN + cut->options_len : cut->header_len;

	memcpy(out, cut->p, off ? IP4_HEADER_LEN : cut->header_len);
	if (off && cut->options_len)
		memcpy(out + IP4_HEADER_LEN, cut->options, cut->options_len);
	memcpy(out + header_len, cut->p + cut->header_len + off, len);
	out[0] = (uint8_t)(0x40 | header_len / 4);
	struct writer w = writer_of(out + 2, 2);
	writer_u16(&w, (uint16_t)(header_len + len));
	w = writer_of(out + 6, 2);
	writer_u16(&w, field);
	ip4_set_checksum(out);
	return header_len + len;
}

unsigned ip4_fragment(const uint8_t *p, size_t len, uint32_t mtu, uint8_t *scratch,
		      void (*emit)(void *ctx, const uint8_t *fragment, size_t len), void *ctx)
{
	struct ip_info info;

	if (!ip_parse(p, len, &info) || info.version != 4)
		return 0;
	if (info.total_len <= mtu) {
		memcpy(scratch, p, info.total_len);
		emit(ctx, scratch, info.total_len);
		return 1;
	}
	struct ip4_cut cut = {.p = p, .header_len = info.l4_off};
	if (info.df || mtu < cut.header_len + 8)
		return 0;
	cut.options_len = ip4_copied_options(p, cut.header_len, cut.options);

	/* The packet may be a fragment itself: its place and its "more" flag stay true. */
	uint16_t field = (uint16_t)(p[6] << 8 | p[7]);
	size_t base = (size_t)(field & 0x1fff) * 8;
	size_t data_len = info.total_len - cut.header_len;
	if (base + data_len > UINT16_MAX)
		return 0;
	unsigned count = 0;
	for (size_t off = 0; off < data_len; count++) {
		size_t header_len = off ? IP4_HEADER_LEN + cut.options_len : cut.header_len;
		size_t n = data_len - off;
		uint16_t more = field & 0x2000;
		if (n > mtu - header_len) {
			n = (mtu - header_len) & ~(size_t)7;
			more = 0x2000;
		}
		uint16_t place = (uint16_t)(more | ((base + off) / 8));
		emit(ctx, scratch, ip4_write_fragment(scratch, &cut, off, n, place));
		off += n;
	}
	return count;
}
