/* SPDX-License-Identifier: MIT */
/*
 * The SK payload: RFC 5282's construction by a second way through the library, every algorithm at
 * many lengths, and nothing but what was sealed is opened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include "base/mem.h"
#include "crypto/ike_seal.h"
#include "crypto/warm.h"
#include "vectors.h"

#define SK_HEADER_LEN  32 /* IKE header, generic header */
#define SKF_HEADER_LEN 36 /* and the fragment's numbers */
#define MESSAGE_MAX    4096

struct combo {
	const char *encr, *integ;
};

static const struct combo combos[] = {
    {"aes128-gcm", NULL},
    {"aes192-gcm", NULL},
    {"aes256-gcm", NULL},
    {"chacha20-poly1305", NULL},
    {"aes128-cbc", "hmac-sha-1-96"},
    {"aes128-cbc", "hmac-sha-256-128"},
    {"aes192-cbc", "hmac-sha-256-128"},
    {"aes192-cbc", "hmac-sha-384-192"},
    {"aes256-cbc", "hmac-sha-256-128"},
    {"aes256-cbc", "hmac-sha-384-192"},
    {"aes256-cbc", "hmac-sha-512-256"},
};

static struct ike_seal seal_of(const struct combo *c, uint8_t seed)
{
	struct ike_seal s = {.encr = alg_find(c->encr),
			     .integ = c->integ ? alg_find(c->integ) : NULL};
	assert_non_null(s.encr);
	for (size_t i = 0; i < sizeof(s.encr_key); i++)
		s.encr_key[i] = (uint8_t)(i * 11 + seed);
	for (size_t i = 0; i < sizeof(s.integ_key); i++)
		s.integ_key[i] = (uint8_t)(i * 13 + seed + 1);
	return s;
}

static void fill(uint8_t *msg, size_t header_len, const struct ike_seal *s, size_t inner_len)
{
	for (size_t i = 0; i < header_len; i++)
		msg[i] = (uint8_t)(i * 5 + 1);
	for (size_t i = 0; i < inner_len; i++)
		msg[header_len + s->encr->iv_len + i] = (uint8_t)(i * 7 + 3);
}

static size_t must_seal(const struct ike_seal *s, uint8_t *msg, size_t header_len, size_t inner_len,
			uint64_t iv)
{
	fill(msg, header_len, s, inner_len);
	size_t len = ike_seal(s, msg, MESSAGE_MAX, header_len, inner_len, iv);
	assert_int_equal(len, header_len + inner_len + ike_seal_overhead(s, inner_len));
	return len;
}

static void test_key_lengths(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t len;
	} rows[] = {{"aes128-gcm", 20},	       {"aes192-gcm", 28}, {"aes256-gcm", 36},
		    {"chacha20-poly1305", 36}, {"aes128-cbc", 16}, {"aes192-cbc", 24},
		    {"aes256-cbc", 32}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(ike_seal_encr_key_len(alg_find(rows[i].name)), rows[i].len);
	assert_int_equal(ike_seal_integ_key_len(alg_find("hmac-sha-1-96")), 20);
	assert_int_equal(ike_seal_integ_key_len(alg_find("hmac-sha-256-128")), 32);
	assert_int_equal(ike_seal_integ_key_len(alg_find("hmac-sha-384-192")), 48);
	assert_int_equal(ike_seal_integ_key_len(alg_find("hmac-sha-512-256")), 64);
	assert_int_equal(ike_seal_integ_key_len(NULL), 0);
}

static void test_overhead(void **state)
{
	(void)state;
	static const struct {
		struct combo c;
		size_t len, overhead;
	} rows[] = {
	    {{"aes128-gcm", NULL}, 0, 8 + 1 + 16},
	    {{"aes128-gcm", NULL}, 300, 8 + 1 + 16},
	    {{"chacha20-poly1305", NULL}, 13, 8 + 1 + 16},
	    {{"aes128-cbc", "hmac-sha-256-128"}, 0, 16 + 16 + 16},
	    {{"aes128-cbc", "hmac-sha-256-128"}, 14, 16 + 2 + 16},
	    {{"aes128-cbc", "hmac-sha-256-128"}, 15, 16 + 1 + 16},
	    {{"aes128-cbc", "hmac-sha-256-128"}, 16, 16 + 16 + 16},
	    {{"aes256-cbc", "hmac-sha-512-256"}, 17, 16 + 15 + 32},
	    {{"aes256-cbc", "hmac-sha-1-96"}, 31, 16 + 1 + 12},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ike_seal s = seal_of(&rows[i].c, 1);
		assert_int_equal(ike_seal_overhead(&s, rows[i].len), rows[i].overhead);
	}
}

