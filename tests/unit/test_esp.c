/* SPDX-License-Identifier: MIT */
#include "vectors.h"
#include "wire/esp.h"

static void udp_kinds(void **state)
{
	(void)state;
	static const struct {
		const char *name, *hex;
		enum esp_udp_kind kind;
	} table[] = {
	    {"empty", "", ESP_UDP_RUNT},
	    {"keepalive", "ff", ESP_UDP_KEEPALIVE},
	    {"one-byte", "00", ESP_UDP_RUNT},
	    {"two-ff", "ffff", ESP_UDP_RUNT},
	    {"three", "000000", ESP_UDP_RUNT},
	    {"marker", "00000000", ESP_UDP_IKE},
	    {"ike", "00000000 0102030405060708 0000000000000000 2e202308", ESP_UDP_IKE},
	    {"spi-only", "00000001", ESP_UDP_RUNT},
	    {"seven", "00000100 000000", ESP_UDP_RUNT},
	    {"esp", "00001001 00000001", ESP_UDP_ESP},
	    {"esp-ff", "ffffffff 00000001 00", ESP_UDP_ESP},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct vector v = vector_of(table[i].hex);
		uint8_t *p = vector_exact(v.b, v.len);
		assert_int_equal(esp_udp_classify(p, v.len), table[i].kind);
		free(p);
	}
}

static void pad_lengths(void **state)
{
	(void)state;
	static const struct {
		size_t payload, block, pad;
	} table[] = {
	    {0, 1, 2},	  {1, 1, 1},   {2, 4, 0},   {3, 4, 3},	  {14, 16, 0},
	    {15, 16, 15}, {13, 16, 1}, {0, 16, 14}, {16, 16, 14}, {1400, 16, 6},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(esp_pad_len(table[i].payload, table[i].block), table[i].pad);
}

static void trailer_bytes(void **state)
{
	(void)state;
	uint8_t buf[32];
	struct vector v = vector_of("aabbcc 0102030405060708090a0b 0b 04");

	memset(buf, 0xee, sizeof(buf));
	memcpy(buf, v.b, 3);
	assert_int_equal(esp_write_trailer(buf, 3, 16, 4), 13);
	assert_memory_equal(buf, v.b, v.len);
	assert_int_equal(buf[v.len], 0xee);
	vector_save("esp", "trailer", v.b, v.len);
}

/* Every payload length and block: what is written is read. */
static void trailer_both_ways(void **state)
{
	(void)state;
	static const size_t blocks[] = {1, 4, 8, 16};

	for (size_t b = 0; b < sizeof(blocks) / sizeof(blocks[0]); b++) {
		for (size_t len = 0; len < 40; len++) {
			size_t total = len + esp_pad_len(len, blocks[b]) + ESP_TRAILER_LEN;
			uint8_t *p = calloc(1, total);
			size_t payload_len = 99;
			uint8_t next = 0;
			assert_int_equal(total % (blocks[b] < 4 ? 4 : blocks[b]), 0);
			assert_int_equal(esp_write_trailer(p, len, blocks[b], 41), total - len);
			assert_true(esp_read_trailer(p, total, &payload_len, &next));
			assert_int_equal(payload_len, len);
			assert_int_equal(next, 41);
			free(p);
		}
	}
}

static void trailer_wrong(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		bool ok;
		size_t payload_len;
	} table[] = {
	    {"", false, 0},	      {"04", false, 0},		{"0004", true, 0},
	    {"010104", true, 0},      {"0104", false, 0},	/* longer than there is */
	    {"aa0102ff04", false, 0},				/* much longer */
	    {"aa01020204", true, 1},  {"aa00000204", false, 0}, /* not 1, 2 */
	    {"aa01030204", false, 0}, {"aa02010204", false, 0},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct vector v = vector_of(table[i].hex);
		uint8_t *p = vector_exact(v.b, v.len);
		size_t payload_len = 0;
		uint8_t next = 0;
		assert_int_equal(esp_read_trailer(p, v.len, &payload_len, &next), table[i].ok);
		assert_int_equal(payload_len, table[i].payload_len);
		assert_int_equal(next, table[i].ok ? 4 : 0);
		free(p);
	}

	/* The longest padding there is. */
	uint8_t buf[300] = {0};
	size_t payload_len;
	uint8_t next;
	for (unsigned i = 0; i < 255; i++)
		buf[43 + i] = (uint8_t)(i + 1);
	buf[298] = 255;
	assert_true(esp_read_trailer(buf, 300, &payload_len, &next));
	assert_int_equal(payload_len, 43);
}

static void probe_both_ways(void **state)
{
	(void)state;
	static const struct {
		struct esp_probe probe;
		const char *name, *hex;
	} table[] = {
	    {{ESP_PROBE_REQUEST, 0x1122334455667788},
	     "request",
	     "534a5052 01 000000 1122334455667788"},
	    {{ESP_PROBE_REPLY, 1}, "reply", "534a5052 02 000000 0000000000000001"},
	    {{ESP_PROBE_USE, 2}, "use", "534a5052 03 000000 0000000000000002"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct vector v = vector_of(table[i].hex);
		uint8_t out[ESP_PROBE_LEN];
		struct esp_probe back;
		assert_int_equal(esp_write_probe(out, sizeof(out), &table[i].probe), v.len);
		assert_memory_equal(out, v.b, v.len);
		vector_save("esp", table[i].name, v.b, v.len);
		for (size_t len = 0; len <= v.len; len++) {
			uint8_t *p = vector_exact(v.b, len);
			assert_int_equal(esp_read_probe(p, len, &back), len == v.len);
			assert_int_equal(esp_write_probe(p, len, &table[i].probe),
					 len == v.len ? v.len : 0);
			free(p);
		}
		assert_int_equal(back.kind, table[i].probe.kind);
		assert_int_equal(back.id, table[i].probe.id);
	}

	static const char *const wrong[] = {
	    "534a5053 01 000000 1122334455667788",
	    "534a5052 00 000000 1122334455667788",
	    "534a5052 04 000000 1122334455667788",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct vector v = vector_of(wrong[i]);
		struct esp_probe back;
		assert_false(esp_read_probe(v.b, v.len, &back));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(udp_kinds),     cmocka_unit_test(pad_lengths),
	    cmocka_unit_test(trailer_bytes), cmocka_unit_test(trailer_both_ways),
	    cmocka_unit_test(trailer_wrong), cmocka_unit_test(probe_both_ways),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
