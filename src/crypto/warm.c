/* SPDX-License-Identifier: MIT */
/*
 * Loading what the library loads lazily.
 *
 * The library reads its configuration file, loads providers, registers error texts and seeds
 * random generators when they are first needed; confined processes can't do that any more.  Using
 * every algorithm once is surer than a list of what the library might load.  Failures are not
 * judged here: whoever needs the algorithm reports it.
 */
#include "crypto/warm.h"

#include <string.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include "base/mem.h"
#include "crypto/cert.h"
#include "crypto/ike_seal.h"
#include "crypto/legacy.h"
#include "crypto/suite.h"

/* Transform ids are small numbers; beyond the last of ours nothing is found. */
#define WARM_ID_MAX 64

static void warm_prfs(void)
{
	static const uint8_t key[16];
	struct chunk part = {.data = key, .len = sizeof(key)};
	uint8_t out[PRF_LEN_MAX * 2];
	size_t len;
	for (uint16_t id = 0; id < WARM_ID_MAX; id++) {
		const struct prf *p = prf_by_id(id);
		if (p && prf_plus(p, key, sizeof(key), &part, 1, out, sizeof(out)) == 0)
			(void)!digest_compute(p->openssl_name, &part, 1, out, &len);
	}
}

static void warm_groups(void)
{
	uint8_t peer[KEX_PUBLIC_MAX], secret[KEX_SECRET_MAX];
	for (uint16_t id = 0; id < WARM_ID_MAX; id++) {
		const struct kex_group *g = kex_by_id(id);
		struct kex *k = g ? kex_new(g) : NULL;
		if (k && kex_public(k, peer) == 0)
			(void)!kex_shared(k, peer, g->public_len, secret);
		kex_free(k);
	}
	mem_wipe(secret, sizeof(secret));
}

static void warm_one_cipher(const struct alg *encr, const struct alg *integ)
{
	struct ike_seal s = {.encr = encr, .integ = integ};
	uint8_t msg[128] = {0}, *inner;
	size_t inner_len, len = ike_seal(&s, msg, sizeof(msg), 32, 16, 0);
	if (len)
		(void)!ike_open(&s, msg, len, 32, &inner, &inner_len);
}

static void warm_ciphers(void)
{
	const struct alg *integ = alg_find("hmac-sha-256-128"), *a;
	for (size_t i = 0; (a = alg_at(i)); i++) {
		if (a->status == ALG_FORBIDDEN || a->kind == ALG_INTEGRITY || a->encrypts_nothing)
			continue;
		warm_one_cipher(a, a->kind == ALG_AEAD ? NULL : integ);
	}
}

void crypto_warm_up(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
				OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS,
			    NULL);
	uint8_t drawn[16];
	char text[256];
	(void)!RAND_bytes(drawn, sizeof(drawn));
	(void)!RAND_priv_bytes(drawn, sizeof(drawn));
	mem_wipe(drawn, sizeof(drawn));
	warm_prfs();
	warm_groups();
	warm_ciphers();
	cert_warm_up();
	(void)legacy_load();
	ERR_error_string_n(ERR_PACK(ERR_LIB_EVP, 0, 1), text, sizeof(text));
	ERR_clear_error();
}