/* --- a second way */

/* RFC 5282: nonce = salt | IV, additional data = headers, plaintext = payloads | 0. */
static void check_aead(const struct ike_seal *s, const uint8_t *msg, size_t len, size_t header_len,
		       const uint8_t *inner, size_t inner_len)
{
	uint8_t nonce[12], text[MESSAGE_MAX];
	size_t key_len = s->encr->key_len - 4u, text_len = len - header_len - 8 - 16;
	int n = 0;
	EVP_CIPHER *type = EVP_CIPHER_fetch(NULL, s->encr->openssl_name, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	assert_int_equal(text_len, inner_len + 1);
	assert_int_equal(EVP_CIPHER_get_key_length(type), key_len);
	memcpy(nonce, s->encr_key + key_len, 4);
	memcpy(nonce + 4, msg + header_len, 8);
	assert_true(EVP_DecryptInit_ex2(ctx, type, s->encr_key, nonce, NULL));
	assert_true(EVP_DecryptUpdate(ctx, NULL, &n, msg, (int)header_len));
	assert_true(EVP_DecryptUpdate(ctx, text, &n, msg + header_len + 8, (int)text_len));
	assert_true(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16,
					(void *)(uintptr_t)(msg + len - 16)) > 0);
	assert_true(EVP_DecryptFinal_ex(ctx, text + n, &n));
	assert_memory_equal(text, inner, inner_len);
	assert_int_equal(text[inner_len], 0);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(type);
}

/* RFC 7296 3.14: HMAC over all before it, then CBC of payloads | padding | its length. */
static void check_cbc(const struct ike_seal *s, const uint8_t *msg, size_t len, size_t header_len,
		      const uint8_t *inner, size_t inner_len)
{
	uint8_t mac[64], text[MESSAGE_MAX];
	size_t icv_len = s->integ->icv_len, mac_len = 0, text_len = len - header_len - 16 - icv_len;
	int n = 0;
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, s->integ->openssl_name, NULL, s->integ_key,
				  s->integ->key_len, msg, len - icv_len, mac, sizeof(mac),
				  &mac_len));
	assert_memory_equal(mac, msg + len - icv_len, icv_len);
	assert_int_equal(text_len % 16, 0);
	EVP_CIPHER *type = EVP_CIPHER_fetch(NULL, s->encr->openssl_name, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	assert_true(EVP_DecryptInit_ex2(ctx, type, s->encr_key, msg + header_len, NULL));
	assert_true(EVP_CIPHER_CTX_set_padding(ctx, 0));
	assert_true(EVP_DecryptUpdate(ctx, text, &n, msg + header_len + 16, (int)text_len));
	assert_int_equal(n, text_len);
	assert_memory_equal(text, inner, inner_len);
	assert_int_equal(text[text_len - 1], text_len - 1 - inner_len);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(type);
}

static void check_one(const struct ike_seal *s, size_t header_len, size_t inner_len)
{
	uint8_t msg[MESSAGE_MAX], plain[MESSAGE_MAX], headers[SKF_HEADER_LEN], *inner = NULL;
	size_t opened = 0;
	fill(plain, header_len, s, inner_len);
	memcpy(headers, plain, header_len);
	size_t len = must_seal(s, msg, header_len, inner_len, 0x0102030405060708u + inner_len);
	assert_memory_equal(msg, headers, header_len);
	uint8_t *exact = vector_exact(msg, len);
	if (s->integ)
		check_cbc(s, exact, len, header_len, plain + header_len + 16, inner_len);
	else
		check_aead(s, exact, len, header_len, plain + header_len + 8, inner_len);
	assert_true(ike_open(s, exact, len, header_len, &inner, &opened));
	assert_int_equal(opened, inner_len);
	assert_ptr_equal(inner, exact + header_len + s->encr->iv_len);
	assert_memory_equal(inner, plain + header_len + s->encr->iv_len, inner_len);
	free(exact);
}

