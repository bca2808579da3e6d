/* SPDX-License-Identifier: MIT */
/*
 * Mobility Header messages: what was read, written again, reads the same.  The checksum is
 * made right first, else nothing would come past it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "wire/ip.h"
#include "wire/mip6.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct addr src = {.family = 6, .b = {0x20, 1, 0xd, 0xb8, [15] = 2}};
static const struct addr dst = {.family = 6, .b = {0x20, 1, 0xd, 0xb8, [15] = 1}};

static void check_update(const uint8_t *p, size_t len)
{
	struct mip6_update m, back;
	uint8_t out[MIP6_MESSAGE_MAX];

	if (!mip6_read_update(p, len, &src, &dst, &m))
		return;
	assert(m.spi_count <= MIP4_SPIS_MAX);
	size_t n = mip6_write_update(out, sizeof(out), &src, &dst, &m);
	assert(n && n % 8 == 0);
	assert(mip6_read_update(out, n, &src, &dst, &back));
	assert(m.sequence == back.sequence && m.flags == back.flags);
	assert(m.lifetime_4s == back.lifetime_4s && m.has_care_of == back.has_care_of);
	assert(addr_equal(&m.care_of, &back.care_of));
	assert(m.has_epoch == back.has_epoch && m.epoch == back.epoch);
	assert(m.has_connections == back.has_connections && m.op == back.op);
	assert(m.spi_count == back.spi_count);
	assert(memcmp(m.spis, back.spis, sizeof(m.spis)) == 0);
}

static void check_ack(const uint8_t *p, size_t len)
{
	struct mip6_ack m, back;
	uint8_t out[MIP6_MESSAGE_MAX];

	if (!mip6_read_ack(p, len, &src, &dst, &m))
		return;
	assert(m.result_count <= MIP4_SPIS_MAX && mip6_status_text(m.status));
	size_t n = mip6_write_ack(out, sizeof(out), &src, &dst, &m);
	assert(n && n % 8 == 0);
	assert(mip6_read_ack(out, n, &src, &dst, &back));
	assert(m.status == back.status && m.key_mgmt == back.key_mgmt);
	assert(m.sequence == back.sequence && m.lifetime_4s == back.lifetime_4s);
	assert(m.result_count == back.result_count);
	for (size_t i = 0; i < m.result_count; i++) {
		assert(m.results[i].spi == back.results[i].spi);
		assert(m.results[i].code == back.results[i].code);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_update(data, len);
	check_ack(data, len);
	if (len < 8)
		return 0;
	size_t mh_len = (data[1] + (size_t)1) * 8;
	if (mh_len > len)
		return 0;
	uint8_t *p = malloc(len);
	assert(p);
	memcpy(p, data, len);
	p[4] = p[5] = 0;
	uint32_t sum = ip_pseudo_sum(&src, &dst, IP_PROTO_MH, (uint32_t)mh_len);
	uint16_t checksum = ip_fold(ip_sum(p, mh_len, sum));
	p[4] = (uint8_t)(checksum >> 8);
	p[5] = (uint8_t)checksum;
	check_update(p, len);
	check_ack(p, len);
	free(p);
	return 0;
}
