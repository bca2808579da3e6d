/* SPDX-License-Identifier: MIT */
/*
 * Sealing and opening in tests: every algorithm that may be used, packets with a pattern, a second
 * way to open them (one-shot calls of OpenSSL), and each test with every library usable here.
 */
#ifndef TESTS_CRYPT_RIG_H
#define TESTS_CRYPT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include "base/cursor.h"
#include "base/mem.h"
#include "crypto/crypt_state.h"

#define RIG_UNUSED __attribute__((unused))
#define PACKET_MAX 2048

/* Hexadecimal text, blanks ignored, or NULL. */
static RIG_UNUSED size_t unhex(const char *text, uint8_t *out)
{
	size_t digits = 0;
	for (; text && *text; text++) {
		if (*text == ' ')
			continue;
		int v = *text <= '9' ? *text - '0' : (*text | 0x20) - 'a' + 10;
		assert_in_range(v, 0, 15);
		out[digits / 2] = (uint8_t)(digits % 2 ? out[digits / 2] << 4 | v : v);
		digits++;
	}
	assert_int_equal(digits % 2, 0);
	return digits / 2;
}

static RIG_UNUSED struct crypt *must_new(const char *encr, const char *integ, const uint8_t *key,
					 enum crypt_direction direction)
{
	const struct alg *e = alg_find(encr), *i = integ ? alg_find(integ) : NULL;
	struct err err = {.text = ""};
	struct crypt *c = crypt_new(e, i, key, crypt_key_len(e, i), direction, &err);
	if (!c)
		fail_msg("%s %s: %s", encr, integ ? integ : "", err.text);
	return c;
}

/* Each test runs with every library that is usable here. */
static enum crypt_library library;
static struct crypt_worker *worker;

static RIG_UNUSED int worker_setup(void **state)
{
	(void)state;
	struct err err = {.text = ""};
	worker = crypt_worker_new(library, 0, &err);
	if (!worker)
		fail_msg("%s", err.text);
	return 0;
}

static RIG_UNUSED int worker_teardown(void **state)
{
	(void)state;
	crypt_worker_free(worker);
	return 0;
}

static RIG_UNUSED bool seal_one(struct crypt *c, uint8_t *esp, size_t len, uint32_t seq_hi,
				bool esn)
{
	struct crypt_op op = {
	    .crypt = c, .esp = esp, .len = (uint32_t)len, .seq_hi = seq_hi, .esn = esn};
	crypt_seal(worker, &op, 1);
	return op.ok;
}

static RIG_UNUSED bool open_one(struct crypt *c, uint8_t *esp, size_t len, uint32_t seq_hi,
				bool esn)
{
	struct crypt_op op = {
	    .crypt = c, .esp = esp, .len = (uint32_t)len, .seq_hi = seq_hi, .esn = esn};
	crypt_open(worker, &op, 1);
	return op.ok;
}

/* --- every combination that may be used */

struct combo {
	const char *encr, *integ;
};

static const struct combo combos[] = {
    {"aes128-cbc", "hmac-sha-256-128"},
    {"aes128-cbc", "hmac-sha-384-192"},
    {"aes128-cbc", "hmac-sha-512-256"},
    {"aes128-cbc", "hmac-sha-1-96"},
    {"aes192-cbc", "hmac-sha-256-128"},
    {"aes192-cbc", "hmac-sha-1-96"},
    {"aes256-cbc", "hmac-sha-256-128"},
    {"aes256-cbc", "hmac-sha-384-192"},
    {"aes256-cbc", "hmac-sha-512-256"},
    {"aes256-cbc", "hmac-sha-1-96"},
    {"null", "hmac-sha-256-128"},
    {"null", "hmac-sha-384-192"},
    {"null", "hmac-sha-512-256"},
    {"null", "hmac-sha-1-96"},
    {"aes128-gcm", NULL},
    {"aes192-gcm", NULL},
    {"aes256-gcm", NULL},
    {"chacha20-poly1305", NULL},
    {"aes128-gmac", NULL},
    {"aes192-gmac", NULL},
    {"aes256-gmac", NULL},
};

struct pair {
	const struct alg *encr, *integ;
	uint8_t key[256];
	struct crypt *seal, *open;
	size_t ahead, icv; /* bytes before and behind the text */
};

static RIG_UNUSED void pair_new(struct pair *p, const struct combo *c, uint8_t key_seed)
{
	p->encr = alg_find(c->encr);
	p->integ = c->integ ? alg_find(c->integ) : NULL;
	for (size_t i = 0; i < sizeof(p->key); i++)
		p->key[i] = (uint8_t)(i * 7 + key_seed);
	p->seal = must_new(c->encr, c->integ, p->key, CRYPT_SEAL);
	p->open = must_new(c->encr, c->integ, p->key, CRYPT_OPEN);
	p->ahead = 8u + p->encr->iv_len;
	p->icv = p->integ ? p->integ->icv_len : p->encr->icv_len;
}

static RIG_UNUSED void pair_free(struct pair *p)
{
	crypt_free(p->seal);
	crypt_free(p->open);
}

/* A packet whose text is a pattern; returns its length. */
static RIG_UNUSED size_t packet_make(const struct pair *p, uint8_t *esp, size_t blocks,
				     uint32_t spi, uint32_t seq_lo)
{
	size_t text_len = blocks * p->encr->block_len;
	size_t len = p->ahead + text_len + p->icv;
	assert_in_range(len, 1, PACKET_MAX);
	memset(esp, 0xa5, len);
	struct writer w = writer_of(esp, 8);
	writer_u32(&w, spi);
	writer_u32(&w, seq_lo);
	for (size_t i = 0; i < text_len; i++)
		esp[p->ahead + i] = (uint8_t)(i + seq_lo);
	return len;
}

