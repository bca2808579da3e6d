/* SPDX-License-Identifier: MIT */
#include "vectors.h"
#include "wire/mip4.h"

#define FIXED_REQUEST "01a2012c 0a090002 c0000201 c6336407 0123456789abcdef"
#define FIXED_REPLY   "0385012c 0a090002 c0000201 0123456789abcdef"
#define EPOCH	      "860c0000 00007ed9 0001 e90c0001"
#define CONNECTIONS   "2600000f 00007ed9 0002 01 00001001 00001002"
#define RESULTS	      "86120000 00007ed9 0003 0000100100 0000100288"
#define AUTH	      "2014 00000100 00000000000000000000000000000000"
#define AUTH_SET      "2014 00000100 000102030405060708090a0b0c0d0e0f"

static const struct mip4_ext ext_full = {
    .auth_spi = 0x100,
    .has_epoch = true,
    .epoch = 0xe90c0001,
    .has_connections = true,
    .op = MIP4_OP_ADD,
    .spi_count = 2,
    .spis = {0x1001, 0x1002},
};
static const struct mip4_ext ext_results = {
    .auth_spi = 0x100,
    .has_epoch = true,
    .epoch = 0xe90c0001,
    .result_count = 2,
    .results = {{0x1001, 0}, {0x1002, 136}},
};
static const struct mip4_ext ext_plain = {.auth_spi = 0x100};

static struct mip4_request request_of(const struct mip4_ext *ext)
{
	return (struct mip4_request){
	    .flags = MIP4_S | MIP4_D | MIP4_T,
	    .lifetime_s = 300,
	    .home = {10, 9, 0, 2},
	    .home_agent = {192, 0, 2, 1},
	    .care_of = {198, 51, 100, 7},
	    .identification = 0x0123456789abcdef,
	    .ext = *ext,
	};
}

static struct mip4_reply reply_of(const struct mip4_ext *ext)
{
	return (struct mip4_reply){
	    .code = MIP4_ID_MISMATCH,
	    .lifetime_s = 300,
	    .home = {10, 9, 0, 2},
	    .home_agent = {192, 0, 2, 1},
	    .identification = 0x0123456789abcdef,
	    .ext = *ext,
	};
}

/* `read` holds what was written, and the authentication extension that ends at `len`. */
static void assert_ext(const struct mip4_ext *read, const struct mip4_ext *written,
		       const uint8_t *p, size_t len)
{
	assert_true(read->has_auth);
	assert_int_equal(read->auth_spi, written->auth_spi);
	assert_int_equal(read->auth_len, MIP4_AUTH_LEN);
	assert_int_equal(read->auth_covers, len - MIP4_AUTH_LEN);
	assert_ptr_equal(read->auth, p + len - MIP4_AUTH_LEN);
	assert_int_equal(read->has_epoch, written->has_epoch);
	assert_int_equal(read->epoch, written->epoch);
	assert_int_equal(read->has_connections, written->has_connections);
	assert_int_equal(read->op, written->op);
	assert_int_equal(read->spi_count, written->spi_count);
	assert_memory_equal(read->spis, written->spis, sizeof(read->spis));
	assert_int_equal(read->result_count, written->result_count);
	for (size_t i = 0; i < written->result_count; i++) {
		assert_int_equal(read->results[i].spi, written->results[i].spi);
		assert_int_equal(read->results[i].code, written->results[i].code);
	}
}

static void request_both_ways(void **state)
{
	(void)state;
	static const struct {
		const char *name, *hex;
		const struct mip4_ext *ext;
	} table[] = {
	    {"request-plain", FIXED_REQUEST AUTH, &ext_plain},
	    {"request", FIXED_REQUEST EPOCH CONNECTIONS AUTH, &ext_full},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct vector v = vector_of(table[i].hex);
		struct mip4_request m = request_of(table[i].ext), back;
		uint8_t out[MIP4_MESSAGE_MAX];
		size_t auth_off = 0;
		assert_int_equal(mip4_write_request(out, sizeof(out), &m, &auth_off), v.len);
		assert_memory_equal(out, v.b, v.len);
		assert_int_equal(auth_off, v.len - MIP4_AUTH_LEN);
		vector_save("mip4", table[i].name, v.b, v.len);

		assert_int_equal(mip4_read_request(out, v.len, &back), MIP4_OK);
		assert_int_equal(back.flags, m.flags);
		assert_int_equal(back.lifetime_s, m.lifetime_s);
		assert_memory_equal(back.home, m.home, 4);
		assert_memory_equal(back.home_agent, m.home_agent, 4);
		assert_memory_equal(back.care_of, m.care_of, 4);
		assert_int_equal(back.identification, m.identification);
		assert_ext(&back.ext, &m.ext, out, v.len);

		for (size_t room = 0; room < v.len; room++) {
			uint8_t *p = vector_exact(v.b, room);
			assert_int_equal(mip4_write_request(p, room, &m, &auth_off), 0);
			free(p);
		}
	}
}

