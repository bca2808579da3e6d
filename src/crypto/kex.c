/* SPDX-License-Identifier: MIT */
/*
 * Key exchange of IKEv2, by the library's providers.
 *
 * Each group has a template that is made once: an EVP_PKEY with the group's parameters (for x25519,
 * which has none, any key).  A fresh key comes from a context on the template and a peer's from a
 * copy of it, so that no name is looked up and no group is built per exchange.
 *
 * What a peer sends is checked here and not by the library's own validation, which multiplies by
 * the group's order once more and takes longer than the exchange.  RFC 6989 asks for less: in MODP
 * groups, whose primes are safe, 1 < r < p - 1 (2.1); on curves of cofactor 1, a point of the curve
 * (2.3), which the library checks when it reads one; for x25519 that the secret is not zero
 * (RFC 7748 6.1).
 *
 * Any thread; a struct kex belongs to one at a time.
 */
#include "crypto/kex.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include "base/mem.h"

enum kex_kind { KEX_MODP, KEX_ECP, KEX_X25519 };

#define POINT_UNCOMPRESSED 0x04
#define POINT_MAX	   (1 + 132)

struct group {
	struct kex_group g; /* first: what others see */
	enum kex_kind kind;
	const char *type, *params; /* of the library; params NULL: it has none */
};

static const struct group groups[] = {
    {{"x25519", 31, 32, 32}, KEX_X25519, "X25519", NULL},
    {{"ecp256", 19, 64, 32}, KEX_ECP, "EC", "P-256"},
    {{"ecp384", 20, 96, 48}, KEX_ECP, "EC", "P-384"},
    {{"ecp521", 21, 132, 66}, KEX_ECP, "EC", "P-521"},
    {{"modp2048", 14, 256, 256}, KEX_MODP, "DH", "modp_2048"},
    {{"modp3072", 15, 384, 384}, KEX_MODP, "DH", "modp_3072"},
    {{"modp4096", 16, 512, 512}, KEX_MODP, "DH", "modp_4096"},
};

/* Made under `once`, constant then, never given back.  key NULL: the library does not have it. */
static struct {
	EVP_PKEY *key;
	uint8_t p_minus_1[KEX_PUBLIC_MAX]; /* MODP, public_len bytes */
} templates[ARRAY_LEN(groups)];
static pthread_once_t once = PTHREAD_ONCE_INIT;

struct kex {
	const struct group *group;
	EVP_PKEY *key;
};

const struct kex_group *kex_by_id(uint16_t ike_id)
{
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		if (groups[i].g.ike_id == ike_id)
			return &groups[i].g;
	}
	return NULL;
}

const struct kex_group *kex_by_name(const char *name)
{
	if (strcasecmp(name, "curve25519") == 0)
		name = "x25519";
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		if (strcasecmp(groups[i].g.name, name) == 0)
			return &groups[i].g;
	}
	return NULL;
}

static const struct group *group_of(const struct kex_group *g)
{
	return (const struct group *)g;
}

/* --- templates */

static EVP_PKEY *template_make(const struct group *g)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, g->type, NULL);
	OSSL_PARAM params[] = {OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end()};
	if (g->params)
		params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
							     (char *)(uintptr_t)g->params, 0);
	bool ok =
	    ctx && (g->params ? EVP_PKEY_paramgen_init(ctx) > 0 &&
				    EVP_PKEY_CTX_set_params(ctx, params) > 0 &&
				    EVP_PKEY_paramgen(ctx, &key) > 0
			      : EVP_PKEY_keygen_init(ctx) > 0 && EVP_PKEY_keygen(ctx, &key) > 0);
	EVP_PKEY_CTX_free(ctx);
	return ok ? key : NULL;
}

static bool template_prime(const struct group *g, EVP_PKEY *key, uint8_t *p_minus_1)
{
	BIGNUM *p = NULL;
	bool ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_FFC_P, &p) && BN_sub_word(p, 1) &&
		  BN_bn2binpad(p, p_minus_1, g->g.public_len) == g->g.public_len;
	BN_free(p);
	return ok;
}

static void templates_fill(void)
{
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		EVP_PKEY *key = template_make(&groups[i]);
		if (key && groups[i].kind == KEX_MODP &&
		    !template_prime(&groups[i], key, templates[i].p_minus_1)) {
			EVP_PKEY_free(key);
			key = NULL;
		}
		templates[i].key = key;
	}
}

static EVP_PKEY *template_of(const struct group *g)
{
	pthread_once(&once, templates_fill);
	return templates[g - groups].key;
}

/* --- our value */

static struct kex *kex_wrap(const struct group *g, EVP_PKEY *key)
{
	if (!key) {
		ERR_clear_error();
		return NULL;
	}
	struct kex *k = mem_zalloc(sizeof(*k));
	k->group = g;
	k->key = key;
	return k;
}

struct kex *kex_new(const struct kex_group *g)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY *like = template_of(group_of(g));
	EVP_PKEY_CTX *ctx = like ? EVP_PKEY_CTX_new_from_pkey(NULL, like, NULL) : NULL;
	if (!ctx || EVP_PKEY_keygen_init(ctx) <= 0 || EVP_PKEY_keygen(ctx, &key) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return kex_wrap(group_of(g), key);
}

static bool kex_push_given(OSSL_PARAM_BLD *bld, const struct group *g, BIGNUM *secret,
			   BIGNUM *public_value, const uint8_t *point)
{
	bool ok = OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, g->params, 0) &&
		  OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, secret);
	if (g->kind == KEX_MODP)
		return ok && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PUB_KEY, public_value);
	return ok && OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point,
						      1u + g->g.public_len);
}

