/* SPDX-License-Identifier: MIT */
/*
 * Key exchange: published vectors, the MODP groups against plain arithmetic, agreement of fresh
 * values, and what a hostile peer may send.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include "base/mem.h"
#include "crypto/kex.h"
#include "vectors.h"

static const struct {
	const char *name;
	uint16_t id, public_len, secret_len;
} registry[] = {
    {"modp2048", 14, 256, 256}, {"modp3072", 15, 384, 384}, {"modp4096", 16, 512, 512},
    {"ecp256", 19, 64, 32},	{"ecp384", 20, 96, 48},	    {"ecp521", 21, 132, 66},
    {"x25519", 31, 32, 32},
};

static void test_registry(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(registry); i++) {
		const struct kex_group *g = kex_by_id(registry[i].id);
		assert_non_null(g);
		assert_ptr_equal(g, kex_by_name(registry[i].name));
		assert_string_equal(g->name, registry[i].name);
		assert_int_equal(g->ike_id, registry[i].id);
		assert_int_equal(g->public_len, registry[i].public_len);
		assert_int_equal(g->secret_len, registry[i].secret_len);
	}
	assert_ptr_equal(kex_by_name("curve25519"), kex_by_id(31));
	assert_ptr_equal(kex_by_name("ECP256"), kex_by_id(19));
	static const uint16_t others[] = {0, 1, 2, 5, 17, 18, 22, 23, 24, 25, 26, 32, 65535};
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_null(kex_by_id(others[i]));
	assert_null(kex_by_name("modp1024"));
	assert_null(kex_by_name(""));
}

/* RFC 5903 section 8: both secrets, both public values, the shared one.  RFC 7748 section 6.1. */
static const struct {
	const char *group;
	struct {
		const char *secret, *public_value;
	} side[2];
	const char *shared;
} vectors[] = {
    {"ecp256",
     {{"c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
       "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180"
       "5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3"},
      {"c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
       "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
       "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab"}},
     "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"},
    {"ecp384",
     {{"099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655"
       "e35b538041e649ee3faef896783ab194",
       "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6"
       "de3ac808acb4bdb4c88732aee95f41aa"
       "9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38e"
       "eb9fcff3c2c947dae69b4c634573a81c"},
      {"41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942"
       "e0308312916b8ed2960e4bd55a7448fc",
       "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d"
       "0d1ac43a0336def96fda41d0774a3571"
       "dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1ff"
       "f83fa40142209dff5eaad96db9e6386c"}},
     "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4"
     "d603135569b9e9d09cf5d4a270f59746"},
    {"ecp521",
     {{"0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a0"
       "95aa85a30fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d4a52",
       "0015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbe"
       "e1e3bf42e00b8e380aeae57c2d107564941885942af5a7f4601723c4195d176ced3e"
       "017cae20b6641d2eeb695786d8c946146239d099e18e1d5a514c739d7cb4a10a"
       "d8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582"},
      {"0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e"
       "9c677d600b343757a3bdbf2a3163e4c2f869cca7458aa4a4effc311f5cb151685eb9",
       "00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a21"
       "9b97c356436adc6e95bb0352f6be64a6c2912d4ef2d0433ced2b6171640012d9460f"
       "015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87"
       "220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a"}},
     "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04"
     "d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2bee417996d19f3ddea"},
    {"x25519",
     {{"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
       "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"},
      {"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
       "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"}},
     "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
};

static void check_given(const struct kex_group *g, const struct vector *secret,
			const struct vector *own, const struct vector *peer,
			const struct vector *shared)
{
	uint8_t out[KEX_PUBLIC_MAX];
	struct kex *k = kex_new_given(g, secret->b, secret->len, own->b);
	assert_non_null(k);
	assert_int_equal(own->len, g->public_len);
	assert_int_equal(shared->len, g->secret_len);
	assert_int_equal(kex_public(k, out), 0);
	assert_memory_equal(out, own->b, own->len);
	assert_int_equal(kex_shared(k, peer->b, peer->len, out), 0);
	assert_memory_equal(out, shared->b, shared->len);
	kex_free(k);
}

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct kex_group *g = kex_by_name(vectors[i].group);
		struct vector shared = vector_of(vectors[i].shared);
		for (size_t k = 0; k < 2; k++) {
			struct vector secret = vector_of(vectors[i].side[k].secret);
			struct vector own = vector_of(vectors[i].side[k].public_value);
			struct vector peer = vector_of(vectors[i].side[!k].public_value);
			check_given(g, &secret, &own, &peer, &shared);
		}
	}
}

/* --- MODP against plain arithmetic */

