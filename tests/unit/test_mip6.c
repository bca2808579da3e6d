/* SPDX-License-Identifier: MIT */
#include "vectors.h"
#include "wire/ip.h"
#include "wire/mip6.h"

static struct addr home, agent;

static int setup(void **state)
{
	(void)state;
	return addr_parse("2001:db8:9::2", &home) | addr_parse("2001:db8:9::1", &agent);
}

/* Sets the checksum right for a message from `src` to `dst`. */
static void seal(struct vector *v, const struct addr *src, const struct addr *dst)
{
	v->b[4] = v->b[5] = 0;
	uint32_t sum = ip_pseudo_sum(src, dst, IP_PROTO_MH, (uint32_t)v->len);
	uint16_t c = ip_fold(ip_sum(v->b, v->len, sum));
	v->b[4] = (uint8_t)(c >> 8);
	v->b[5] = (uint8_t)c;
}

static void update_both_ways(void **state)
{
	(void)state;
	struct addr care6, care4;
	assert_int_equal(addr_parse("2001:db8:cafe::5", &care6), 0);
	assert_int_equal(addr_parse("198.51.100.7", &care4), 0);
	const struct {
		const char *name, *hex;
		struct mip6_update m;
	} table[] = {
	    {"update-plain",
	     "3b010500a28b0007c000004b01020000",
	     {.sequence = 7, .flags = MIP6_A | MIP6_H, .lifetime_4s = 75}},
	    {"update",
	     "3b070500180a0007c000004b0100031020010db8cafe00000000000000000005"
	     "130900007ed901e90c0001130e00007ed9020000001001000010020103000000",
	     {.sequence = 7,
	      .flags = MIP6_A | MIP6_H,
	      .lifetime_4s = 75,
	      .has_care_of = true,
	      .care_of = care6,
	      .has_epoch = true,
	      .epoch = 0xe90c0001,
	      .has_connections = true,
	      .op = MIP4_OP_REPLACE,
	      .spi_count = 2,
	      .spis = {0x1001, 0x1002}}},
	    {"update-ipv4-care-of",
	     "3b02050058410007c000004b20060000c633640701020000",
	     {.sequence = 7,
	      .flags = MIP6_A | MIP6_H,
	      .lifetime_4s = 75,
	      .has_care_of = true,
	      .care_of = care4}},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct mip6_update *m = &table[i].m;
		struct vector v = vector_of(table[i].hex);
		struct mip6_update back = {0};
		uint8_t out[MIP6_MESSAGE_MAX];
		assert_int_equal(mip6_write_update(out, sizeof(out), &home, &agent, m), v.len);
		assert_memory_equal(out, v.b, v.len);
		vector_save("mip6", table[i].name, v.b, v.len);
		for (size_t len = 0; len <= v.len; len++) {
			uint8_t *p = vector_exact(v.b, len);
			assert_int_equal(mip6_read_update(p, len, &home, &agent, &back),
					 len == v.len);
			assert_int_equal(mip6_write_update(p, len, &home, &agent, m),
					 len == v.len ? v.len : 0);
			free(p);
		}
		assert_int_equal(back.sequence, m->sequence);
		assert_int_equal(back.flags, m->flags);
		assert_int_equal(back.lifetime_4s, m->lifetime_4s);
		assert_int_equal(back.has_care_of, m->has_care_of);
		assert_true(addr_equal(&back.care_of, &m->care_of));
		assert_int_equal(back.has_epoch, m->has_epoch);
		assert_int_equal(back.epoch, m->epoch);
		assert_int_equal(back.has_connections, m->has_connections);
		assert_int_equal(back.op, m->op);
		assert_int_equal(back.spi_count, m->spi_count);
		assert_memory_equal(back.spis, m->spis, sizeof(back.spis));
	}
}

static void ack_both_ways(void **state)
{
	(void)state;
	static const struct {
		const char *name, *hex;
		struct mip6_ack m;
	} table[] = {
	    {"ack-plain",
	     "3b010600610c00800007004b01020000",
	     {.status = 0, .key_mgmt = true, .sequence = 7, .lifetime_4s = 75}},
	    {"ack",
	     "3b030600b4ca870000070000130f00007ed90300001001000000100280010100",
	     {.status = MIP6_SEQUENCE_OUT_OF_WINDOW,
	      .sequence = 7,
	      .result_count = 2,
	      .results = {{0x1001, 0}, {0x1002, 128}}}},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct mip6_ack *m = &table[i].m;
		struct vector v = vector_of(table[i].hex);
		struct mip6_ack back = {0};
		uint8_t out[MIP6_MESSAGE_MAX];
		assert_int_equal(mip6_write_ack(out, sizeof(out), &agent, &home, m), v.len);
		assert_memory_equal(out, v.b, v.len);
		vector_save("mip6", table[i].name, v.b, v.len);
		for (size_t len = 0; len <= v.len; len++) {
			uint8_t *p = vector_exact(v.b, len);
			assert_int_equal(mip6_read_ack(p, len, &agent, &home, &back), len == v.len);
			assert_int_equal(mip6_write_ack(p, len, &agent, &home, m),
					 len == v.len ? v.len : 0);
			free(p);
		}
		assert_int_equal(back.status, m->status);
		assert_int_equal(back.key_mgmt, m->key_mgmt);
		assert_int_equal(back.sequence, m->sequence);
		assert_int_equal(back.lifetime_4s, m->lifetime_4s);
		assert_int_equal(back.result_count, m->result_count);
		for (size_t r = 0; r < m->result_count; r++) {
			assert_int_equal(back.results[r].spi, m->results[r].spi);
			assert_int_equal(back.results[r].code, m->results[r].code);
		}
	}
}

