/* SPDX-License-Identifier: MIT */
/* Headers of transport and BEET mode: what is carried of a packet, and what is built of it. */
#include <stdlib.h>
#include "vectors.h"
#include "wire/bare.h"

#define MAX 256

struct made {
	uint8_t p[MAX];
	size_t len;
	struct ip_info info;
};

static struct addr text_addr(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

/* A UDP packet with so many bytes of options behind an IPv4 header. */
static struct made udp4(uint8_t options_len)
{
	struct made m = {.len = 0};
	struct endpoint src = {text_addr("10.9.0.5"), 5000}, dst = {text_addr("10.1.0.1"), 1701};
	m.len = ip_write_udp(m.p, MAX, &src, &dst, "payload", 7);
	memmove(m.p + 20 + options_len, m.p + 20, m.len - 20);
	for (uint8_t i = 0; i < options_len; i++)
		m.p[20 + i] = i + 1 == options_len ? 0 : 1;
	m.len += options_len;
	m.p[0] = (uint8_t)(0x40 | (20 + options_len) / 4);
	m.p[3] = (uint8_t)m.len;
	ip4_set_checksum(m.p);
	assert_true(ip_parse(m.p, m.len, &m.info));
	return m;
}

/* Carries it and builds it again. */
static size_t carry(const struct made *m, bool beet, uint8_t *out, struct bare *bare)
{
	struct bare_plan plan;
	uint8_t wire[MAX + BARE_HEAD_MAX];
	assert_int_equal(bare_take(m->p, &m->info, beet, bare), BARE_OK);
	memcpy(wire, bare->head, bare->head_len);
	memcpy(wire + bare->head_len, bare->body, bare->body_len);
	size_t len = (size_t)bare->head_len + bare->body_len;
	uint8_t *exact = vector_exact(wire, len);
	assert_int_equal(bare_read(exact, len, bare->next_header, m->info.version, beet, &plan),
			 BARE_OK);
	size_t whole = bare_packet_len(&plan, m->info.version);
	assert_true(whole <= MAX);
	bare_build(&plan, &m->info.src, &m->info.dst, m->info.tos, out);
	free(exact);
	return whole;
}

static void beet_options(void **state)
{
	(void)state;
	/* By RFC 7402 appendix B: total length in units of 8, without the first; padding 0 or 4. */
	for (uint8_t n = 0; n <= 40; n += 4) {
		struct made m = udp4(n);
		struct bare bare;
		uint8_t out[MAX];
		assert_int_equal(carry(&m, true, out, &bare), m.len);
		/* All but identification and flags, which udp4 has as they are built. */
		assert_memory_equal(out, m.p, m.len);
		if (n == 0) {
			assert_int_equal(bare.next_header, 17);
			assert_int_equal(bare.head_len, 0);
			continue;
		}
		assert_int_equal(bare.next_header, 94);
		assert_int_equal(bare.head_len % 8, 0);
		assert_int_equal(bare.head[0], 17);
		assert_int_equal((bare.head[1] + 1) * 8, bare.head_len);
		assert_int_equal(bare.head[2], n % 8 ? 0 : 4);
		if (bare.head[2])
			assert_memory_equal(bare.head + 4, "\1\1\1\1", 4);
	}
}

static void refused(void **state)
{
	(void)state;
	struct bare bare;
	struct made m = udp4(4);
	assert_int_equal(bare_take(m.p, &m.info, false, &bare), BARE_OUTSIDE);
	m = udp4(0);
	assert_int_equal(bare_take(m.p, &m.info, false, &bare), BARE_OK);
	m.p[6] = 0x20;
	assert_true(ip_parse(m.p, m.len, &m.info));
	assert_int_equal(bare_take(m.p, &m.info, true, &bare), BARE_FRAGMENT);
	/* IPv6: hop-by-hop stays outside in transport mode, destination options do not */
	static const struct {
		uint8_t next;
		bool beet;
		enum bare_result result;
	} table[] = {{0, false, BARE_OUTSIDE},	{43, false, BARE_OUTSIDE}, {60, false, BARE_OK},
		     {0, true, BARE_OK},	{60, true, BARE_OK},	   {17, false, BARE_OK},
		     {44, true, BARE_FRAGMENT}, {44, false, BARE_FRAGMENT}};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct addr a = text_addr("fd01::1"), b = text_addr("fd09::5");
		size_t head = ip_write_header(m.p, MAX, &a, &b, table[i].next, 0, 64, 24);
		memset(m.p + head, 0, 24);
		m.p[head] = 17;
		m.p[head + 3] = 1; /* more fragments, where it is one */
		m.len = head + 24;
		assert_true(ip_parse(m.p, m.len, &m.info));
		assert_int_equal(bare_take(m.p, &m.info, table[i].beet, &bare), table[i].result);
		if (table[i].result == BARE_OK)
			assert_int_equal(bare.next_header, table[i].next);
	}
}