static BIGNUM *(*const primes[])(BIGNUM *) = {
    BN_get_rfc3526_prime_2048,
    BN_get_rfc3526_prime_3072,
    BN_get_rfc3526_prime_4096,
};
static const char *const modp_names[] = {"modp2048", "modp3072", "modp4096"};

static struct vector power(const BIGNUM *base, const BIGNUM *e, const BIGNUM *p)
{
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *r = BN_new();
	struct vector v = {.len = (size_t)BN_num_bytes(p)};
	assert_true(BN_mod_exp(r, base, e, p, ctx));
	assert_int_equal(BN_bn2binpad(r, v.b, (int)v.len), v.len);
	BN_free(r);
	BN_CTX_free(ctx);
	return v;
}

static struct vector plain(const BIGNUM *n, size_t len)
{
	struct vector v = {.len = len};
	assert_int_equal(BN_bn2binpad(n, v.b, (int)len), len);
	return v;
}

static void test_modp(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(primes); i++) {
		const struct kex_group *g = kex_by_name(modp_names[i]);
		BIGNUM *p = primes[i](NULL), *two = BN_new(), *a = BN_new(), *b = BN_new();
		BN_set_word(two, 2);
		assert_true(BN_hex2bn(&a, "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57"
					  "862d1433") > 0);
		assert_true(BN_hex2bn(&b, "46ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46"
					  "476bee53") > 0);
		struct vector ga = power(two, a, p), gb = power(two, b, p);
		BIGNUM *gb_n = BN_bin2bn(gb.b, (int)gb.len, NULL);
		struct vector shared = power(gb_n, a, p), secret_a = plain(a, 32),
			      secret_b = plain(b, 32);
		check_given(g, &secret_a, &ga, &gb, &shared);
		check_given(g, &secret_b, &gb, &ga, &shared);
		BN_free(gb_n);
		BN_free(b);
		BN_free(a);
		BN_free(two);
		BN_free(p);
	}
}

/* Leading zeros of values and secrets are kept (RFC 7296 2.14, 3.4): our secret 3 makes the value
 * 8, and with the peer's value 2 the shared secret 8. */
static void test_modp_padding(void **state)
{
	(void)state;
	static const uint8_t secret[] = {3};
	for (size_t i = 0; i < ARRAY_LEN(modp_names); i++) {
		const struct kex_group *g = kex_by_name(modp_names[i]);
		struct vector own = {.len = g->public_len}, two = own;
		own.b[own.len - 1] = 8;
		two.b[two.len - 1] = 2;
		struct vector s = {.len = 1, .b = {secret[0]}};
		check_given(g, &s, &own, &two, &own);
	}
}

/* RFC 3526: safe primes with 64 ones at each end. */
static void test_modp_prime_is_safe(void **state)
{
	(void)state;
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *p = primes[0](NULL), *q = BN_new();
	struct vector v = plain(p, 256);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(v.b[i], 0xff);
		assert_int_equal(v.b[255 - i], 0xff);
	}
	assert_true(BN_rshift1(q, p));
	assert_int_equal(BN_check_prime(p, ctx, NULL), 1);
	assert_int_equal(BN_check_prime(q, ctx, NULL), 1);
	BN_free(q);
	BN_free(p);
	BN_CTX_free(ctx);
}

/* --- fresh values */

static void test_agreement(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(registry); i++) {
		const struct kex_group *g = kex_by_id(registry[i].id);
		for (int round = 0; round < 4; round++) {
			uint8_t pa[KEX_PUBLIC_MAX], pb[KEX_PUBLIC_MAX], again[KEX_PUBLIC_MAX],
			    sa[KEX_SECRET_MAX], sb[KEX_SECRET_MAX];
			struct kex *a = kex_new(g), *b = kex_new(g);
			assert_non_null(a);
			assert_non_null(b);
			assert_ptr_equal(kex_group_of(a), g);
			assert_int_equal(kex_public(a, pa), 0);
			assert_int_equal(kex_public(b, pb), 0);
			assert_int_equal(kex_public(a, again), 0);
			assert_memory_equal(pa, again, g->public_len);
			assert_memory_not_equal(pa, pb, g->public_len);
			assert_int_equal(kex_shared(a, pb, g->public_len, sa), 0);
			assert_int_equal(kex_shared(b, pa, g->public_len, sb), 0);
			assert_memory_equal(sa, sb, g->secret_len);
			/* A value may be used again: INVALID_KE_PAYLOAD, retransmissions. */
			assert_int_equal(kex_shared(a, pb, g->public_len, sb), 0);
			assert_memory_equal(sa, sb, g->secret_len);
			kex_free(a);
			kex_free(b);
		}
	}
	kex_free(NULL);
}

/* --- hostile peers */