static void reply_both_ways(void **state)
{
	(void)state;
	static const struct {
		const char *name, *hex;
		const struct mip4_ext *ext;
	} table[] = {
	    {"reply-plain", FIXED_REPLY AUTH, &ext_plain},
	    {"reply", FIXED_REPLY EPOCH RESULTS AUTH, &ext_results},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct vector v = vector_of(table[i].hex);
		struct mip4_reply m = reply_of(table[i].ext), back;
		uint8_t out[MIP4_MESSAGE_MAX];
		size_t auth_off = 0;
		assert_int_equal(mip4_write_reply(out, sizeof(out), &m, &auth_off), v.len);
		assert_memory_equal(out, v.b, v.len);
		assert_int_equal(auth_off, v.len - MIP4_AUTH_LEN);
		vector_save("mip4", table[i].name, v.b, v.len);

		assert_int_equal(mip4_read_reply(out, v.len, &back), MIP4_OK);
		assert_int_equal(back.code, m.code);
		assert_int_equal(back.lifetime_s, m.lifetime_s);
		assert_memory_equal(back.home, m.home, 4);
		assert_memory_equal(back.home_agent, m.home_agent, 4);
		assert_int_equal(back.identification, m.identification);
		assert_ext(&back.ext, &m.ext, out, v.len);

		for (size_t room = 0; room < v.len; room++) {
			uint8_t *p = vector_exact(v.b, room);
			assert_int_equal(mip4_write_reply(p, room, &m, &auth_off), 0);
			free(p);
		}
	}
}

/* The largest message fits what is announced; more SPIs than there is room for do not. */
static void write_limits(void **state)
{
	(void)state;
	struct mip4_ext ext = ext_full;
	uint8_t out[MIP4_MESSAGE_MAX];
	size_t auth_off;

	ext.spi_count = MIP4_SPIS_MAX;
	ext.result_count = MIP4_SPIS_MAX;
	struct mip4_request m = request_of(&ext), back;
	size_t len = mip4_write_request(out, sizeof(out), &m, &auth_off);
	assert_true(len > 0);
	assert_int_equal(mip4_read_request(out, len, &back), MIP4_OK);
	assert_ext(&back.ext, &ext, out, len);
	m.ext.spi_count++;
	assert_int_equal(mip4_write_request(out, sizeof(out), &m, &auth_off), 0);
	m = request_of(&ext);
	m.ext.result_count++;
	assert_int_equal(mip4_write_request(out, sizeof(out), &m, &auth_off), 0);
}

static void read_truncated(void **state)
{
	(void)state;
	struct vector v = vector_of(FIXED_REQUEST EPOCH CONNECTIONS AUTH);
	/* Where an extension ends, what is there is a whole message. */
	size_t whole[] = {24, 38, 57, 79};

	for (size_t len = 0, next = 0; len <= v.len; len++) {
		uint8_t *p = vector_exact(v.b, len);
		struct mip4_request m;
		enum mip4_verdict want = len < MIP4_REQUEST_LEN ? MIP4_SILENT : MIP4_MALFORMED;
		if (len == whole[next]) {
			want = MIP4_OK;
			next++;
		}
		assert_int_equal(mip4_read_request(p, len, &m), want);
		/* Who answers 134 needs the fixed part. */
		assert_int_equal(m.identification, want == MIP4_SILENT ? 0 : 0x0123456789abcdef);
		assert_int_equal(m.ext.has_auth, len == v.len);
		free(p);
	}

	v = vector_of(FIXED_REPLY EPOCH RESULTS AUTH);
	for (size_t len = 0; len <= v.len; len++) {
		uint8_t *p = vector_exact(v.b, len);
		struct mip4_reply m;
		enum mip4_verdict want = len < MIP4_REPLY_LEN ? MIP4_SILENT : MIP4_MALFORMED;
		if (len == 20 || len == 34 || len == 54 || len == 76)
			want = MIP4_OK;
		assert_int_equal(mip4_read_reply(p, len, &m), want);
		free(p);
	}
}

