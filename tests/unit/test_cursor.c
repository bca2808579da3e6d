/* SPDX-License-Identifier: MIT */
#include "vectors.h"
#include "base/cursor.h"

static const uint8_t bytes[15] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void read_integers(void **state)
{
	(void)state;
	struct reader r = reader_of(bytes, sizeof(bytes));

	assert_int_equal(reader_u8(&r), 0x01);
	assert_int_equal(reader_u16(&r), 0x0203);
	assert_int_equal(reader_u32(&r), 0x04050607);
	assert_int_equal(reader_u64(&r), 0x08090a0b0c0d0e0f);
	assert_true(reader_done(&r));
}

/* At every length the same reads: what is missing reads as zero and the error stays. */
static void read_truncated(void **state)
{
	(void)state;
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		uint8_t *p = vector_exact(bytes, len);
		struct reader r = reader_of(p, len);
		uint8_t u8 = reader_u8(&r);
		uint16_t u16 = reader_u16(&r);
		uint32_t u32 = reader_u32(&r);
		uint64_t u64 = reader_u64(&r);
		assert_int_equal(u8, len >= 1 ? 0x01 : 0);
		assert_int_equal(u16, len >= 3 ? 0x0203 : 0);
		assert_int_equal(u32, len >= 7 ? 0x04050607 : 0);
		assert_int_equal(u64, len >= 15 ? 0x08090a0b0c0d0e0f : 0);
		assert_int_equal(r.failed, len < 15);
		assert_int_equal(reader_done(&r), len == 15);
		free(p);
	}
}

static void read_error_sticks(void **state)
{
	(void)state;
	struct reader r = reader_of(bytes, 4);
	uint8_t copy[2] = {0xaa, 0xaa};

	assert_null(reader_bytes(&r, 5));
	assert_int_equal(reader_u8(&r), 0); /* there would be one */
	reader_copy(&r, copy, sizeof(copy));
	assert_int_equal(copy[0] | copy[1], 0);
	struct reader sub = reader_sub(&r, 1);
	assert_true(sub.failed);
	assert_int_equal(reader_left(&sub), 0);
	assert_false(reader_done(&r));
}

static void read_sub(void **state)
{
	(void)state;
	struct reader r = reader_of(bytes, sizeof(bytes));
	struct reader sub = reader_sub(&r, 3);

	assert_int_equal(reader_uint(&sub, 3), 0x010203);
	assert_true(reader_done(&sub));
	reader_u8(&sub);
	assert_true(sub.failed);
	assert_false(r.failed);
	assert_int_equal(reader_left(&r), sizeof(bytes) - 3);
	reader_skip(&r, SIZE_MAX);
	assert_true(r.failed);
}

static void write_integers(void **state)
{
	(void)state;
	uint8_t out[sizeof(bytes)];
	struct writer w = writer_of(out, sizeof(out));

	writer_u8(&w, 0x01);
	writer_u16(&w, 0x0203);
	writer_u32(&w, 0x04050607);
	writer_u64(&w, 0x08090a0b0c0d0e0f);
	assert_false(w.failed);
	assert_int_equal(writer_len(&w), sizeof(out));
	assert_memory_equal(out, bytes, sizeof(out));
}

static void write_without_room(void **state)
{
	(void)state;
	for (size_t room = 0; room < 15; room++) {
		uint8_t *out = vector_exact(bytes, room);
		struct writer w = writer_of(out, room);
		writer_u8(&w, 0xff);
		writer_zero(&w, 2);
		writer_u32(&w, 0xffffffff);
		writer_bytes(&w, bytes, 8);
		assert_true(w.failed);
		assert_int_equal(writer_len(&w), room >= 7 ? 7 : room >= 3 ? 3 : room >= 1 ? 1 : 0);
		/* Behind the first write that did not fit nothing was touched. */
		for (size_t i = writer_len(&w); i < room; i++)
			assert_int_equal(out[i], bytes[i]);
		writer_bytes(&w, NULL, 0);
		assert_true(w.failed);
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(read_integers),	 cmocka_unit_test(read_truncated),
	    cmocka_unit_test(read_error_sticks), cmocka_unit_test(read_sub),
	    cmocka_unit_test(write_integers),	 cmocka_unit_test(write_without_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
