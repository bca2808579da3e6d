/* SPDX-License-Identifier: MIT */
/*
 * Whatever arrives as an IP packet: parsed, clamped, answered and cut.  What is written must
 * read as what it was.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "wire/bare.h"
#include "wire/ip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct pieces {
	uint32_t mtu;
	size_t data_len;
};

static void check_fragment(void *ctx, const uint8_t *fragment, size_t len)
{
	struct pieces *pieces = ctx;
	struct ip_info info;

	assert(len <= pieces->mtu);
	assert(ip_parse(fragment, len, &info));
	assert(info.total_len == len);
	pieces->data_len += len - info.l4_off;
}

static void check_fragments(const uint8_t *p, size_t len, const struct ip_info *info, uint32_t mtu)
{
	struct pieces pieces = {.mtu = mtu};
	uint8_t *scratch = malloc(mtu);

	assert(scratch);
	if (ip4_fragment(p, len, mtu, scratch, check_fragment, &pieces))
		assert(pieces.data_len == info->total_len - info->l4_off);
	else
		assert(pieces.data_len == 0);
	free(scratch);
}

static void check_too_big(const uint8_t *p, size_t len, const struct ip_info *info)
{
	static const uint8_t from_bytes[16] = {0xfd, 1};
	struct addr from = addr_from_bytes(info->version, from_bytes);
	struct ip_info error;
	uint8_t out[1400], again[1400];

	size_t n = ip_write_too_big(out, sizeof(out), p, len, &from, 1280);
	if (!n)
		return;
	assert(ip_parse(out, n, &error));
	assert(error.total_len == n && addr_equal(&error.dst, &info->src));
	assert(ip_write_too_big(again, sizeof(again), out, n, &from, 1280) == 0);
}

static void check_udp(const uint8_t *p, const struct ip_info *info)
{
	struct endpoint src = {.addr = info->src}, dst = {.addr = info->dst};
	const uint8_t *payload, *payload2;
	size_t payload_len, payload_len2;
	struct ip_info info2;

	if (!ip_read_udp(p, info, &src.port, &dst.port, &payload, &payload_len))
		return;
	size_t room = payload_len + 64;
	uint8_t *out = malloc(room);
	assert(out);
	size_t n = ip_write_udp(out, room, &src, &dst, payload, payload_len);
	assert(n && ip_parse(out, n, &info2));
	uint16_t sport, dport;
	assert(ip_read_udp(out, &info2, &sport, &dport, &payload2, &payload_len2));
	assert(sport == src.port && dport == dst.port && payload_len == payload_len2);
	assert(memcmp(payload, payload2, payload_len) == 0);
	free(out);
}

static void check_ecn(uint8_t *p, size_t len, const struct ip_info *info)
{
	bool sound = info->version == 4 && ip4_checksum_ok(p, len);
	struct ip_info after;

	if (!ip_ecn_decapsulate(p, ECN_CE)) {
		assert((info->tos & ECN_MASK) == ECN_NOT_ECT);
		return;
	}
	assert(ip_parse(p, len, &after));
	assert(after.tos == (info->tos | ECN_CE));
	assert(!sound || ip4_checksum_ok(p, len));
}

static void build(const struct bare_plan *plan, uint8_t family, const struct addr *src,
		  const struct addr *dst, uint8_t tos)
{
	uint32_t len = bare_packet_len(plan, family);
	uint8_t *p = malloc(len);
	struct ip_info info;

	assert(p);
	bare_build(plan, src, dst, tos, p);
	if (ip_parse(p, len, &info)) {
		assert(info.version == family && info.total_len == len && info.tos == tos);
		assert(addr_equal(&info.src, src) && addr_equal(&info.dst, dst));
		assert(family == 6 || info.l4_off == IP4_HEADER_LEN + plan->options_len);
		(void)!bare_checksum_renew(p, &info);
	} else {
		assert(family == 6); /* its extension headers are anybody's */
	}
	free(p);
}

/* What is carried without its header is built again as it was. */
static void check_bare(const uint8_t *data, const struct ip_info *info, bool beet)
{
	struct bare bare;
	struct bare_plan plan;

	if (bare_take(data, info, beet, &bare) != BARE_OK)
		return;
	size_t len = (size_t)bare.head_len + bare.body_len;
	uint8_t *wire = malloc(len + 1);
	assert(wire);
	memcpy(wire, bare.head, bare.head_len);
	memcpy(wire + bare.head_len, bare.body, bare.body_len);
	if (bare_read(wire, len, bare.next_header, info->version, beet, &plan) == BARE_OK) {
		uint32_t whole = bare_packet_len(&plan, info->version);
		assert(whole == info->total_len || info->proto == 94);
		build(&plan, info->version, &info->src, &info->dst, info->tos);
	} else {
		assert(info->proto == 94);
	}
	size_t l4 = info->l4_off - (size_t)(bare.body - data);
	bare_checksum_change(wire + bare.head_len + l4, bare.body_len - l4, info->proto, 0x1234,
			     0xfedc);
	free(wire);
}

/* The same bytes as what was opened of ESP. */
static void check_opened(const uint8_t *data, size_t len)
{
	static const uint8_t bytes[16] = {10, 1, 0, 1};
	for (unsigned i = 0; len && i < 4; i++) {
		uint8_t family = i & 1 ? 6 : 4;
		struct addr a = addr_from_bytes(family, bytes), b = a;
		struct bare_plan plan;
		b.b[3] = 2;
		if (bare_read(data + 1, len - 1, data[0], family, i & 2, &plan) == BARE_OK)
			build(&plan, family, &a, &b, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ip_info info, after;
	struct addr dst;

	(void)ip4_checksum_ok(data, len);
	check_opened(data, len);
	if (!ip_parse(data, len, &info)) {
		(void)ip_dst(data, len, &dst);
		return 0;
	}
	assert(info.total_len <= len && info.l4_off <= info.total_len);
	assert(ip_dst(data, len, &dst) && addr_equal(&dst, &info.dst));
	check_udp(data, &info);
	check_bare(data, &info, false);
	check_bare(data, &info, true);
	check_too_big(data, len, &info);
	check_fragments(data, len, &info, 68);
	check_fragments(data, len, &info, 576);

	uint8_t *p = malloc(len);
	assert(p);
	memcpy(p, data, len);
	if (ip_clamp_mss(p, len, 536)) {
		assert(ip_parse(p, len, &after) && after.total_len == info.total_len);
		assert(!ip_clamp_mss(p, len, 536));
	}
	memcpy(p, data, len);
	check_ecn(p, len, &info);
	free(p);
	return 0;
}