static void read_extensions(void **state)
{
	(void)state;
	static const struct {
		const char *name, *hex; /* behind the fixed part of a request */
		enum mip4_verdict verdict;
		bool epoch, connections, auth;
	} table[] = {
	    {"none", "", MIP4_OK, false, false, false},
	    {"padding", "00 00 00" AUTH "00", MIP4_OK, false, false, true},
	    {"auth", AUTH_SET, MIP4_OK, false, false, true},
	    {"auth-long", "2018 00000100 000102030405060708090a0b0c0d0e0f10111213", MIP4_OK, false,
	     false, true},
	    {"auth-without-authenticator", "2004 00000100", MIP4_MALFORMED, false, false, false},
	    {"auth-short", "2003 000001", MIP4_MALFORMED, false, false, false},
	    {"auth-past-end", "2015 00000100 000102030405060708090a0b0c0d0e0f", MIP4_MALFORMED,
	     false, false, false},
	    /* unknown: 1-127 silent, 128-255 skipped */
	    {"unknown-1", "01 00" AUTH, MIP4_SILENT, false, false, false},
	    {"unknown-31", "1f 02 0000" AUTH, MIP4_SILENT, false, false, false},
	    {"unknown-33", "21 02 0000" AUTH, MIP4_SILENT, false, false, false},
	    {"unknown-36", "24 01 0004 00000100" AUTH, MIP4_SILENT, false, false, false},
	    {"unknown-127", "7f 00" AUTH, MIP4_SILENT, false, false, false},
	    {"unknown-127-past-end", "7f ff" AUTH, MIP4_SILENT, false, false, false},
	    {"unknown-128", "80 00" AUTH, MIP4_OK, false, false, true},
	    {"nai", "83 05 6140622e63" AUTH, MIP4_OK, false, false, true},
	    {"unknown-255", "ff 03 010203" EPOCH AUTH, MIP4_OK, true, false, true},
	    {"unknown-255-past-end", "ff 04 010203", MIP4_MALFORMED, false, false, false},
	    {"no-length", "80", MIP4_MALFORMED, false, false, false},
	    /* vendors */
	    {"critical-other-vendor", "26000006 00000009 0001" AUTH, MIP4_CRITICAL_VENDOR, false,
	     false, true},
	    {"critical-other-then-ours", "26000006 00000009 0001" EPOCH AUTH, MIP4_CRITICAL_VENDOR,
	     true, false, true},
	    {"critical-other-then-unknown", "26000006 00000009 0001 7f00" AUTH, MIP4_SILENT, false,
	     false, false},
	    {"critical-ours-unknown", "26000006 00007ed9 00ff" AUTH, MIP4_CRITICAL_VENDOR, false,
	     false, true},
	    {"critical-short", "26000005 00000009 00", MIP4_MALFORMED, false, false, false},
	    {"critical-epoch", "2600000a 00007ed9 0001 00000001" AUTH, MIP4_OK, true, false, true},
	    {"normal-other-vendor", "860a0000 00000009 0001 abcd" AUTH, MIP4_OK, false, false,
	     true},
	    {"normal-ours-unknown", "86080000 00007ed9 00ff" AUTH, MIP4_OK, false, false, true},
	    {"normal-short", "86070000 00000009 00", MIP4_MALFORMED, false, false, false},
	    {"normal-empty", "8600", MIP4_MALFORMED, false, false, false},
	    {"normal-connections", "860d0000 00007ed9 0002 00 00001001" AUTH, MIP4_OK, false, true,
	     true},
	    /* ours, with a wrong length or value */
	    {"epoch-3", "860b0000 00007ed9 0001 e90c00" AUTH, MIP4_MALFORMED, false, false, false},
	    {"epoch-5", "860d0000 00007ed9 0001 e90c000100" AUTH, MIP4_MALFORMED, false, false,
	     false},
	    {"epoch-twice", EPOCH EPOCH AUTH, MIP4_MALFORMED, true, false, false},
	    {"connections-no-op", "26000006 00007ed9 0002" AUTH, MIP4_MALFORMED, false, false,
	     false},
	    {"connections-none", "26000007 00007ed9 0002 00" AUTH, MIP4_OK, false, true, true},
	    {"connections-half", "26000009 00007ed9 0002 00 0000" AUTH, MIP4_MALFORMED, false,
	     false, false},
	    {"connections-op-3", "26000007 00007ed9 0002 03" AUTH, MIP4_MALFORMED, false, false,
	     false},
	    {"connections-9",
	     "2600002b 00007ed9 0002 00"
	     "000000010000000200000003000000040000000500000006000000070000000800000009" AUTH,
	     MIP4_MALFORMED, false, false, false},
	    {"connections-twice", CONNECTIONS CONNECTIONS AUTH, MIP4_MALFORMED, false, true, false},
	    {"results-4", "860c0000 00007ed9 0003 00001001" AUTH, MIP4_MALFORMED, false, false,
	     false},
	    /* behind the authenticator only the form counts */
	    {"behind-epoch", AUTH EPOCH, MIP4_OK, false, false, true},
	    {"behind-unknown", AUTH "7f00", MIP4_OK, false, false, true},
	    {"behind-critical", AUTH "26000006 00000009 0001", MIP4_OK, false, false, true},
	    {"behind-general-auth", AUTH "24010004 00000100", MIP4_OK, false, false, true},
	    {"behind-auth", AUTH "2204 00000200", MIP4_OK, false, false, true},
	    {"behind-past-end", AUTH "2205 00000200", MIP4_MALFORMED, false, false, true},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char hex[1024];
		snprintf(hex, sizeof(hex), "%s%s", FIXED_REQUEST, table[i].hex);
		struct vector v = vector_of(hex);
		uint8_t *p = vector_exact(v.b, v.len);
		struct mip4_request m;
		print_message("%s\n", table[i].name);
		vector_save("mip4", table[i].name, v.b, v.len);
		assert_int_equal(mip4_read_request(p, v.len, &m), table[i].verdict);
		assert_int_equal(m.lifetime_s, 300);
		assert_int_equal(m.ext.has_auth, table[i].auth);
		assert_int_equal(m.ext.auth != NULL, table[i].auth);
		assert_int_equal(m.ext.has_epoch, table[i].epoch);
		assert_int_equal(m.ext.has_connections, table[i].connections);
		if (table[i].auth)
			assert_int_equal(m.ext.auth_spi, 0x100);
		free(p);
	}
}

