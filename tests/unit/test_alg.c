/* SPDX-License-Identifier: MIT */
/* The registry of algorithms: what is in it is what the RFCs say, and reasons can be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "crypto/alg.h"

static const struct alg expected[] = {
    {"aes128-cbc", "", ALG_ENCRYPTION, ALG_USABLE, "", false, 16, 0, 16, 16, 0, 12, 128},
    {"aes192-cbc", "", ALG_ENCRYPTION, ALG_USABLE, "", false, 24, 0, 16, 16, 0, 12, 192},
    {"aes256-cbc", "", ALG_ENCRYPTION, ALG_USABLE, "", false, 32, 0, 16, 16, 0, 12, 256},
    {"null", "", ALG_ENCRYPTION, ALG_USABLE, "", false, 0, 0, 0, 4, 0, 11, 0},
    {"aes128-gcm", "", ALG_AEAD, ALG_KEYS_MUST_BE_FRESH, "", false, 20, 4, 8, 4, 16, 20, 128},
    {"aes192-gcm", "", ALG_AEAD, ALG_KEYS_MUST_BE_FRESH, "", false, 28, 4, 8, 4, 16, 20, 192},
    {"aes256-gcm", "", ALG_AEAD, ALG_KEYS_MUST_BE_FRESH, "", false, 36, 4, 8, 4, 16, 20, 256},
    {"chacha20-poly1305", "", ALG_AEAD, ALG_KEYS_MUST_BE_FRESH, "", false, 36, 4, 8, 4, 16, 28, 0},
    {"aes128-gmac", "", ALG_AEAD, ALG_KEYS_MUST_BE_FRESH, "", true, 20, 4, 8, 4, 16, 21, 128},
    {"aes192-gmac", "", ALG_AEAD, ALG_KEYS_MUST_BE_FRESH, "", true, 28, 4, 8, 4, 16, 21, 192},
    {"aes256-gmac", "", ALG_AEAD, ALG_KEYS_MUST_BE_FRESH, "", true, 36, 4, 8, 4, 16, 21, 256},
    {"hmac-sha-256-128", "", ALG_INTEGRITY, ALG_USABLE, "", false, 32, 0, 0, 4, 16, 12, 0},
    {"hmac-sha-384-192", "", ALG_INTEGRITY, ALG_USABLE, "", false, 48, 0, 0, 4, 24, 13, 0},
    {"hmac-sha-512-256", "", ALG_INTEGRITY, ALG_USABLE, "", false, 64, 0, 0, 4, 32, 14, 0},
    {"hmac-sha-1-96", "", ALG_INTEGRITY, ALG_USABLE, "", false, 20, 0, 0, 4, 12, 2, 0},
    {"des-cbc", "", ALG_ENCRYPTION, ALG_FORBIDDEN, "", false, 8, 0, 8, 8, 0, 2, 0},
    {"hmac-md5-96", "", ALG_INTEGRITY, ALG_FORBIDDEN, "", false, 16, 0, 0, 4, 12, 1, 0},
};

static void test_registry_is_complete(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		const struct alg *e = &expected[i], *a = alg_find(e->name);
		assert_non_null(a);
		assert_string_equal(a->name, e->name);
		assert_int_equal(a->kind, e->kind);
		assert_int_equal(a->status, e->status);
		assert_int_equal(a->encrypts_nothing, e->encrypts_nothing);
		assert_int_equal(a->key_len, e->key_len);
		assert_int_equal(a->salt_len, e->salt_len);
		assert_int_equal(a->iv_len, e->iv_len);
		assert_int_equal(a->block_len, e->block_len);
		assert_int_equal(a->icv_len, e->icv_len);
		assert_int_equal(a->ike_id, e->ike_id);
		assert_int_equal(a->ike_key_bits, e->ike_key_bits);
		assert_non_null(a->openssl_name);
	}
	assert_non_null(alg_at(ARRAY_LEN(expected) - 1));
	assert_null(alg_at(ARRAY_LEN(expected)));
	assert_null(alg_at(SIZE_MAX));
}

static void test_each_is_found_once(void **state)
{
	(void)state;
	for (size_t i = 0; alg_at(i); i++) {
		assert_ptr_equal(alg_find(alg_at(i)->name), alg_at(i));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(alg_at(i)->name, alg_at(k)->name);
	}
}

static void test_aliases(void **state)
{
	(void)state;
	static const struct {
		const char *alias, *name;
	} rows[] = {
	    {"aes-128-cbc", "aes128-cbc"},
	    {"aes-192-cbc", "aes192-cbc"},
	    {"aes-256-cbc", "aes256-cbc"},
	    {"AES256-CBC", "aes256-cbc"},
	    {"aes128", "aes128-cbc"},
	    {"aes-192-gcm", "aes192-gcm"},
	    {"aes-256-gcm", "aes256-gcm"},
	    {"aes128gcm16", "aes128-gcm"},
	    {"chacha20poly1305", "chacha20-poly1305"},
	    {"aes128gmac", "aes128-gmac"},
	    {"aes-256-gmac", "aes256-gmac"},
	    {"NULL", "null"},
	    {"sha256", "hmac-sha-256-128"},
	    {"SHA384", "hmac-sha-384-192"},
	    {"sha512", "hmac-sha-512-256"},
	    {"sha1", "hmac-sha-1-96"},
	    {"hmac-sha1-96", "hmac-sha-1-96"},
	    {"des", "des-cbc"},
	    {"md5", "hmac-md5-96"},
	    {"hmac-md5", "hmac-md5-96"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct alg *a = alg_find(rows[i].alias);
		if (!a)
			fail_msg("%s is not found", rows[i].alias);
		assert_string_equal(a->name, rows[i].name);
	}
}

static void test_unknown(void **state)
{
	(void)state;
	static const char *const names[] = {"",	    "aes",	"aes128-cb", "aes128-cbcx", " null",
					    "3des", "3des-cbc", "rc4",	     "aes128-ctr"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_null(alg_find(names[i]));
}

/* A person who configured it reads what is wrong and what to write instead. */
static void test_reasons(void **state)
{
	(void)state;
	for (size_t i = 0; alg_at(i); i++) {
		const struct alg *a = alg_at(i);
		switch (a->status) {
		case ALG_USABLE:
			assert_null(a->why);
			break;
		case ALG_KEYS_MUST_BE_FRESH:
			assert_non_null(strstr(a->why, "RFC 4106 section 2"));
			assert_non_null(strstr(a->why, "restart"));
			assert_non_null(strstr(a->why, "instead"));
			assert_non_null(strstr(a->why, "aes256-cbc"));
			break;
		case ALG_FORBIDDEN:
			assert_non_null(strstr(a->why, "RFC 8221"));
			assert_non_null(strstr(a->why, "instead"));
			assert_true(strstr(a->why, "aes128-cbc") ||
				    strstr(a->why, "hmac-sha-256-128"));
			break;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_registry_is_complete),
	    cmocka_unit_test(test_each_is_found_once),
	    cmocka_unit_test(test_aliases),
	    cmocka_unit_test(test_unknown),
	    cmocka_unit_test(test_reasons),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
