/* SPDX-License-Identifier: MIT */
/* Errors, log lines, secrets and clocks. */
#include "vectors.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

struct seen {
	unsigned count;
	enum log_level level;
	char line[2048];
};

static void keep_line(void *ctx, enum log_level level, const char *line)
{
	struct seen *s = ctx;

	s->count++;
	s->level = level;
	snprintf(s->line, sizeof(s->line), "%s", line);
}

static void log_levels(void **state)
{
	(void)state;
	struct seen seen = {0};

	for (int limit = LOG_LEVEL_ERROR; limit <= LOG_LEVEL_DEBUG; limit++) {
		struct log log = {(enum log_level)limit, keep_line, &seen};
		seen.count = 0;
		log_error(&log, "a: b");
		log_warn(&log, "a: b");
		log_info(&log, "a: b");
		log_debug(&log, "a: b n=%d", limit);
		assert_int_equal(seen.count, limit + 1);
		assert_int_equal(seen.level, limit);
	}
	assert_string_equal(seen.line, "a: b n=3");
	log_error(NULL, "nobody hears");
}

static void log_stays_one_line(void **state)
{
	(void)state;
	struct seen seen = {0};
	struct log log = {LOG_LEVEL_INFO, keep_line, &seen};
	char longer[3000];

	log_info(&log, "peer: name=%s", "x\nfalse: line\x1b[2J");
	assert_string_equal(seen.line, "peer: name=x?false: line?[2J");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	log_info(&log, "%s", longer);
	assert_true(strlen(seen.line) > 500 && strlen(seen.line) < 2000);
}

static void log_limited(void **state)
{
	(void)state;
	struct log_limit l = {0};
	usec_t t = 5 * USEC_PER_SEC;

	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(log_limit_ok(&l, t + i, 3), i < 3);
	assert_int_equal(l.suppressed, 7);
	assert_false(log_limit_ok(&l, t + USEC_PER_SEC - 1, 3));
	assert_true(log_limit_ok(&l, t + USEC_PER_SEC, 3));
	assert_int_equal(l.suppressed, 8); /* until someone has told it */
}

static void err_texts(void **state)
{
	(void)state;
	struct err e;

	assert_int_equal(err_set(&e, "%s:%d: %s", "f.conf", 3, "unknown key"), -1);
	assert_string_equal(e.text, "f.conf:3: unknown key");
	err_set(&e, "while reading: %s", e.text);
	assert_string_equal(e.text, "while reading: f.conf:3: unknown key");
	for (unsigned i = 0; i < 20; i++)
		err_set(&e, "0123456789012345678901234567890123456789%s", e.text);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_int_equal(err_set(NULL, "no one asks"), -1);
}

static void mem_secrets(void **state)
{
	(void)state;
	uint8_t key[37], zero[37] = {0}, other[37];

	memset(key, 0x5a, sizeof(key));
	memcpy(other, key, sizeof(key));
	assert_true(mem_equal(key, other, sizeof(key)));
	for (size_t i = 0; i < sizeof(key); i++) {
		other[i] ^= 0x80;
		assert_false(mem_equal(key, other, sizeof(key)));
		assert_true(mem_equal(key, other, i));
		other[i] ^= 0x80;
	}
	mem_wipe(key, sizeof(key));
	assert_memory_equal(key, zero, sizeof(key));
	mem_wipe(NULL, 0);

	CLEANUP_FREE uint8_t *p = mem_zalloc(sizeof(zero));
	assert_memory_equal(p, zero, sizeof(zero));
	CLEANUP_FREE char *s = mem_strdup("text");
	assert_string_equal(s, "text");
}

static void clocks(void **state)
{
	(void)state;
	usec_t a = clock_now_us(), b = clock_now_us();

	assert_true(a > 0 && b >= a && b - a < USEC_PER_SEC * 60);
	assert_true(clock_wall_us() > 1577836800ull * USEC_PER_SEC); /* 2020 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(log_levels),  cmocka_unit_test(log_stays_one_line),
	    cmocka_unit_test(log_limited), cmocka_unit_test(err_texts),
	    cmocka_unit_test(mem_secrets), cmocka_unit_test(clocks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