/* The authenticator's place and span with something on either side of it. */
static void read_authenticator_span(void **state)
{
	(void)state;
	struct vector v = vector_of(FIXED_REQUEST EPOCH "00" AUTH_SET "80020000");
	struct mip4_request m;

	assert_int_equal(mip4_read_request(v.b, v.len, &m), MIP4_OK);
	assert_int_equal(m.ext.auth_covers, 24 + 14 + 1 + 6);
	assert_ptr_equal(m.ext.auth, v.b + m.ext.auth_covers);
	assert_int_equal(m.ext.auth_len, 16);
	assert_int_equal(m.ext.auth[15], 15);
}

static void read_other_types(void **state)
{
	(void)state;
	struct vector request = vector_of(FIXED_REQUEST AUTH), reply = vector_of(FIXED_REPLY AUTH);
	struct mip4_request q;
	struct mip4_reply a;

	assert_int_equal(mip4_read_request(reply.b, reply.len, &q), MIP4_SILENT);
	assert_int_equal(mip4_read_reply(request.b, request.len, &a), MIP4_SILENT);
	for (unsigned type = 0; type < 256; type++) {
		request.b[0] = (uint8_t)type;
		reply.b[0] = (uint8_t)type;
		assert_int_equal(mip4_read_request(request.b, request.len, &q),
				 type == 1 ? MIP4_OK : MIP4_SILENT);
		assert_int_equal(mip4_read_reply(reply.b, reply.len, &a),
				 type == 3 ? MIP4_OK : MIP4_SILENT);
	}
}

static void identification_times(void **state)
{
	(void)state;
	static const struct {
		uint64_t wall_us, identification;
	} table[] = {
	    {0, 0x83aa7e8000000000},
	    {500000, 0x83aa7e8080000000},
	    {250000, 0x83aa7e8040000000},
	    {1000000, 0x83aa7e8100000000},
	    /* 2036-02-07T06:28:15 and the second after: NTP's era ends */
	    {2085978495000000, 0xffffffff00000000},
	    {2085978496000000, 0x0000000000000000},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(mip4_identification(table[i].wall_us), table[i].identification);
		assert_int_equal(mip4_wall_us(table[i].identification), table[i].wall_us);
	}
	uint64_t last = 0;
	for (uint64_t us = 1780000000000000; us < 1780000002000000; us += 37) {
		uint64_t id = mip4_identification(us);
		assert_int_equal(mip4_wall_us(id), us);
		assert_true(id > last);
		last = id;
	}
	assert_int_equal(mip4_wall_us(mip4_identification(1780000000999999)), 1780000000999999);
}

static void code_texts(void **state)
{
	(void)state;
	assert_string_equal(mip4_code_text(MIP4_ACCEPTED), "accepted");
	assert_string_equal(mip4_code_text(MIP4_ID_MISMATCH), "identification mismatch");
	for (unsigned code = 0; code < 256; code++)
		assert_non_null(mip4_code_text((uint8_t)code));
	assert_string_equal(mip4_code_text(255), "unknown code");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(request_both_ways), cmocka_unit_test(reply_both_ways),
	    cmocka_unit_test(write_limits),	 cmocka_unit_test(read_truncated),
	    cmocka_unit_test(read_extensions),	 cmocka_unit_test(read_authenticator_span),
	    cmocka_unit_test(read_other_types),	 cmocka_unit_test(identification_times),
	    cmocka_unit_test(code_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