static void test_every_algorithm(void **state)
{
	(void)state;
	static const size_t more[] = {127, 128, 300, 511, 1024, 1399, 3000};
	for (size_t c = 0; c < ARRAY_LEN(combos); c++) {
		struct ike_seal s = seal_of(&combos[c], (uint8_t)c);
		for (size_t n = 0; n <= 70; n++) {
			check_one(&s, SK_HEADER_LEN, n);
			check_one(&s, SKF_HEADER_LEN, n);
		}
		for (size_t i = 0; i < ARRAY_LEN(more); i++)
			check_one(&s, SK_HEADER_LEN, more[i]);
	}
}

/* --- IVs */

static void test_ivs(void **state)
{
	(void)state;
	uint8_t a[MESSAGE_MAX], b[MESSAGE_MAX];
	for (size_t c = 0; c < ARRAY_LEN(combos); c++) {
		struct ike_seal s = seal_of(&combos[c], 9);
		size_t len = must_seal(&s, a, SK_HEADER_LEN, 40, 0x1122334455667788u);
		assert_int_equal(must_seal(&s, b, SK_HEADER_LEN, 40, 0x1122334455667788u), len);
		if (s.integ) { /* drawn: the counter says nothing */
			assert_memory_not_equal(a + SK_HEADER_LEN, b + SK_HEADER_LEN, 16);
			continue;
		}
		static const uint8_t iv[] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
		assert_memory_equal(a + SK_HEADER_LEN, iv, sizeof(iv));
		assert_memory_equal(a, b, len);
	}
}

/* --- what is not ours */

static bool opens(const struct ike_seal *s, const uint8_t *msg, size_t len, size_t header_len)
{
	uint8_t *exact = vector_exact(msg, len), *inner = NULL;
	size_t inner_len = 0;
	bool ok = ike_open(s, exact, len, header_len, &inner, &inner_len);
	if (!ok)
		assert_int_equal(ERR_peek_error(), 0);
	free(exact);
	return ok;
}

static void test_every_bit_counts(void **state)
{
	(void)state;
	uint8_t msg[MESSAGE_MAX];
	for (size_t c = 0; c < ARRAY_LEN(combos); c++) {
		struct ike_seal s = seal_of(&combos[c], 21);
		for (size_t header_len = SK_HEADER_LEN; header_len <= SKF_HEADER_LEN;
		     header_len += SKF_HEADER_LEN - SK_HEADER_LEN) {
			size_t len = must_seal(&s, msg, header_len, 20, 77);
			assert_true(opens(&s, msg, len, header_len));
			for (size_t bit = 0; bit < len * 8; bit++) {
				msg[bit / 8] ^= (uint8_t)(1u << bit % 8);
				assert_false(opens(&s, msg, len, header_len));
				msg[bit / 8] ^= (uint8_t)(1u << bit % 8);
			}
			assert_true(opens(&s, msg, len, header_len));
		}
	}
}

static void test_every_length(void **state)
{
	(void)state;
	uint8_t msg[MESSAGE_MAX];
	for (size_t c = 0; c < ARRAY_LEN(combos); c++) {
		struct ike_seal s = seal_of(&combos[c], 22);
		size_t len = must_seal(&s, msg, SK_HEADER_LEN, 40, 78);
		memset(msg + len, 0, 64);
		for (size_t cut = 0; cut <= len + 64; cut++)
			assert_int_equal(opens(&s, msg, cut, SK_HEADER_LEN), cut == len);
		/* An SKF is no SK, and the other way round. */
		assert_false(opens(&s, msg, len, SKF_HEADER_LEN));
		len = must_seal(&s, msg, SKF_HEADER_LEN, 40, 79);
		assert_false(opens(&s, msg, len, SK_HEADER_LEN));
		assert_false(opens(&s, msg, len, len));
		assert_false(opens(&s, msg, len, len + 1));
		assert_false(opens(&s, msg, len, SIZE_MAX));
	}
}

