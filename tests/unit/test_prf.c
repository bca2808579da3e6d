/* SPDX-License-Identifier: MIT */
/*
 * Pseudorandom functions: the published vectors of their HMACs, then the library's own HMAC as a
 * second way, over key lengths, parts and the chain of prf+.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include "base/mem.h"
#include "crypto/prf.h"
#include "vectors.h"

static const char *const names[] = {"prfsha256", "prfsha384", "prfsha512", "prfsha1"};

static void test_registry(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint16_t id;
		uint8_t len;
	} rows[] = {
	    {"prfsha1", 2, 20}, {"prfsha256", 5, 32}, {"prfsha384", 6, 48}, {"prfsha512", 7, 64}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct prf *p = prf_by_id(rows[i].id);
		assert_non_null(p);
		assert_ptr_equal(p, prf_by_name(rows[i].name));
		assert_string_equal(p->name, rows[i].name);
		assert_int_equal(p->len, rows[i].len);
	}
	static const uint16_t others[] = {0, 1, 3, 4, 8, 9, 1024, 65535};
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_null(prf_by_id(others[i]));
	assert_null(prf_by_name("prfmd5"));
	assert_null(prf_by_name(""));
	assert_ptr_equal(prf_by_name("PRFSHA256"), prf_by_id(5));
}

/* RFC 4231 section 4 (cases 1 to 4, 6, 7), which RFC 4868 section 2.7.1 takes for its PRFs: key,
 * data, and the outputs of SHA-256, SHA-384 and SHA-512. */
static const struct {
	const char *key, *data, *out[3];
} rfc4231[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
     "4869205468657265",
     {"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9"
      "076ede7f4af152e8b2fa9cb6",
      "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7"
      "d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"}},
    {"4a656665",
     "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
     {"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca"
      "5e69e2c78b3239ecfab21649",
      "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75"
      "c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"}},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
     "dddddddddddddddddddddddddddd",
     {"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
      "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39d"
      "c13814b94e3ab6e101a34f27",
      "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e8482"
      "79a722c806b485a47e67c807b946a337bee8942674278859e13292fb"}},
    {"0102030405060708090a0b0c0d0e0f10111213141516171819",
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcd",
     {"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
      "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e6801dd23"
      "c4a7d679ccf8a386c674cffb",
      "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c1"
      "1aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd"}},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b65"
     "79202d2048617368204b6579204669727374",
     {"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
      "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab"
      "4030fe8296248df163f44952",
      "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037"
      "e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"}},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "5468697320697320612074657374207573696e672061206c6172676572207468616e2062"
     "6c6f636b2d73697a65206b657920616e642061206c6172676572207468616e20626c6f63"
     "6b2d73697a6520646174612e20546865206b6579206e6565647320746f20626520686173"
     "686564206265666f7265206265696e6720757365642062792074686520484d414320616c"
     "676f726974686d2e",
     {"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
      "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5a678cc31"
      "e799176d3860e6110c46523e",
      "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac"
      "3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58"}},
};

static void test_rfc4231(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rfc4231); i++) {
		struct vector key = vector_of(rfc4231[i].key), data = vector_of(rfc4231[i].data);
		struct chunk part = {data.b, data.len};
		for (size_t k = 0; k < 3; k++) {
			struct vector want = vector_of(rfc4231[i].out[k]);
			const struct prf *p = prf_by_name(names[k]);
			uint8_t out[PRF_LEN_MAX];
			assert_int_equal(want.len, p->len);
			assert_int_equal(prf_compute(p, key.b, key.len, &part, 1, out), 0);
			assert_memory_equal(out, want.b, want.len);
		}
	}
}

/* RFC 2202 section 3, cases 1 and 2. */
static void test_rfc2202(void **state)
{
	(void)state;
	static const struct {
		const char *key, *data, *out;
	} rows[] = {
	    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
	     "b617318655057264e28bc0b6fb378c8ef146be00"},
	    {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
	     "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vector key = vector_of(rows[i].key), data = vector_of(rows[i].data),
			      want = vector_of(rows[i].out);
		struct chunk part = {data.b, data.len};
		uint8_t out[PRF_LEN_MAX];
		assert_int_equal(prf_compute(prf_by_id(2), key.b, key.len, &part, 1, out), 0);
		assert_memory_equal(out, want.b, 20);
	}
}

/* --- the library's HMAC, one call */

static void reference(const struct prf *p, const uint8_t *key, size_t key_len, const uint8_t *data,
		      size_t len, uint8_t out[PRF_LEN_MAX])
{
	size_t out_len = 0;
	const uint8_t *k = key_len ? key : (const uint8_t *)"";
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, p->openssl_name, NULL, k, key_len, data, len,
				  out, PRF_LEN_MAX, &out_len));
	assert_int_equal(out_len, p->len);
}

static void fill(uint8_t *b, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)(i * 37 + seed * 101 + (i >> 8));
}

static void test_every_key_length(void **state)
{
	(void)state;
	uint8_t key[300], data[70], out[PRF_LEN_MAX], want[PRF_LEN_MAX];
	fill(key, sizeof(key), 1);
	fill(data, sizeof(data), 2);
	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		const struct prf *p = prf_by_name(names[n]);
		for (size_t key_len = 0; key_len <= sizeof(key); key_len++) {
			struct chunk part = {data, sizeof(data)};
			assert_int_equal(prf_compute(p, key, key_len, &part, 1, out), 0);
			reference(p, key, key_len, data, sizeof(data), want);
			assert_memory_equal(out, want, p->len);
		}
	}
}

