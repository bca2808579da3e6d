/* SPDX-License-Identifier: MIT */
/* The authentication header, and what its ICV sees of the headers before it (RFC 4302). */
#include "vectors.h"
#include "wire/ah.h"
#include "wire/ip.h"

static void lengths(void **state)
{
	(void)state;
	static const struct {
		size_t icv, v4, v6;
	} table[] = {{12, 24, 24}, {16, 28, 32}, {24, 36, 40}, {32, 44, 48}};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(ah_len(table[i].icv, 4), table[i].v4);
		assert_int_equal(ah_len(table[i].icv, 6), table[i].v6);
		for (uint16_t len = 0; len < 64; len += 4)
			assert_int_equal(ah_len_fits(len, table[i].icv),
					 len == table[i].v4 || len == table[i].v6);
	}
}

static void header(void **state)
{
	(void)state;
	struct ah_header h = {.next_header = 4, .len = 28, .spi = 0x1001, .seq = 7}, back;
	struct vector want =
	    vector_of("04050000 00001001 00000007 00000000000000000000000000000000");
	uint8_t p[64];
	memset(p, 0xee, sizeof(p));
	assert_int_equal(ah_write(p, sizeof(p), &h), 28);
	assert_memory_equal(p, want.b, want.len);
	assert_int_equal(p[28], 0xee);
	assert_int_equal(ah_write(p, 27, &h), 0);
	for (size_t len = 0; len <= want.len; len++) {
		uint8_t *exact = vector_exact(want.b, len);
		assert_int_equal(ah_read(exact, len, &back), len == want.len);
		free(exact);
	}
	assert_int_equal(back.next_header, 4);
	assert_int_equal(back.len, 28);
	assert_int_equal(back.spi, 0x1001);
	assert_int_equal(back.seq, 7);
	static const uint16_t wrong[] = {0, 8, 11, 13, 1032};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		h.len = wrong[i];
		assert_int_equal(ah_write(p, sizeof(p), &h), 0);
	}
	/* lengths of 0: 8 octets, no room for SPI and number */
	assert_false(ah_read((const uint8_t[12]){4, 0}, 12, &back));
	assert_true(ah_read((const uint8_t[12]){4, 1}, 12, &back));
	vector_save("ah", "header", want.b, want.len);
}

/* before: as it comes; after: as the ICV sees it, "" where it is not sound */
struct zero_row {
	const char *name, *before, *after;
};

#define V4_REST "1234 4000 4033 abcd c0000205 cb007101"
#define V4_ZERO "1234 0000 0033 0000 c0000205 cb007101"
static const struct zero_row ip4[] = {
    {"plain", "45b80064" V4_REST, "45000064" V4_ZERO},
    {"short", "45b80064 1234", ""},
    {"other-version", "65b80064" V4_REST, ""},
    {"ihl-small", "44b80064" V4_REST, ""},
    {"ihl-large", "46b80064" V4_REST, ""},
    {"nop-end", "46b80064" V4_REST "01010000", "46000064" V4_ZERO "01010000"},
    {"router-alert", "46000064" V4_REST "94040000", "46000064" V4_ZERO "94040000"},
    {"security", "48000064" V4_REST "820b abcd 0000 0000 0000 0000",
     "48000064" V4_ZERO "820b abcd 0000 0000 0000 0000"},
    {"extended", "46000064" V4_REST "8504 abcd", "46000064" V4_ZERO "8504 abcd"},
    {"commercial", "46000064" V4_REST "8604 abcd", "46000064" V4_ZERO "8604 abcd"},
    {"multi-destination", "46000064" V4_REST "9504 abcd", "46000064" V4_ZERO "9504 abcd"},
    {"record-route", "47000064" V4_REST "07070401020304 01",
     "47000064" V4_ZERO "00000000000000 01"},
    {"timestamp-then-alert", "49000064" V4_REST "44080500 01020304 94040000 00000000",
     "49000064" V4_ZERO "00000000 00000000 94040000 00000000"},
    {"loose-route", "47000064" V4_REST "830704 01020304 00", "47000064" V4_ZERO "0000000000000000"},
    {"strict-route", "47000064" V4_REST "890704 01020304 00",
     "47000064" V4_ZERO "0000000000000000"},
    {"traceroute", "48000064" V4_REST "520c 0102 0304 0506 0708 090a",
     "48000064" V4_ZERO "000000000000000000000000"},
    {"stream-id", "46000064" V4_REST "8804 1234", "46000064" V4_ZERO "00000000"},
    {"unknown", "46000064" V4_REST "fe04 1234", "46000064" V4_ZERO "00000000"},
    {"behind-end-stays", "47000064" V4_REST "00070401 01020304",
     "47000064" V4_ZERO "00070401 01020304"},
    {"option-too-long", "46000064" V4_REST "01070401", ""},
    {"option-length-1", "46000064" V4_REST "07010000", ""},
    {"option-length-0", "46000064" V4_REST "07000000", ""},
    {"option-cut", "46000064" V4_REST "01010107", ""},
};

#define V6_ADDRS                                                                                   \
	"20010db8000000000000000000000005"                                                         \
	"20010db8000000000000000000000001"