static EVP_PKEY *kex_given(const struct group *g, const uint8_t *secret, size_t secret_len,
			   const uint8_t *public_value)
{
	EVP_PKEY *key = NULL;
	uint8_t point[POINT_MAX] = {POINT_UNCOMPRESSED};
	if (g->kind == KEX_ECP)
		memcpy(point + 1, public_value, g->g.public_len);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, g->type, NULL);
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *s = BN_secure_new(), *v = BN_bin2bn(public_value, g->g.public_len, NULL);
	OSSL_PARAM *params = NULL;
	if (ctx && bld && s && v && BN_bin2bn(secret, (int)secret_len, s) &&
	    kex_push_given(bld, g, s, v, point) && (params = OSSL_PARAM_BLD_to_param(bld)) &&
	    (EVP_PKEY_fromdata_init(ctx) <= 0 ||
	     EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) <= 0))
		key = NULL;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	BN_clear_free(s);
	BN_free(v);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

struct kex *kex_new_given(const struct kex_group *kg, const uint8_t *secret, size_t secret_len,
			  const uint8_t *public_value)
{
	const struct group *g = group_of(kg);
	if (secret_len > KEX_SECRET_MAX)
		return NULL;
	if (g->kind == KEX_X25519)
		return kex_wrap(
		    g, EVP_PKEY_new_raw_private_key_ex(NULL, g->type, NULL, secret, secret_len));
	return kex_wrap(g, kex_given(g, secret, secret_len, public_value));
}

void kex_free(struct kex *k)
{
	if (!k)
		return;
	/* The library cleanses private values that it frees. */
	EVP_PKEY_free(k->key);
	free(k);
}

const struct kex_group *kex_group_of(const struct kex *k)
{
	return &k->group->g;
}

int kex_public(const struct kex *k, uint8_t out[KEX_PUBLIC_MAX])
{
	size_t len = 0, public_len = k->group->g.public_len;
	uint8_t point[POINT_MAX];
	switch (k->group->kind) {
	case KEX_X25519:
	case KEX_MODP:
		return EVP_PKEY_get_octet_string_param(k->key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY,
						       out, KEX_PUBLIC_MAX, &len) &&
			       len == public_len
			   ? 0
			   : -1;
	case KEX_ECP:
		if (!EVP_PKEY_get_octet_string_param(k->key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY,
						     point, sizeof(point), &len) ||
		    len != 1 + public_len || point[0] != POINT_UNCOMPRESSED)
			return -1;
		memcpy(out, point + 1, public_len);
		return 0;
	}
	return -1;
}

/* --- the peer's */

/* 1 < r < p - 1; both are public_len bytes, so memcmp compares numbers. */
static bool kex_modp_in_range(const struct group *g, const uint8_t *r)
{
	size_t len = g->g.public_len, i = 0;
	while (i < len - 1 && r[i] == 0)
		i++;
	return (i < len - 1 || r[i] > 1) && memcmp(r, templates[g - groups].p_minus_1, len) < 0;
}

/* The peer's value as a key, or NULL: it is none. */
static EVP_PKEY *kex_read_peer(const struct group *g, const uint8_t *peer)
{
	size_t len = g->g.public_len;
	uint8_t point[POINT_MAX];
	EVP_PKEY *like = template_of(g);
	if (!like || (g->kind == KEX_MODP && !kex_modp_in_range(g, peer)))
		return NULL;
	if (g->kind == KEX_X25519)
		return EVP_PKEY_new_raw_public_key_ex(NULL, g->type, NULL, peer, len);
	if (g->kind == KEX_ECP) {
		point[0] = POINT_UNCOMPRESSED;
		memcpy(point + 1, peer, len);
		peer = point;
		len++;
	}
	EVP_PKEY *key = EVP_PKEY_dup(like);
	if (key && EVP_PKEY_set1_encoded_public_key(key, peer, len) <= 0) {
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

static bool kex_derive(const struct kex *k, EVP_PKEY *peer, uint8_t out[KEX_SECRET_MAX])
{
	size_t len = KEX_SECRET_MAX;
	unsigned pad = 1; /* MODP: leading zeros stay (RFC 7296 2.14) */
	OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_EXCHANGE_PARAM_PAD, &pad),
			       OSSL_PARAM_construct_end()};
	bool modp = k->group->kind == KEX_MODP;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->key, NULL);
	bool ok = ctx && EVP_PKEY_derive_init_ex(ctx, modp ? params : NULL) > 0 &&
		  EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) > 0 &&
		  EVP_PKEY_derive(ctx, out, &len) > 0 && len == k->group->g.secret_len;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static bool kex_is_zero(const uint8_t *secret, size_t len)
{
	uint8_t any = 0;
	for (size_t i = 0; i < len; i++)
		any |= secret[i];
	return any == 0;
}

int kex_shared(const struct kex *k, const uint8_t *peer, size_t len, uint8_t out[KEX_SECRET_MAX])
{
	const struct group *g = k->group;
	EVP_PKEY *key = len == g->g.public_len ? kex_read_peer(g, peer) : NULL;
	bool ok = key && kex_derive(k, key, out) &&
		  (g->kind != KEX_X25519 || !kex_is_zero(out, g->g.secret_len));
	EVP_PKEY_free(key);
	if (!ok) {
		mem_wipe(out, KEX_SECRET_MAX);
		/* What a peer sends must not fill the library's queue of errors. */
		ERR_clear_error();
	}
	return ok ? 0 : -1;
}