/* However the data are cut, empty parts and none at all included, the output is the same. */
static void test_parts(void **state)
{
	(void)state;
	uint8_t key[32], data[130], out[PRF_LEN_MAX], want[PRF_LEN_MAX];
	fill(key, sizeof(key), 3);
	fill(data, sizeof(data), 4);
	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		const struct prf *p = prf_by_name(names[n]);
		reference(p, key, sizeof(key), data, sizeof(data), want);
		for (size_t cut = 0; cut <= sizeof(data); cut++) {
			struct chunk parts[] = {
			    {data, cut}, {NULL, 0}, {data + cut, sizeof(data) - cut}};
			assert_int_equal(prf_compute(p, key, sizeof(key), parts, 3, out), 0);
			assert_memory_equal(out, want, p->len);
		}
		reference(p, key, sizeof(key), data, 0, want);
		assert_int_equal(prf_compute(p, key, sizeof(key), NULL, 0, out), 0);
		assert_memory_equal(out, want, p->len);
	}
}

/* RFC 7296 2.13 as it is written there. */
static void reference_plus(const struct prf *p, const uint8_t *key, size_t key_len,
			   const uint8_t *seed, size_t seed_len, uint8_t *out, size_t len)
{
	uint8_t t[PRF_LEN_MAX], text[PRF_LEN_MAX + 600];
	size_t t_len = 0;
	for (unsigned n = 1; len; n++) {
		memcpy(text, t, t_len);
		memcpy(text + t_len, seed, seed_len);
		text[t_len + seed_len] = (uint8_t)n;
		reference(p, key, key_len, text, t_len + seed_len + 1, t);
		t_len = p->len;
		size_t take = len < t_len ? len : t_len;
		memcpy(out, t, take);
		out += take;
		len -= take;
	}
}

static void test_plus(void **state)
{
	(void)state;
	static uint8_t out[255 * 64 + 1], want[255 * 64];
	uint8_t key[64], seed[528];
	fill(key, sizeof(key), 5);
	fill(seed, sizeof(seed), 6);
	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		const struct prf *p = prf_by_name(names[n]);
		size_t most = 255u * p->len;
		size_t lens[] = {0,   1,   p->len - 1u,	    p->len,   p->len + 1u, 2u * p->len,
				 199, 300, 2u * p->len + 1, most - 1, most};
		for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
			/* Ni | Nr | SPIi | SPIr, nonces of 32 and 256 octets */
			size_t nonce = i % 2 ? 32 : 256;
			struct chunk parts[] = {{seed, nonce},
						{seed + nonce, nonce},
						{seed + 2 * nonce, 8},
						{seed + 2 * nonce + 8, 8}};
			memset(out, 0xa5, sizeof(out));
			assert_int_equal(prf_plus(p, key, p->len, parts, 4, out, lens[i]), 0);
			reference_plus(p, key, p->len, seed, 2 * nonce + 16, want, lens[i]);
			assert_memory_equal(out, want, lens[i]);
			assert_int_equal(out[lens[i]], 0xa5);
		}
	}
}

static void test_plus_has_an_end(void **state)
{
	(void)state;
	static uint8_t out[255 * 64 + 1];
	uint8_t key[64] = {1};
	struct chunk parts[17];
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		parts[i] = (struct chunk){key, 1};
	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		const struct prf *p = prf_by_name(names[n]);
		assert_int_equal(prf_plus(p, key, 32, parts, 1, out, 255u * p->len + 1), -1);
		assert_int_equal(prf_plus(p, key, 32, parts, 16, out, 40), 0);
		assert_int_equal(prf_plus(p, key, 32, parts, 17, out, 40), -1);
	}
}

static void test_digest(void **state)
{
	(void)state;
	static const struct {
		const char *name, *out; /* of "abc", FIPS 180-4 */
	} rows[] = {
	    {"SHA1", "a9993e364706816aba3e25717850c26c9cd0d89d"},
	    {"SHA256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	    {"SHA2-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	    {"SHA384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
		       "8086072ba1e7cc2358baeca134c825a7"},
	    {"SHA512", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		       "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
	    {"SHA3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"},
	};
	struct chunk parts[] = {{"a", 1}, {"", 0}, {"bc", 2}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vector want = vector_of(rows[i].out);
		uint8_t out[64];
		size_t len = 0;
		assert_int_equal(digest_compute(rows[i].name, parts, 3, out, &len), 0);
		assert_int_equal(len, want.len);
		assert_memory_equal(out, want.b, len);
	}
	uint8_t out[64];
	size_t len = 7;
	assert_int_equal(digest_compute("no such digest", parts, 3, out, &len), -1);
	assert_int_equal(len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_registry),	    cmocka_unit_test(test_rfc4231),
	    cmocka_unit_test(test_rfc2202),	    cmocka_unit_test(test_every_key_length),
	    cmocka_unit_test(test_parts),	    cmocka_unit_test(test_plus),
	    cmocka_unit_test(test_plus_has_an_end), cmocka_unit_test(test_digest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