/* Every number of SPIs, so every padding; the length is whole units each time. */
static void every_padding(void **state)
{
	(void)state;
	for (uint8_t n = 0; n <= MIP4_SPIS_MAX; n++) {
		for (unsigned epoch = 0; epoch < 2; epoch++) {
			struct mip6_update m = {.has_connections = true,
						.spi_count = n,
						.has_epoch = epoch,
						.has_care_of = true,
						.care_of = agent};
			struct mip6_update back;
			uint8_t out[MIP6_MESSAGE_MAX];
			size_t len = mip6_write_update(out, sizeof(out), &home, &agent, &m);
			assert_true(len > 0 && len % 8 == 0);
			assert_int_equal(out[1], len / 8 - 1);
			assert_true(mip6_read_update(out, len, &home, &agent, &back));
			assert_int_equal(back.spi_count, n);
			assert_int_equal(back.has_epoch, epoch);
		}
	}
	struct mip6_update update = {.has_connections = true, .spi_count = MIP4_SPIS_MAX + 1};
	struct mip6_ack ack = {.result_count = MIP4_SPIS_MAX + 1};
	uint8_t out[MIP6_MESSAGE_MAX];
	assert_int_equal(mip6_write_update(out, sizeof(out), &home, &agent, &update), 0);
	assert_int_equal(mip6_write_ack(out, sizeof(out), &agent, &home, &ack), 0);
}

