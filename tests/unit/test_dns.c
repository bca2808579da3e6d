/* SPDX-License-Identifier: MIT */
/* DNS queries and answers, whole, cut at every octet, and wrong in each way. */
#include "vectors.h"
#include <stdbool.h>
#include "wire/dns.h"

#define COUNT(x) (sizeof(x) / sizeof((x)[0]))

static const uint8_t query_bytes[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
				     "\x02gw\x07"
				     "example\x03net\x00\x00\x01\x00\x01";
#define QUERY_LEN (sizeof(query_bytes) - 1)

/* An alias, its address by a pointer, another one by a name, one of another type, a short one. */
static const uint8_t answer_bytes[] =
    "\x12\x34\x81\x80\x00\x01\x00\x05\x00\x00\x00\x00"
    "\x02GW\x07"
    "example\x03net\x00\x00\x01\x00\x01"
    "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01z\xc0\x0f"
    "\xc0\x2c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x07"
    "\x01z\xc0\x0f\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x08"
    "\xc0\x2c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"
    "\xc0\x2c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x03\xcb\x00\x71";
#define ANSWER_LEN (sizeof(answer_bytes) - 1)

static void test_query(void **state)
{
	uint8_t out[DNS_QUERY_MAX];
	char name[300];
	(void)state;
	static const char *const same[] = {"gw.example.net", "gw.example.net."};
	for (size_t i = 0; i < COUNT(same); i++) {
		assert_int_equal(dns_write_query(out, sizeof(out), 0x1234, same[i], DNS_A),
				 QUERY_LEN);
		assert_memory_equal(out, query_bytes, QUERY_LEN);
	}
	assert_int_equal(dns_write_query(out, sizeof(out), 1, "a", DNS_AAAA), 12 + 3 + 4);
	assert_int_equal(out[16], 28);
	for (size_t room = 0; room < QUERY_LEN; room++)
		assert_int_equal(dns_write_query(out, room, 1, same[0], DNS_A), 0);
	static const char *const bad[] = {"", ".", "a..b", ".a", "a b", "a\tb", "a\x80z"};
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(dns_write_query(out, sizeof(out), 1, bad[i], DNS_A), 0);
	memset(name, 'x', sizeof(name));
	name[63] = '\0';
	assert_true(dns_write_query(out, sizeof(out), 1, name, DNS_A) > 0);
	name[63] = 'x';
	name[64] = '\0';
	assert_int_equal(dns_write_query(out, sizeof(out), 1, name, DNS_A), 0);
	/* 253 octets of name fit, with its length and root 255. */
	for (size_t len = 200; len < 290; len++) {
		for (size_t i = 0; i < len; i++)
			name[i] = i % 50 == 49 ? '.' : 'x';
		name[len - 1] = 'x';
		name[len] = '\0';
		assert_int_equal(dns_write_query(out, sizeof(out), 1, name, DNS_A) > 0, len <= 253);
	}
}

static void test_answer(void **state)
{
	static const char *const want[] = {"203.0.113.7", "203.0.113.8", "2001:db8::9"};
	struct addr got[8];
	size_t n;
	(void)state;
	assert_true(dns_read_answer(answer_bytes, ANSWER_LEN, query_bytes, QUERY_LEN, got, 8, &n));
	assert_int_equal(n, 3);
	for (size_t i = 0; i < 3; i++) {
		char text[ADDR_TEXT_MAX];
		assert_string_equal(addr_format(&got[i], text), want[i]);
	}
	assert_true(dns_read_answer(answer_bytes, ANSWER_LEN, query_bytes, QUERY_LEN, got, 2, &n));
	assert_int_equal(n, 2);
	/* Cut anywhere: what was whole before. */
	size_t last = 0;
	for (size_t len = 0; len < ANSWER_LEN; len++) {
		uint8_t *copy = malloc(len ? len : 1);
		memcpy(copy, answer_bytes, len);
		bool is = dns_read_answer(copy, len, query_bytes, QUERY_LEN, got, 8, &n);
		free(copy);
		assert_int_equal(is, len >= QUERY_LEN);
		assert_true(n >= last && n <= 3);
		last = n;
	}
	assert_int_equal(last, 3);
}

static void test_not_an_answer(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} rows[] = {
	    {0, 0x13}, /* id */
	    {2, 0x01}, /* a query */
	    {2, 0x89}, /* another operation */
	    {5, 0},    /* no question */
	    {5, 2},    /* two */
	    {13, 'h'}, /* another name */
	    {12, 3},   /* another length */
	    {29, 28},  /* another type */
	    {31, 3},   /* another class */
	};
	uint8_t msg[ANSWER_LEN];
	struct addr got[8];
	size_t n;
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		memcpy(msg, answer_bytes, ANSWER_LEN);
		assert_int_not_equal(msg[rows[i].at], rows[i].value);
		msg[rows[i].at] = rows[i].value;
		if (dns_read_answer(msg, ANSWER_LEN, query_bytes, QUERY_LEN, got, 8, &n))
			fail_msg("row %zu", i);
		assert_int_equal(n, 0);
	}
	/* A label of a kind that does not exist ends the list. */
	memcpy(msg, answer_bytes, ANSWER_LEN);
	msg[QUERY_LEN] = 0x80;
	assert_true(dns_read_answer(msg, ANSWER_LEN, query_bytes, QUERY_LEN, got, 8, &n));
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_query),
	    cmocka_unit_test(test_answer),
	    cmocka_unit_test(test_not_an_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
