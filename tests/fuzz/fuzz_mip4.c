/* SPDX-License-Identifier: MIT */
/* Registration messages: what was read, written again, reads the same. */
#include <assert.h>
#include <string.h>
#include "wire/mip4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_span(const struct mip4_ext *e, const uint8_t *data, size_t len)
{
	if (!e->has_auth) {
		assert(!e->auth);
		return;
	}
	assert(e->auth == data + e->auth_covers);
	assert(e->auth_len > 0 && e->auth_covers + e->auth_len <= len);
}

static void check_same(const struct mip4_ext *a, const struct mip4_ext *b)
{
	assert(!a->has_auth || a->auth_spi == b->auth_spi);
	assert(a->has_epoch == b->has_epoch && a->epoch == b->epoch);
	assert(a->has_connections == b->has_connections && a->op == b->op);
	assert(a->spi_count == b->spi_count && a->spi_count <= MIP4_SPIS_MAX);
	assert(memcmp(a->spis, b->spis, sizeof(a->spis)) == 0);
	assert(a->result_count == b->result_count && a->result_count <= MIP4_SPIS_MAX);
	for (size_t i = 0; i < a->result_count; i++) {
		assert(a->results[i].spi == b->results[i].spi);
		assert(a->results[i].code == b->results[i].code);
	}
}

static void check_request(const uint8_t *data, size_t len)
{
	struct mip4_request m, back;
	uint8_t out[MIP4_MESSAGE_MAX];
	size_t auth_off;

	enum mip4_verdict v = mip4_read_request(data, len, &m);
	check_span(&m.ext, data, len);
	if (v != MIP4_OK)
		return;
	size_t n = mip4_write_request(out, sizeof(out), &m, &auth_off);
	assert(n && auth_off + MIP4_AUTH_LEN == n);
	assert(mip4_read_request(out, n, &back) == MIP4_OK);
	assert(m.flags == back.flags && m.lifetime_s == back.lifetime_s);
	assert(memcmp(m.home, back.home, 4) == 0 && memcmp(m.care_of, back.care_of, 4) == 0);
	assert(memcmp(m.home_agent, back.home_agent, 4) == 0);
	assert(m.identification == back.identification);
	assert(back.ext.auth_covers == auth_off && back.ext.auth_len == MIP4_AUTH_LEN);
	check_same(&m.ext, &back.ext);
}

static void check_reply(const uint8_t *data, size_t len)
{
	struct mip4_reply m, back;
	uint8_t out[MIP4_MESSAGE_MAX];
	size_t auth_off;

	enum mip4_verdict v = mip4_read_reply(data, len, &m);
	check_span(&m.ext, data, len);
	if (v != MIP4_OK)
		return;
	size_t n = mip4_write_reply(out, sizeof(out), &m, &auth_off);
	assert(n && auth_off + MIP4_AUTH_LEN == n);
	assert(mip4_read_reply(out, n, &back) == MIP4_OK);
	assert(m.code == back.code && m.lifetime_s == back.lifetime_s);
	assert(memcmp(m.home, back.home, 4) == 0);
	assert(memcmp(m.home_agent, back.home_agent, 4) == 0);
	assert(m.identification == back.identification);
	assert(mip4_code_text(m.code));
	/* A timestamp is finer than a microsecond, but never coarser. */
	uint64_t us = mip4_wall_us(m.identification);
	assert(mip4_wall_us(mip4_identification(us)) == us);
	check_same(&m.ext, &back.ext);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_request(data, len);
	check_reply(data, len);
	return 0;
}