#define V6(next)      "6b8fedcb 0064" next "40" V6_ADDRS
#define V6_ZERO(next) "60000000 0064" next "00" V6_ADDRS
static const struct zero_row ip6[] = {
    {"plain", V6("33"), V6_ZERO("33")},
    {"upper-layer", V6("11"), ""},
    {"no-extension", V6("00"), ""},
    {"other-version", "4b8fedcb 0064 3340" V6_ADDRS, ""},
    /* option 0x1e may not change, 0x3e may, 0xc2 (jumbo) may not; PadN is option 1 */
    {"hop-by-hop", V6("00") "3301 1e02abcd 3e02abcd 010201 02 0000",
     V6_ZERO("00") "3301 1e02abcd 3e020000 010201 02 0000"},
    {"pad1", V6("00") "3300 00 3e01ff 0000", V6_ZERO("00") "3300 00 3e0100 0000"},
    {"destination", V6("3c") "3300 3e04 01020304", V6_ZERO("3c") "3300 3e04 00000000"},
    {"hop-destination", V6("00") "3c00 3e04 01020304 3300 1e04 01020304",
     V6_ZERO("00") "3c00 3e04 00000000 3300 1e04 01020304"},
    {"routing", V6("2b") "3302 0200 00000000 20010db8000000000000000000000009",
     V6_ZERO("2b") "3302 0200 00000000 20010db8000000000000000000000009"},
    {"routing-not-ended", V6("2b") "3302 0201 00000000 20010db8000000000000000000000009", ""},
    {"fragment", V6("2c") "3300 0000 00000000", ""},
    {"too-long", V6("00") "3301 0104 00000000", ""},
    {"more-behind", V6("00") "3300 0104 00000000 00", ""},
    {"option-too-long", V6("00") "3300 0105 00000000", ""},
    {"option-cut", V6("00") "3300 0103 000000 3e", ""},
    {"cut", V6("00") "33", ""},
};

static void check_rows(const struct zero_row *rows, size_t count,
		       bool (*zero)(uint8_t *ip, size_t len))
{
	for (size_t i = 0; i < count; i++) {
		struct vector before = vector_of(rows[i].before), after = vector_of(rows[i].after);
		uint8_t *p = vector_exact(before.b, before.len);
		bool ok = zero(p, before.len);
		if (ok != (after.len != 0))
			fail_msg("%s: %s", rows[i].name, ok ? "taken" : "refused");
		const struct vector *want = ok ? &after : &before;
		assert_int_equal(want->len, before.len);
		for (size_t k = 0; k < want->len; k++)
			if (p[k] != want->b[k])
				fail_msg("%s: octet %zu is %02x", rows[i].name, k, p[k]);
		free(p);
		vector_save("ah", rows[i].name, before.b, before.len);
		/* Cut anywhere it is refused, and nothing outside is looked at. */
		for (size_t len = 0; ok && len < before.len; len++) {
			p = vector_exact(before.b, len);
			assert_false(zero(p, len));
			free(p);
		}
	}
}

static void mutable_ip4(void **state)
{
	(void)state;
	check_rows(ip4, sizeof(ip4) / sizeof(ip4[0]), ah_zero_ip4);
}

static void mutable_ip6(void **state)
{
	(void)state;
	check_rows(ip6, sizeof(ip6) / sizeof(ip6[0]), ah_zero_ip6);
}

static void outer(void **state)
{
	(void)state;
	struct addr a4, b4, a6, b6;
	uint8_t p[64];
	assert_int_equal(addr_parse("192.0.2.5", &a4), 0);
	assert_int_equal(addr_parse("203.0.113.1", &b4), 0);
	assert_int_equal(addr_parse("2001:db8::5", &a6), 0);
	assert_int_equal(addr_parse("2001:db8::1", &b6), 0);

	struct vector want = vector_of("45000078 1234 0000 0033 0000 c0000205 cb007101");
	assert_int_equal(ah_write_ip(p, sizeof(p), &a4, &b4, 0x1234, 100), 20);
	assert_memory_equal(p, want.b, 20);
	for (int df = 0; df < 2; df++) {
		ah_finish_ip4(p, 0xb8, df);
		assert_true(ip4_checksum_ok(p, 20));
		assert_int_equal(p[1], 0xb8);
		assert_int_equal(p[6] << 8 | p[7], df ? 0x4000 : 0);
		assert_int_equal(p[8], 64);
		assert_true(ah_zero_ip4(p, 20));
		assert_memory_equal(p, want.b, 20);
	}
	assert_int_equal(ah_write_ip(p, sizeof(p), &a6, &b6, 0x1234, 100), 40);
	want = vector_of("60000000 0064 3300 20010db8000000000000000000000005"
			 "20010db8000000000000000000000001");
	assert_memory_equal(p, want.b, 40);
	assert_int_equal(ah_write_ip(p, 19, &a4, &b4, 1, 100), 0);
	assert_int_equal(ah_write_ip(p, sizeof(p), &a4, &b6, 1, 100), 0);
	assert_int_equal(ah_write_ip(p, sizeof(p), &a4, &b4, 1, 65516), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lengths),	   cmocka_unit_test(header), cmocka_unit_test(mutable_ip4),
	    cmocka_unit_test(mutable_ip6), cmocka_unit_test(outer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
