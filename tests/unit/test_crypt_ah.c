/* SPDX-License-Identifier: MIT */
/*
 * Authentication of AH's packets, against the libraries' one-shot calls over what RFC 4302 3.3.3
 * says is covered: the packet with zeros in place of the ICV, and with ESN the high half behind.
 */
#include "crypt_rig.h"
#include "wire/ah.h"

#define HEAD_LEN 20 /* of what is before the authentication header; any octets */

static const struct {
	const char *integ;
	int family;
} rows[] = {
    {"hmac-sha-256-128", 4}, {"hmac-sha-256-128", 6}, {"hmac-sha-384-192", 6},
    {"hmac-sha-512-256", 4}, {"hmac-sha-1-96", 4},    {"aes128-gmac", 4},
    {"aes192-gmac", 6},	     {"aes256-gmac", 6},
};

struct keyed {
	const struct alg *integ;
	uint8_t key[128];
	size_t ah_len, icv_at;
	struct crypt *seal, *open;
};

static void keyed_new(struct keyed *k, size_t row)
{
	struct err err = {.text = ""};
	k->integ = alg_find(rows[row].integ);
	for (size_t i = 0; i < sizeof(k->key); i++)
		k->key[i] = (uint8_t)(i * 11 + row);
	k->ah_len = ah_len((size_t)k->integ->iv_len + k->integ->icv_len, (uint8_t)rows[row].family);
	k->icv_at = HEAD_LEN + AH_FIXED_LEN;
	k->seal = crypt_new_ah(k->integ, k->key, k->integ->key_len, CRYPT_SEAL, &err);
	k->open = crypt_new_ah(k->integ, k->key, k->integ->key_len, CRYPT_OPEN, &err);
	if (!k->seal || !k->open)
		fail_msg("%s: %s", rows[row].integ, err.text);
}

static void keyed_free(struct keyed *k)
{
	crypt_free(k->seal);
	crypt_free(k->open);
}

static size_t make(const struct keyed *k, uint8_t *p, size_t payload_len, uint32_t seq)
{
	struct ah_header h = {
	    .next_header = 4, .len = (uint16_t)k->ah_len, .spi = 0x1001, .seq = seq};
	size_t head = HEAD_LEN + k->ah_len;
	for (size_t i = 0; i < HEAD_LEN; i++)
		p[i] = (uint8_t)(0x45 + i);
	assert_int_equal(ah_write(p + HEAD_LEN, k->ah_len, &h), k->ah_len);
	for (size_t i = 0; i < payload_len; i++)
		p[head + i] = (uint8_t)(i * 3 + seq);
	return head + payload_len;
}

static bool run(const struct keyed *k, bool seal, uint8_t *p, size_t len, uint32_t hi, bool esn)
{
	struct crypt_op op = {.crypt = seal ? k->seal : k->open,
			      .esp = p,
			      .len = (uint32_t)len,
			      .seq_hi = hi,
			      .esn = esn,
			      .icv_at = (uint16_t)k->icv_at};
	if (seal)
		crypt_seal(worker, &op, 1);
	else
		crypt_open(worker, &op, 1);
	return op.ok;
}

/* The ICV as somebody else computes it. */
static void reference(const struct keyed *k, const uint8_t *p, size_t len, const uint32_t *hi,
		      uint8_t mac[64])
{
	uint8_t all[PACKET_MAX + 4], nonce[12];
	const struct alg *a = k->integ;
	size_t n = len, mac_len = 0;
	memcpy(all, p, len);
	memset(all + k->icv_at, 0, (size_t)a->iv_len + a->icv_len);
	if (hi) {
		struct writer w = writer_of(all + n, 4);
		writer_u32(&w, *hi);
		n += 4;
	}
	if (a->kind == ALG_INTEGRITY) {
		assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, a->openssl_name, NULL, k->key,
					  a->key_len, all, n, mac, 64, &mac_len));
		return;
	}
	memcpy(nonce, k->key + a->key_len - 4, 4);
	memcpy(nonce + 4, p + k->icv_at, 8);
	const OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string("cipher", (char *)(uintptr_t)a->openssl_name, 0),
	    OSSL_PARAM_construct_octet_string("iv", nonce, sizeof(nonce)),
	    OSSL_PARAM_construct_end(),
	};
	assert_non_null(EVP_Q_mac(NULL, "GMAC", NULL, NULL, params, k->key, a->key_len - 4u, all, n,
				  mac, 64, &mac_len));
}

