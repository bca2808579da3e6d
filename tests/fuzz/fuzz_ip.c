/* SPDX-License-Identifier: MIT */
/*
 * Whatever arrives as an IP packet: parsed, clamped, answered and cut.  What is written must
 * read as what it was.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ip_info info, after;
	struct addr dst;

	(void)ip4_checksum_ok(data, len);
	if (!ip_parse(data, len, &info)) {
		(void)ip_dst(data, len, &dst);
		return 0;
	}
	assert(info.total_len <= len && info.l4_off <= info.total_len);
	assert(ip_dst(data, len, &dst) && addr_equal(&dst, &info.dst));
	check_udp(data, &info);
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