static RIG_UNUSED bool text_intact(const struct pair *p, const uint8_t *esp, size_t len,
				   uint32_t seq_lo)
{
	for (size_t i = 0; i < len - p->ahead - p->icv; i++) {
		if (esp[p->ahead + i] != (uint8_t)(i + seq_lo))
			return false;
	}
	return true;
}

/* --- the second way: opens with one-shot calls */

static RIG_UNUSED void reference_hmac(const struct pair *p, const uint8_t *esp, size_t covered_len,
				      const uint8_t *hi, uint8_t out[64])
{
	uint8_t data[PACKET_MAX + 4];
	size_t out_len = 0;
	memcpy(data, esp, covered_len);
	if (hi)
		memcpy(data + covered_len, hi, 4);
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, p->integ->openssl_name, NULL,
				  p->key + p->encr->key_len, p->integ->key_len, data,
				  covered_len + (hi ? 4 : 0), out, 64, &out_len));
}

/* RFC 4543 3.3: one piece of additional data. */
static RIG_UNUSED bool reference_gmac(const struct pair *p, uint8_t *esp, size_t len,
				      const uint8_t *hi)
{
	uint8_t aad[PACKET_MAX + 4], tag[16];
	size_t n = 4, params_len = len - p->icv - 4;
	memcpy(aad, esp, 4);
	if (hi) {
		memcpy(aad + n, hi, 4);
		n += 4;
	}
	memcpy(aad + n, esp + 4, params_len);
	n += params_len;
	uint8_t nonce[12];
	memcpy(nonce, p->key + p->encr->key_len - 4, 4);
	memcpy(nonce + 4, esp + 8, 8);
	EVP_MAC *type = EVP_MAC_fetch(NULL, "GMAC", NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(type);
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string("cipher", (char *)(uintptr_t)p->encr->openssl_name, 0),
	    OSSL_PARAM_construct_octet_string("iv", nonce, sizeof(nonce)),
	    OSSL_PARAM_construct_end(),
	};
	size_t tag_len = 0;
	assert_true(EVP_MAC_init(ctx, p->key, p->encr->key_len - 4u, params));
	assert_true(EVP_MAC_update(ctx, aad, n));
	assert_true(EVP_MAC_final(ctx, tag, &tag_len, sizeof(tag)));
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(type);
	return tag_len == 16 && memcmp(tag, esp + len - 16, 16) == 0;
}

static RIG_UNUSED bool reference_aead(const struct pair *p, uint8_t *esp, size_t len,
				      const uint8_t *hi)
{
	uint8_t nonce[12], aad[12];
	size_t text_len = len - p->ahead - p->icv;
	memcpy(nonce, p->key + p->encr->key_len - 4, 4);
	memcpy(nonce + 4, esp + 8, 8);
	memcpy(aad, esp, 4);
	if (hi)
		memcpy(aad + 4, hi, 4);
	memcpy(aad + (hi ? 8 : 4), esp + 4, 4);
	EVP_CIPHER *type = EVP_CIPHER_fetch(NULL, p->encr->openssl_name, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;
	assert_true(EVP_DecryptInit_ex2(ctx, type, p->key, nonce, NULL));
	assert_true(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, esp + len - 16));
	assert_true(EVP_DecryptUpdate(ctx, NULL, &n, aad, hi ? 12 : 8));
	assert_true(EVP_DecryptUpdate(ctx, esp + p->ahead, &n, esp + p->ahead, (int)text_len));
	bool ok = EVP_DecryptFinal_ex(ctx, esp + len, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(type);
	return ok;
}

static RIG_UNUSED bool reference_open(const struct pair *p, uint8_t *esp, size_t len,
				      uint32_t seq_hi, bool esn)
{
	uint8_t hi_bytes[4], mac[64];
	struct writer w = writer_of(hi_bytes, 4);
	writer_u32(&w, seq_hi);
	const uint8_t *hi = esn ? hi_bytes : NULL;
	if (p->encr->encrypts_nothing)
		return reference_gmac(p, esp, len, hi);
	if (!p->integ)
		return reference_aead(p, esp, len, hi);
	reference_hmac(p, esp, len - p->icv, hi, mac);
	if (memcmp(mac, esp + len - p->icv, p->icv) != 0)
		return false;
	if (p->encr->iv_len == 0)
		return true;
	EVP_CIPHER *type = EVP_CIPHER_fetch(NULL, p->encr->openssl_name, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;
	assert_true(EVP_DecryptInit_ex2(ctx, type, p->key, esp + 8, NULL));
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	assert_true(EVP_DecryptUpdate(ctx, esp + p->ahead, &n, esp + p->ahead,
				      (int)(len - p->ahead - p->icv)));
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(type);
	return true;
}

/* All of a table, with every library. */
static RIG_UNUSED int run_with_each_library(const struct CMUnitTest *tests, size_t count)
{
	int failed = 0;
	library = CRYPT_LIBRARY_OPENSSL;
	failed += _cmocka_run_group_tests("OpenSSL", tests, count, worker_setup, worker_teardown);
	library = CRYPT_LIBRARY_IPSEC_MB;
	if (crypt_library_usable(library))
		failed += _cmocka_run_group_tests("ipsec-mb", tests, count, worker_setup,
						  worker_teardown);
	return failed;
}

#endif