static void refuse(const struct kex *k, const uint8_t *peer, size_t len, const char *what)
{
	static const uint8_t zero[KEX_SECRET_MAX];
	uint8_t out[KEX_SECRET_MAX];
	uint8_t *exact = vector_exact(peer, len);
	memset(out, 0xa5, sizeof(out));
	if (kex_shared(k, exact, len, out) != -1)
		fail_msg("%s takes %s (%zu octets)", kex_group_of(k)->name, what, len);
	assert_memory_equal(out, zero, sizeof(out));
	assert_int_equal(ERR_peek_error(), 0);
	free(exact);
}

static void test_wrong_lengths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(registry); i++) {
		const struct kex_group *g = kex_by_id(registry[i].id);
		struct kex *k = kex_new(g);
		uint8_t peer[KEX_PUBLIC_MAX + 8] = {0};
		assert_int_equal(kex_public(k, peer), 0);
		for (size_t len = 0; len <= sizeof(peer); len++) {
			if (len != g->public_len)
				refuse(k, peer, len, "a wrong length");
		}
		kex_free(k);
	}
}

static void test_modp_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(primes); i++) {
		const struct kex_group *g = kex_by_name(modp_names[i]);
		struct kex *k = kex_new(g);
		BIGNUM *p = primes[i](NULL);
		struct vector v = {.len = g->public_len};
		uint8_t out[KEX_SECRET_MAX];
		refuse(k, v.b, v.len, "0");
		v.b[v.len - 1] = 1;
		refuse(k, v.b, v.len, "1");
		v = plain(p, g->public_len);
		refuse(k, v.b, v.len, "p");
		v.b[v.len - 1]++; /* p ends in ff: not p + 1 but p - 255, which is fine */
		assert_int_equal(kex_shared(k, v.b, v.len, out), 0);
		BN_sub_word(p, 1);
		v = plain(p, g->public_len);
		refuse(k, v.b, v.len, "p - 1");
		BN_add_word(p, 2);
		v = plain(p, g->public_len);
		refuse(k, v.b, v.len, "p + 1");
		memset(v.b, 0xff, v.len);
		refuse(k, v.b, v.len, "2^n - 1");
		BN_sub_word(p, 3);
		v = plain(p, g->public_len);
		assert_int_equal(kex_shared(k, v.b, v.len, out), 0); /* p - 2 is the last */
		BN_free(p);
		kex_free(k);
	}
}

/* Each bit of a point turned: off the curve (one bit away from these points is no other point). */
static void test_ecp_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct kex_group *g = kex_by_name(vectors[i].group);
		struct vector peer = vector_of(vectors[i].side[1].public_value);
		struct kex *k = kex_new(g);
		for (size_t bit = 0; bit < peer.len * 8; bit++) {
			struct vector v = peer;
			v.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
			refuse(k, v.b, v.len, "a point off the curve");
		}
		struct vector v = {.len = peer.len};
		refuse(k, v.b, v.len, "zeros");
		memset(v.b, 0xff, v.len);
		refuse(k, v.b, v.len, "coordinates of ones");
		memcpy(v.b, peer.b, peer.len / 2);
		memcpy(v.b + peer.len / 2, peer.b, peer.len / 2);
		refuse(k, v.b, v.len, "x | x");
		/* As TLS has it: 04 in front. */
		v.b[0] = 4;
		memcpy(v.b + 1, peer.b, peer.len);
		v.len = peer.len + 1;
		refuse(k, v.b, v.len, "a point with its format");
		v.b[0] = 2;
		v.len = peer.len / 2 + 1;
		refuse(k, v.b, v.len, "a compressed point");
		kex_free(k);
	}
}

/* Points of small order, whose secret is zero whatever ours is (RFC 7748 section 6.1). */
static void test_x25519_refuses(void **state)
{
	(void)state;
	static const char *const points[] = {
	    "0000000000000000000000000000000000000000000000000000000000000000",
	    "0100000000000000000000000000000000000000000000000000000000000000",
	    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct kex *k = kex_new(kex_by_id(31));
	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		struct vector v = vector_of(points[i]);
		refuse(k, v.b, v.len, "a point of small order");
		v.b[31] |= 0x80; /* the highest bit is ignored */
		refuse(k, v.b, v.len, "a point of small order");
	}
	kex_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_registry),
	    cmocka_unit_test(test_vectors),
	    cmocka_unit_test(test_modp),
	    cmocka_unit_test(test_modp_padding),
	    cmocka_unit_test(test_modp_prime_is_safe),
	    cmocka_unit_test(test_agreement),
	    cmocka_unit_test(test_wrong_lengths),
	    cmocka_unit_test(test_modp_refuses),
	    cmocka_unit_test(test_ecp_refuses),
	    cmocka_unit_test(test_x25519_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