/* Bit for bit: the checksum notices, or the value would be another's. */
static void any_bit_flipped(void **state)
{
	(void)state;
	struct vector v = vector_of("3b010500a28b0007c000004b01020000");
	struct mip6_update m;

	for (size_t bit = 0; bit < v.len * 8; bit++) {
		v.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(mip6_read_update(v.b, v.len, &home, &agent, &m));
		v.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(mip6_read_update(v.b, v.len, &home, &agent, &m));
	/* The addresses are covered too; their order is not, in a sum. */
	struct addr other = agent, v4;
	other.b[15] ^= 1;
	assert_false(mip6_read_update(v.b, v.len, &home, &other, &m));
	assert_int_equal(addr_parse("10.0.0.1", &v4), 0);
	assert_false(mip6_read_update(v.b, v.len, &home, &v4, &m));
	assert_false(mip6_read_update(v.b, v.len, &v4, &agent, &m));
}

static void options_and_headers(void **state)
{
	(void)state;
	static const struct {
		const char *name, *hex;
		bool ok, care_of, epoch;
	} table[] = {
	    {"pad1s", "3b010500 0000 0007c000004b 00000000", true, false, false},
	    {"padn", "3b010500 0000 0007c000004b 01020000", true, false, false},
	    {"unknown-option", "3b010500 0000 0007c000004b 63020102", true, false, false},
	    {"unknown-option-empty", "3b010500 0000 0007c000004b 63006300", true, false, false},
	    {"option-past-end", "3b010500 0000 0007c000004b 63030102", false, false, false},
	    {"option-no-length", "3b010500 0000 0007c000004b 00000063", false, false, false},
	    {"header-shorter-than-update", "3b000500 0000 0007", false, false, false},
	    {"other-payload", "11010500 0000 0007c000004b 01020000", false, false, false},
	    {"other-type", "3b010400 0000 0007c000004b 01020000", false, false, false},
	    {"length-past-end", "3b020500 0000 0007c000004b 01020000", false, false, false},
	    {"reserved-bits", "3b0105ff 0000 0007cfbf004b 01020000", true, false, false},
	    {"care-of-short", "3b020500 0000 0007c000004b 0310 20010db8cafe00000000", false, false,
	     false},
	    {"care-of-length-15",
	     "3b030500 0000 0007c000004b 030f20010db8cafe0000000000000000000000", false, false,
	     false},
	    {"care-of-anywhere",
	     "3b030500 0000 0007c000004b 031020010db8cafe000000000000000000050100", true, true,
	     false},
	    {"care-of-twice",
	     "3b060500 0000 0007c000004b 031020010db8cafe00000000000000000005"
	     "031020010db8cafe00000000000000000006 010600000000 0000",
	     false, false, false},
	    {"vendor-other", "3b020500 0000 0007c000004b 1305 00000009 01 0103000000", true, false,
	     false},
	    {"vendor-short", "3b020500 0000 0007c000004b 1304 00000009 010400000000", false, false,
	     false},
	    {"vendor-ours-unknown", "3b020500 0000 0007c000004b 1305 00007ed9 63 0103000000", true,
	     false, false},
	    {"epoch", "3b020500 0000 0007c000004b 1309 00007ed9 01 00000001 00", true, false, true},
	    {"epoch-3", "3b020500 0000 0007c000004b 1308 00007ed9 01 000001 0000", false, false,
	     false},
	    {"epoch-twice",
	     "3b040500 0000 0007c000004b 130900007ed90100000001 130900007ed90100000002", false,
	     false, false},
	    {"connections-op-3", "3b020500 0000 0007c000004b 1306 00007ed9 02 03 01020000", false,
	     false, false},
	    {"bid", "3b020500 0000 0007c000004b 0100 230400010000 01020000", true, false, false},
	    {"bid-ipv4", "3b020500 0000 0007c000004b 230800010000c0000207 0100", true, false,
	     false},
	    {"bid-zero", "3b020500 0000 0007c000004b 0100 230400000000 01020000", false, false,
	     false},
	    {"bid-short", "3b020500 0000 0007c000004b 2303000100 01050000000000", false, false,
	     false},
	    {"bid-5", "3b020500 0000 0007c000004b 23050001000000 0103000000", false, false, false},
	    {"bid-twice", "3b020500 0000 0007c000004b 230400010000 230400010000", false, false,
	     false},
	    {"connections-half", "3b020500 0000 0007c000004b 1308 00007ed9 02 000000 0000", false,
	     false, false},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct vector v = vector_of(table[i].hex);
		struct mip6_update m = {0};
		print_message("%s\n", table[i].name);
		while (v.len % 8)
			v.b[v.len++] = 0;
		/* The checksum is right, so that it is not what refuses the message. */
		bool past_end = strcmp(table[i].name, "length-past-end") == 0;
		assert_true(past_end || (v.b[1] + 1u) * 8 == v.len);
		seal(&v, &home, &agent);
		vector_save("mip6", table[i].name, v.b, v.len);
		uint8_t *p = vector_exact(v.b, v.len);
		assert_int_equal(mip6_read_update(p, v.len, &home, &agent, &m), table[i].ok);
		assert_int_equal(m.has_care_of, table[i].care_of);
		assert_int_equal(m.has_epoch, table[i].epoch);
		assert_int_equal(m.flags, table[i].ok ? MIP6_A | MIP6_H : 0);
		free(p);
	}
}

/* Behind the message anything may follow: payload proto 59 says that it means nothing. */
static void bytes_behind_are_ignored(void **state)
{
	(void)state;
	struct vector v = vector_of("3b010500a28b0007c000004b01020000 ffffffff");
	struct mip6_update m;

	assert_true(mip6_read_update(v.b, v.len, &home, &agent, &m));
	assert_int_equal(m.sequence, 7);
}

/* A sum that gives zero is written as zero, not as 0xffff as in UDP. */
static void checksum_of_zero(void **state)
{
	(void)state;
	struct mip6_update m = {.flags = MIP6_A | MIP6_H}, back;
	uint8_t out[MIP6_MESSAGE_MAX];
	bool found = false;

	for (unsigned seq = 0; seq < 65536 && !found; seq++) {
		m.sequence = (uint16_t)seq;
		size_t len = mip6_write_update(out, sizeof(out), &home, &agent, &m);
		found = out[4] == 0 && out[5] == 0;
		assert_true(mip6_read_update(out, len, &home, &agent, &back));
		assert_false(out[4] == 0xff && out[5] == 0xff);
	}
	assert_true(found);
}

static void status_texts(void **state)
{
	(void)state;
	for (unsigned status = 0; status < 256; status++)
		assert_non_null(mip6_status_text((uint8_t)status));
	assert_string_equal(mip6_status_text(MIP6_ACCEPTED), "accepted");
	assert_string_equal(mip6_status_text(250), "unknown status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(update_both_ways),	   cmocka_unit_test(ack_both_ways),
	    cmocka_unit_test(every_padding),	   cmocka_unit_test(any_bit_flipped),
	    cmocka_unit_test(options_and_headers), cmocka_unit_test(bytes_behind_are_ignored),
	    cmocka_unit_test(checksum_of_zero),	   cmocka_unit_test(status_texts),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
