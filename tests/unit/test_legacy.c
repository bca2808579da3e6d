/* SPDX-License-Identifier: MIT */
/* MD4 by RFC 1320 A.5, DES, and both as MS-CHAPv2 uses them: RFC 2759 9.2. */
#include "vectors.h"
#include "crypto/legacy.h"

static void assert_hex(const uint8_t *got, const char *hex, size_t len)
{
	char text[65];
	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", got[i]);
	assert_string_equal(text, hex);
}

static void test_md4(void **state)
{
	static const char *const rows[][2] = {
	    {"", "31d6cfe0d16ae931b73c59d7e0c089c0"},
	    {"a", "bde52cb31de33e46245e05fbdbd6fb24"},
	    {"abc", "a448017aaf21d8525fc10ae87aa6729d"},
	    {"message digest", "d9130a8164549fe818874806e1c7014b"},
	    {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
	     "043f8582f241db351ce627e153e7f0e4"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t out[LEGACY_MD4_LEN];
		assert_int_equal(legacy_md4(rows[i][0], strlen(rows[i][0]), out), 0);
		assert_hex(out, rows[i][1], sizeof(out));
	}
}

/* The password's hash, cut into three keys, encrypts the challenge: the NT response. */
static void test_mschapv2(void **state)
{
	static const char password[] = "c\0l\0i\0e\0n\0t\0P\0a\0s\0s";
	static const uint8_t challenge[LEGACY_DES_LEN] = {0xd0, 0x2e, 0x43, 0x86,
							  0xbc, 0xe9, 0x12, 0x26};
	uint8_t hash[21] = {0}, out[24];
	(void)state;
	assert_true(legacy_load());
	assert_int_equal(legacy_md4(password, sizeof(password), hash), 0);
	assert_hex(hash, "44ebba8d5312b8d611474411f56989ae", LEGACY_MD4_LEN);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    legacy_des(hash + LEGACY_DES_KEY_LEN * i, challenge, out + LEGACY_DES_LEN * i),
		    0);
	assert_hex(out, "82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df", sizeof(out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_md4),
	    cmocka_unit_test(test_mschapv2),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
