/* SPDX-License-Identifier: MIT */
/* IP headers: parsing, checksums, writing, ECN. */
#include "vectors.h"
#include "base/mem.h"
#include "wire/ip.h"

#define V4_UDP                                                                                     \
	"450000210000400040116ebb0a010007c0000209"                                                 \
	"9c4001b2000d51fe68656c6c6f"
#define V6_ADDRS "20010db800010000000000000000000720010db8ffff00000000000000000009"
#define UDP8	 "9c4001b200080000"

static struct addr addr(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void parse_packets(void **state)
{
	(void)state;
	static const struct {
		const char *name, *hex;
		bool ok;
		uint8_t proto, tos, ttl;
		bool df, fragment, first;
		uint16_t l4_off;
		uint32_t total_len;
	} table[] = {
	    {"v4", V4_UDP, true, 17, 0, 64, true, false, true, 20, 33},
	    {"v4-link-padding", V4_UDP "00000000", true, 17, 0, 64, true, false, true, 20, 33},
	    {"v4-options", "4603001c 12340000 01060000 0a010007c0000209 01010100 00000000", true, 6,
	     3, 1, false, false, true, 24, 28},
	    {"v4-first-fragment", "4500001c 12342000 40110000 0a010007c0000209 0102030405060708",
	     true, 17, 0, 64, false, true, true, 20, 28},
	    {"v4-last-fragment", "4500001c 123400b9 40110000 0a010007c0000209 0102030405060708",
	     true, 17, 0, 64, false, true, false, 20, 28},
	    {"v4-header-only", "45000014 00000000 40320000 0a010007c0000209", true, 50, 0, 64,
	     false, false, true, 20, 20},
	    {"v4-short-header", "44000014 00000000 40320000 0a010007c0000209", false, 0, 0, 0,
	     false, false, false, 0, 0},
	    {"v4-header-past-length", "46000014 00000000 40320000 0a010007c0000209 01010100", false,
	     0, 0, 0, false, false, false, 0, 0},
	    {"v4-length-past-end", "45000015 00000000 40320000 0a010007c0000209", false, 0, 0, 0,
	     false, false, false, 0, 0},
	    {"v4-length-zero", "45000000 00000000 40320000 0a010007c0000209", false, 0, 0, 0, false,
	     false, false, 0, 0},
	    {"version-5", "55000014 00000000 40320000 0a010007c0000209", false, 0, 0, 0, false,
	     false, false, 0, 0},
	    {"v6", "6b812345 00081140" V6_ADDRS UDP8, true, 17, 0xb8, 64, true, false, true, 40,
	     48},
	    {"v6-no-payload", "60000000 00003bff" V6_ADDRS, true, 59, 0, 255, true, false, true, 40,
	     40},
	    {"v6-hop-by-hop", "60000000 00100040" V6_ADDRS "1100010400000000" UDP8, true, 17, 0, 64,
	     true, false, true, 48, 56},
	    {"v6-all-kinds",
	     "60000000 00480040" V6_ADDRS "3c00010400000000"	/* hop-by-hop */
	     "2b01010c000000000000000000000000"			/* destination options, 16 */
	     "2c00000000000000"					/* routing */
	     "3300000000000001"					/* whole in one fragment */
	     "110400000000100100000001aabbccddeeff001122334455" /* AH, 24 */
	     UDP8,
	     true, 17, 0, 64, true, false, true, 104, 112},
	    {"v6-first-fragment", "60000000 00102c40" V6_ADDRS "1100000100000007" UDP8, true, 17, 0,
	     64, true, true, true, 48, 56},
	    {"v6-last-fragment", "60000000 00102c40" V6_ADDRS "1100000800000007" UDP8, true, 17, 0,
	     64, true, true, false, 48, 56},
	    {"v6-fragment-of-extensions",
	     "60000000 00102c40" V6_ADDRS "3c00000800000007 ffffffffffffffff", true, 60, 0, 64,
	     true, true, false, 48, 56},
	    {"v6-length-past-end", "60000000 00091140" V6_ADDRS UDP8, false, 0, 0, 0, false, false,
	     false, 0, 0},
	    {"v6-extension-past-end", "60000000 00080040" V6_ADDRS "1101010400000000", false, 0, 0,
	     0, false, false, false, 0, 0},
	    {"v6-extension-past-length",
	     "60000000 00080040" V6_ADDRS "1101010400000000 0000000000000000", false, 0, 0, 0,
	     false, false, false, 0, 0},
	    {"v6-ah-past-end", "60000000 00083340" V6_ADDRS "1101000000000000", false, 0, 0, 0,
	     false, false, false, 0, 0},
	    {"v6-fragment-past-end", "60000000 00042c40" V6_ADDRS "11000000", false, 0, 0, 0, false,
	     false, false, 0, 0},
	    {"v6-eight-extensions",
	     "60000000 00483c40" V6_ADDRS "3c00010400000000 3c00010400000000 3c00010400000000"
	     "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000"
	     "1100010400000000" UDP8,
	     true, 17, 0, 64, true, false, true, 104, 112},
	    {"v6-nine-extensions",
	     "60000000 00503c40" V6_ADDRS "3c00010400000000 3c00010400000000 3c00010400000000"
	     "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000"
	     "3c00010400000000 1100010400000000" UDP8,
	     false, 0, 0, 0, false, false, false, 0, 0},
	};

	struct addr s4 = addr("10.1.0.7"), d4 = addr("192.0.2.9");
	struct addr s6 = addr("2001:db8:1::7"), d6 = addr("2001:db8:ffff::9");
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct vector v = vector_of(table[i].hex);
		uint8_t *p = vector_exact(v.b, v.len);
		struct ip_info info = {0};
		print_message("%s\n", table[i].name);
		vector_save("ip", table[i].name, v.b, v.len);
		assert_int_equal(ip_parse(p, v.len, &info), table[i].ok);
		assert_int_equal(info.proto, table[i].proto);
		assert_int_equal(info.tos, table[i].tos);
		assert_int_equal(info.ttl, table[i].ttl);
		assert_int_equal(info.df, table[i].df);
		assert_int_equal(info.fragment, table[i].fragment);
		assert_int_equal(info.first, table[i].first);
		assert_int_equal(info.l4_off, table[i].l4_off);
		assert_int_equal(info.total_len, table[i].total_len);
		if (table[i].ok) {
			struct addr dst;
			assert_int_equal(info.version, table[i].name[1] - '0');
			assert_true(addr_equal(&info.src, info.version == 4 ? &s4 : &s6));
			assert_true(addr_equal(&info.dst, info.version == 4 ? &d4 : &d6));
			assert_true(ip_dst(p, v.len, &dst));
			assert_true(addr_equal(&dst, &info.dst));
		}
		free(p);
		/* Cut anywhere it is no whole packet any more; and nobody reads past the end. */
		for (size_t len = 0; len < v.len; len++) {
			p = vector_exact(v.b, len);
			bool whole = table[i].ok && len >= table[i].total_len;
			assert_int_equal(ip_parse(p, len, &info), whole);
			free(p);
		}
	}
}