static void unsound(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		enum bare_result result;
		uint8_t options_len;
	} table[] = {
	    {"", BARE_UNSOUND, 0},
	    {"11000000", BARE_UNSOUND, 0},     /* shorter than it says */
	    {"11000400 01010101", BARE_OK, 0}, /* padding alone */
	    {"11000000 01010100", BARE_OK, 4},
	    {"11000800 01010101", BARE_UNSOUND, 0}, /* more padding than there can be */
	    {"11000300 01010101", BARE_UNSOUND, 0}, /* options of 1 byte */
	    {"5e000000 01010100", BARE_UNSOUND, 0}, /* a pseudo header in one */
	    {"11ff0000 01010100", BARE_UNSOUND, 0},
	    {"11010000 01010101 01010100 0101", BARE_UNSOUND, 0},
	    {"11010400 01010101 01010101 01010100 aa", BARE_OK, 8},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct vector v = vector_of(table[i].hex);
		uint8_t *p = vector_exact(v.b, v.len);
		struct bare_plan plan;
		assert_int_equal(bare_read(p, v.len, 94, 4, true, &plan), table[i].result);
		if (table[i].result == BARE_OK)
			assert_int_equal(plan.options_len, table[i].options_len);
		/* Elsewhere 94 is a protocol like others. */
		assert_int_equal(bare_read(p, v.len, 94, 6, true, &plan), BARE_OK);
		assert_int_equal(bare_read(p, v.len, 94, 4, false, &plan), BARE_OK);
		assert_int_equal(plan.rest_len, v.len);
		free(p);
	}
	/* 44 bytes of options: more than IPv4 has */
	uint8_t long_one[64] = {17, 5, 0, 0};
	struct bare_plan plan;
	assert_int_equal(bare_read(long_one, sizeof(long_one), 94, 4, true, &plan), BARE_UNSOUND);
}

static bool sound(const uint8_t *p, size_t len)
{
	struct ip_info info;
	assert_true(ip_parse(p, len, &info));
	uint32_t l4_len = (uint32_t)len - info.l4_off;
	uint32_t sum = ip_pseudo_sum(&info.src, &info.dst, info.proto, l4_len);
	return ip_fold(ip_sum(p + info.l4_off, l4_len, sum)) == 0;
}

/* A checksum changed to another pair is right for it, of every protocol that has one. */
static void checksums(void **state)
{
	(void)state;
	static const uint8_t protos[] = {6, 17, 58, 135};
	uint32_t seed = 1;
	for (unsigned round = 0; round < 4000; round++) {
		bool v6 = round & 1;
		struct addr a[4] = {{.family = v6 ? 6 : 4},
				    {.family = v6 ? 6 : 4},
				    {.family = v6 ? 6 : 4},
				    {.family = v6 ? 6 : 4}};
		uint8_t p[128];
		for (size_t i = 0; i < 4; i++)
			for (size_t k = 0; k < addr_len(&a[i]); k++)
				a[i].b[k] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
		uint8_t proto = protos[round / 2 % 4];
		size_t l4_len = 20 + round % 40;
		size_t head = ip_write_header(p, sizeof(p), &a[0], &a[1], proto, 0, 64, l4_len);
		for (size_t k = 0; k < l4_len; k++)
			p[head + k] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
		struct ip_info info;
		assert_true(ip_parse(p, head + l4_len, &info));
		p[head + (size_t)bare_checksum_at(proto)] |= 1; /* there is one */
		assert_true(bare_checksum_renew(p, &info));
		assert_true(sound(p, head + l4_len));
		bare_checksum_change(p + head, l4_len, proto, bare_pair_sum(&a[0], &a[1]),
				     bare_pair_sum(&a[2], &a[3]));
		size_t at = v6 ? 8 : 12, n = addr_len(&a[0]);
		memcpy(p + at, a[2].b, n);
		memcpy(p + at + n, a[3].b, n);
		assert_true(sound(p, head + l4_len));
		if (proto == 17)
			assert_true(p[head + 6] | p[head + 7]);
	}
}

static void no_checksum(void **state)
{
	(void)state;
	struct made m = udp4(0);
	m.p[26] = m.p[27] = 0;
	assert_true(bare_checksum_renew(m.p, &m.info));
	assert_int_equal(m.p[26] | m.p[27], 0);
	bare_checksum_change(m.p + 20, m.len - 20, 17, 1, 2);
	assert_int_equal(m.p[26] | m.p[27], 0);
	/* too short for one */
	uint8_t before[4] = {1, 2, 3, 4};
	bare_checksum_change(before, 4, 6, 1, 2);
	assert_memory_equal(before, "\1\2\3\4", 4);
	m.info.total_len = 24;
	assert_false(bare_checksum_renew(m.p, &m.info));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(beet_options), cmocka_unit_test(refused),
	    cmocka_unit_test(unsound),	    cmocka_unit_test(checksums),
	    cmocka_unit_test(no_checksum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