static void test_other_keys(void **state)
{
	(void)state;
	uint8_t msg[MESSAGE_MAX];
	for (size_t c = 0; c < ARRAY_LEN(combos); c++) {
		struct ike_seal s = seal_of(&combos[c], 23);
		size_t len = must_seal(&s, msg, SK_HEADER_LEN, 33, 80);
		/* An HMAC is checked before anything is decrypted: its key decides. */
		for (size_t i = 0; !s.integ && i < s.encr->key_len; i++) {
			struct ike_seal other = s;
			other.encr_key[i] ^= 1;
			assert_false(opens(&other, msg, len, SK_HEADER_LEN));
		}
		for (size_t i = 0; s.integ && i < s.integ->key_len; i++) {
			struct ike_seal other = s;
			other.integ_key[i] ^= 1;
			assert_false(opens(&other, msg, len, SK_HEADER_LEN));
		}
	}
}

/* Authentic, but the octet that tells the padding's length tells more than there is. */
static void test_padding_too_long(void **state)
{
	(void)state;
	struct ike_seal s = seal_of(&combos[5], 24), wrong = s;
	uint8_t msg[MESSAGE_MAX], *inner;
	size_t inner_len, refused = 0, opened = 0;
	/* A message under another cipher key and the right HMAC: its last octet is arbitrary. */
	wrong.encr_key[0] ^= 1;
	for (unsigned i = 0; i < 400; i++) {
		size_t len = must_seal(&wrong, msg, SK_HEADER_LEN, 100, 0);
		inner = NULL;
		inner_len = SIZE_MAX;
		if (ike_open(&s, msg, len, SK_HEADER_LEN, &inner, &inner_len)) {
			assert_true(inner_len <= 111);
			opened++;
		} else {
			refused++;
		}
	}
	/* About 112 in 256 tell a length that fits. */
	assert_true(opened > 0);
	assert_true(refused > 0);
}

/* --- misuse */

static void test_room(void **state)
{
	(void)state;
	uint8_t msg[MESSAGE_MAX];
	for (size_t c = 0; c < ARRAY_LEN(combos); c++) {
		struct ike_seal s = seal_of(&combos[c], 25);
		size_t len = SK_HEADER_LEN + 50 + ike_seal_overhead(&s, 50);
		for (size_t room = 0; room <= len; room++) {
			fill(msg, SK_HEADER_LEN, &s, 50);
			assert_int_equal(ike_seal(&s, msg, room, SK_HEADER_LEN, 50, 1),
					 room == len ? len : 0);
		}
		assert_int_equal(ike_seal(&s, msg, sizeof(msg), SK_HEADER_LEN, SIZE_MAX, 1), 0);
		assert_int_equal(ike_seal(&s, msg, sizeof(msg), SIZE_MAX, 10, 1), 0);
	}
}

/* Never without encryption, never without integrity. */
static void test_unsound(void **state)
{
	(void)state;
	static const struct combo rows[] = {
	    {"null", "hmac-sha-256-128"},    {"aes128-cbc", NULL},
	    {"aes128-cbc", "aes128-cbc"},    {"aes128-cbc", "hmac-md5-96"},
	    {"des-cbc", "hmac-sha-256-128"}, {"aes128-gcm", "hmac-sha-256-128"},
	    {"hmac-sha-256-128", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ike_seal s = seal_of(&rows[i], 26);
		uint8_t msg[MESSAGE_MAX] = {0}, *inner = NULL;
		size_t inner_len = 0;
		assert_int_equal(ike_seal(&s, msg, sizeof(msg), SK_HEADER_LEN, 50, 1), 0);
		assert_false(ike_open(&s, msg, 200, SK_HEADER_LEN, &inner, &inner_len));
	}
}

static void test_warm_up_leaves_no_error(void **state)
{
	(void)state;
	crypto_warm_up();
	assert_int_equal(ERR_peek_error(), 0);
	crypto_warm_up();
	assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_warm_up_leaves_no_error),
	    cmocka_unit_test(test_key_lengths),
	    cmocka_unit_test(test_overhead),
	    cmocka_unit_test(test_every_algorithm),
	    cmocka_unit_test(test_ivs),
	    cmocka_unit_test(test_every_bit_counts),
	    cmocka_unit_test(test_every_length),
	    cmocka_unit_test(test_other_keys),
	    cmocka_unit_test(test_padding_too_long),
	    cmocka_unit_test(test_room),
	    cmocka_unit_test(test_unsound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