static void destination_truncated(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		size_t needed; /* 0: never */
	} table[] = {
	    {V4_UDP, 20},
	    {"60000000 00081140" V6_ADDRS UDP8, 40},
	    {"5500002100004000401100000a010007c0000209", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct vector v = vector_of(table[i].hex);
		for (size_t len = 0; len <= v.len; len++) {
			uint8_t *p = vector_exact(v.b, len);
			struct addr dst;
			assert_int_equal(ip_dst(p, len, &dst),
					 table[i].needed && len >= table[i].needed);
			free(p);
		}
	}
}

/* Word by word as RFC 1071 1 has it. */
static uint32_t sum_plain(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2) {
		sum += (uint32_t)(p[i] << 8 | (i + 1 < len ? p[i + 1] : 0));
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static void sums(void **state)
{
	(void)state;
	static const uint8_t rfc1071[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	uint8_t data[300], ones[300];

	assert_int_equal(ip_fold(ip_sum(rfc1071, sizeof(rfc1071), 0)), 0x220d);
	assert_int_equal(ip_fold(0), 0xffff);
	assert_int_equal(ip_fold(0xffffffff), 0);
	memset(ones, 0xff, sizeof(ones));
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 151 + (i >> 3) * 29);
	for (size_t len = 0; len <= sizeof(data); len++) {
		uint8_t *p = vector_exact(data, len);
		assert_int_equal(ip_fold(ip_sum(p, len, 0)), (uint16_t)~sum_plain(p, len));
		free(p);
		assert_int_equal(ip_fold(ip_sum(ones, len, 0)), (uint16_t)~sum_plain(ones, len));
		/* From an odd address, and in two pieces. */
		if (len > 1)
			assert_int_equal(ip_fold(ip_sum(data + 1, len - 1, 0)),
					 (uint16_t)~sum_plain(data + 1, len - 1));
		size_t half = len / 2 & ~(size_t)1;
		uint32_t sum = ip_sum(data, half, 0);
		assert_int_equal(ip_fold(ip_sum(data + half, len - half, sum)),
				 (uint16_t)~sum_plain(data, len));
	}
	/* The carry out of 32 bits comes round too. */
	assert_int_equal(ip_fold(ip_sum("\x00\x02", 2, 0xffffffff)), (uint16_t)~2);

	static uint8_t big[65536];
	memset(big, 0xfe, sizeof(big));
	assert_int_equal(ip_fold(ip_sum(big, sizeof(big), 0)), (uint16_t)~sum_plain(big, 65536));
}

/* What ip_sum() makes of the words' sum: folded to 16 bits, zero only of zeros, and added with
 * the carry coming round. */
static uint32_t sum_exact(const uint8_t *p, size_t len, uint32_t sum)
{
	uint64_t words = 0;
	for (size_t i = 0; i < len; i += 2)
		words += (uint32_t)(p[i] << 8 | (i + 1 < len ? p[i + 1] : 0));
	uint32_t folded = words ? (uint32_t)((words - 1) % 0xffff + 1) : 0;
	sum += folded;
	return sum + (sum < folded);
}

static void check_sums(const uint8_t *p, size_t len, size_t off, uint32_t sum)
{
	/* Exactly as long as they are, so that a sanitizer sees who goes beyond. */
	uint8_t *src = malloc(off + len + 1), *dst = malloc(off + len + 1);
	memcpy(src + 1, p, off + len);
	uint32_t want = sum_exact(src + 1 + off, len, sum);
	assert_int_equal(ip_sum(src + 1 + off, len, sum), want);
	memset(dst, 0x5a, off + len + 1);
	assert_int_equal(ip_copy_sum(dst + 1 + off, src + 1 + off, len, sum), want);
	assert_memory_equal(dst + 1 + off, src + 1 + off, len);
	for (size_t i = 0; i <= off; i++)
		assert_int_equal(dst[i], 0x5a);
	assert_memory_equal(src + 1, p, off + len);
	free(src);
	free(dst);
}

static void sums_random(void **state)
{
	(void)state;
	enum { LEN = 70000, OFF = 70 };
	static uint8_t data[LEN + OFF];
	uint64_t random = 1;
	static const uint32_t starts[] = {0, 1, 0xffff, 0xfffffffe, 0xffffffff, 0x12345678};
	for (unsigned kind = 0; kind < 4; kind++) {
		for (size_t i = 0; i < sizeof(data); i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			data[i] = (uint8_t[]){(uint8_t)(random >> 33), 0xff, 0,
					      (uint8_t)(random >> 62 ? 0xff : 0xfe)}[kind];
		}
		for (size_t len = 0; len < 600; len++)
			check_sums(data, len, len % OFF, starts[len % ARRAY_LEN(starts)]);
		for (unsigned i = 0; i < 150; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			check_sums(data, (random >> 33) % (LEN + 1), (random >> 20) % OFF,
				   i % 2 ? (uint32_t)random : starts[i % ARRAY_LEN(starts)]);
		}
		check_sums(data, LEN, 0, 0);
	}
}

static void sum_mended(void **state)
{
	(void)state;
	static const struct {
		uint16_t checksum, before, after, mended;
	} table[] = {
	    {0xdd2f, 0x5555, 0x3285, 0x0000}, /* RFC 1624 section 4 */
	    {0x1234, 0x0001, 0x0001, 0x1234},
	    {0x0000, 0x0000, 0x0001, 0xfffe},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		uint8_t field[2] = {(uint8_t)(table[i].checksum >> 8), (uint8_t)table[i].checksum};
		ip_checksum_mend(field, table[i].before, table[i].after);
		assert_int_equal(field[0] << 8 | field[1], table[i].mended);
	}
}

static void header_checksum(void **state)
{
	(void)state;
	struct vector v = vector_of("450000730000400040110000c0a80001c0a800c7");
	struct vector options = vector_of("4600001800004000401100000a010007c000020901010100");

	assert_false(ip4_checksum_ok(v.b, v.len));
	ip4_set_checksum(v.b);
	assert_int_equal(v.b[10] << 8 | v.b[11], 0xb861);
	assert_true(ip4_checksum_ok(v.b, v.len));
	for (size_t bit = 0; bit < v.len * 8; bit++) {
		v.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(ip4_checksum_ok(v.b, v.len));
		v.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	ip4_set_checksum(options.b);
	for (size_t len = 0; len <= options.len; len++) {
		uint8_t *p = vector_exact(options.b, len);
		assert_int_equal(ip4_checksum_ok(p, len), len == options.len);
		free(p);
	}
}

/* RFC 6040 figure 4, for both versions. */
static void ecn_table(void **state)
{
	(void)state;
	enum { NOT, ECT1, ECT0, CE, DROP };
	static const struct {
		uint8_t inner, outer, out;
	} table[] = {
	    {NOT, NOT, NOT},   {NOT, ECT0, NOT},   {NOT, ECT1, NOT},   {NOT, CE, DROP},
	    {ECT0, NOT, ECT0}, {ECT0, ECT0, ECT0}, {ECT0, ECT1, ECT1}, {ECT0, CE, CE},
	    {ECT1, NOT, ECT1}, {ECT1, ECT0, ECT1}, {ECT1, ECT1, ECT1}, {ECT1, CE, CE},
	    {CE, NOT, CE},     {CE, ECT0, CE},	   {CE, ECT1, CE},     {CE, CE, CE},
	};
	struct addr s4 = addr("10.1.0.7"), d4 = addr("192.0.2.9");
	struct addr s6 = addr("2001:db8:1::7"), d6 = addr("2001:db8:ffff::9");

	for (size_t i = 0; i < ARRAY_LEN(table) * 2; i++) {
		size_t row = i / 2;
		bool v4 = i % 2;
		uint8_t p[40], before[40];
		struct ip_info info;
		/* The DSCP of the inner header stays, the outer's does not matter. */
		uint8_t tos = (uint8_t)(0xb8 | table[row].inner);
		size_t len =
		    ip_write_header(p, sizeof(p), v4 ? &s4 : &s6, v4 ? &d4 : &d6, 6, tos, 64, 0);
		memcpy(before, p, len);
		bool ok = ip_ecn_decapsulate(p, (uint8_t)(0x60 | table[row].outer));
		assert_int_equal(ok, table[row].out != DROP);
		if (!ok || table[row].out == table[row].inner) {
			assert_memory_equal(p, before, len);
			continue;
		}
		assert_true(ip_parse(p, len, &info));
		assert_int_equal(info.tos, 0xb8 | table[row].out);
		if (v4)
			assert_true(ip4_checksum_ok(p, len));
		else
			p[1] = before[1];
		if (!v4)
			assert_memory_equal(p, before, len);
	}
}

static void header_bytes(void **state)
{
	(void)state;
	struct vector v4 = vector_of("450000730000400040"
				     "11b861c0a80001c0a800c7");
	struct vector v6 = vector_of("6b8000000010323f" V6_ADDRS);
	struct addr s4 = addr("192.168.0.1"), d4 = addr("192.168.0.199");
	struct addr s6 = addr("2001:db8:1::7"), d6 = addr("2001:db8:ffff::9"), none = {0};
	uint8_t out[64];

	assert_int_equal(ip_write_header(out, sizeof(out), &s4, &d4, 17, 0, 64, 95), 20);
	assert_memory_equal(out, v4.b, v4.len);
	assert_int_equal(ip_write_header(out, sizeof(out), &s6, &d6, 50, 0xb8, 63, 16), 40);
	assert_memory_equal(out, v6.b, v6.len);
	for (size_t room = 0; room <= 40; room++) {
		uint8_t *p = vector_exact(v6.b, room);
		assert_int_equal(ip_write_header(p, room, &s4, &d4, 17, 0, 64, 95),
				 room >= 20 ? 20 : 0);
		assert_int_equal(ip_write_header(p, room, &s6, &d6, 17, 0, 64, 95),
				 room >= 40 ? 40 : 0);
		free(p);
	}
	assert_int_equal(ip_write_header(out, sizeof(out), &s4, &d6, 17, 0, 64, 0), 0);
	assert_int_equal(ip_write_header(out, sizeof(out), &none, &none, 17, 0, 64, 0), 0);
	assert_int_equal(ip_write_header(out, sizeof(out), &s4, &d4, 17, 0, 64, 65515), 20);
	assert_int_equal(ip_write_header(out, sizeof(out), &s4, &d4, 17, 0, 64, 65516), 0);
	assert_int_equal(ip_write_header(out, sizeof(out), &s6, &d6, 17, 0, 64, 65535), 40);
	assert_int_equal(ip_write_header(out, sizeof(out), &s6, &d6, 17, 0, 64, 65536), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parse_packets), cmocka_unit_test(destination_truncated),
	    cmocka_unit_test(sums),	     cmocka_unit_test(sums_random),
	    cmocka_unit_test(sum_mended),    cmocka_unit_test(header_checksum),
	    cmocka_unit_test(ecn_table),     cmocka_unit_test(header_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