static void test_is_what_rfc_4302_says(void **state)
{
	(void)state;
	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		struct keyed k;
		keyed_new(&k, row);
		for (size_t payload = 0; payload < 1500; payload += 1 + payload / 3) {
			uint8_t p[PACKET_MAX], mac[64];
			uint32_t hi = (uint32_t)payload * 5;
			bool esn = payload % 2;
			size_t len = make(&k, p, payload, 77), iv_len = k.integ->iv_len;
			assert_true(run(&k, true, p, len, hi, esn));
			reference(&k, p, len, esn ? &hi : NULL, mac);
			if (memcmp(p + k.icv_at + iv_len, mac, k.integ->icv_len) != 0)
				fail_msg("%s, %zu bytes", rows[row].integ, payload);
			assert_true(run(&k, false, p, len, hi, esn));
		}
		keyed_free(&k);
	}
}

static void test_gmac_iv_is_the_number(void **state)
{
	(void)state;
	struct keyed k;
	uint8_t p[PACKET_MAX], want[8];
	keyed_new(&k, 5);
	size_t len = make(&k, p, 100, 0xfffffffe);
	assert_true(run(&k, true, p, len, 0xaabbccdd, true));
	unhex("aabbccddfffffffe", want);
	assert_memory_equal(p + k.icv_at, want, 8);
	len = make(&k, p, 100, 5);
	assert_true(run(&k, true, p, len, 0xaabbccdd, false));
	unhex("0000000000000005", want);
	assert_memory_equal(p + k.icv_at, want, 8);
	keyed_free(&k);
}

/* Each octet counts, padding too; a packet that fails is as it was. */
static void test_flipped_bits_fail(void **state)
{
	(void)state;
	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		struct keyed k;
		uint8_t p[PACKET_MAX], copy[PACKET_MAX], before[PACKET_MAX];
		keyed_new(&k, row);
		size_t len = make(&k, p, 60, 9);
		assert_true(run(&k, true, p, len, 3, true));
		for (size_t at = 0; at < len; at++) {
			memcpy(copy, p, len);
			copy[at] ^= (uint8_t)(1u << at % 8);
			memcpy(before, copy, len);
			if (run(&k, false, copy, len, 3, true))
				fail_msg("%s: octet %zu changed", rows[row].integ, at);
			assert_memory_equal(copy, before, len);
		}
		assert_false(run(&k, false, p, len, 4, true));
		assert_false(run(&k, false, p, len, 3, false));
		assert_false(run(&k, false, p, len - 1, 3, true));
		assert_true(run(&k, false, p, len, 3, true));
		keyed_free(&k);
	}
}

/* Keys of AH and of ESP are not each other's, nor are directions, and lengths are looked at. */
static void test_form_is_kept(void **state)
{
	(void)state;
	struct keyed k;
	uint8_t p[PACKET_MAX];
	keyed_new(&k, 0);
	size_t len = make(&k, p, 60, 9);
	assert_true(run(&k, true, p, len, 0, false));
	struct crypt *esp = must_new("null", "hmac-sha-256-128", k.key, CRYPT_OPEN);
	struct crypt_op ops[] = {
	    {.crypt = esp, .esp = p, .len = (uint32_t)len, .icv_at = (uint16_t)k.icv_at},
	    {.crypt = k.open, .esp = p, .len = (uint32_t)len - 4},
	    {.crypt = k.seal, .esp = p, .len = (uint32_t)len, .icv_at = (uint16_t)k.icv_at},
	    {.crypt = k.open,
	     .esp = p,
	     .len = (uint32_t)k.icv_at + 15,
	     .icv_at = (uint16_t)k.icv_at},
	    {.crypt = k.open, .esp = p, .len = (uint32_t)len, .icv_at = 3},
	};
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		crypt_open(worker, &ops[i], 1);
		assert_false(ops[i].ok);
	}
	crypt_free(esp);
	keyed_free(&k);
}

static void test_new_refuses(void **state)
{
	(void)state;
	static const struct {
		const char *integ;
		size_t key_len;
		const char *says;
	} bad[] = {
	    {"aes128-cbc", 16, "not an integrity algorithm"},
	    {"aes128-gcm", 20, "not an integrity algorithm"},
	    {"hmac-md5-96", 16, "RFC 8221"},
	    {"hmac-sha-256-128", 31, "must have 32 bytes, not 31"},
	    {"aes128-gmac", 16, "must have 20 bytes, not 16"},
	};
	uint8_t key[64] = {0};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = {.text = ""};
		assert_null(
		    crypt_new_ah(alg_find(bad[i].integ), key, bad[i].key_len, CRYPT_SEAL, &err));
		if (!strstr(err.text, bad[i].says))
			fail_msg("%s says: %s", bad[i].integ, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_is_what_rfc_4302_says),
	    cmocka_unit_test(test_gmac_iv_is_the_number),
	    cmocka_unit_test(test_flipped_bits_fail),
	    cmocka_unit_test(test_form_is_kept),
	    cmocka_unit_test(test_new_refuses),
	};
	return run_with_each_library(tests, ARRAY_LEN(tests));
}
