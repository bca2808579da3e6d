/* SPDX-License-Identifier: MIT */
/*
 * The library's legacy provider, in a context of its own, so that nothing else finds what is in it.
 * Loaded once, for the life of the process; one thread (control).
 */
#include "crypto/legacy.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include "base/mem.h"

static struct {
	bool tried;
	EVP_MD *md4;
	EVP_CIPHER *des;
} legacy;

bool legacy_load(void)
{
	if (!legacy.tried) {
		legacy.tried = true;
		OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
		if (ctx && OSSL_PROVIDER_load(ctx, "legacy")) {
			legacy.md4 = EVP_MD_fetch(ctx, "MD4", NULL);
			legacy.des = EVP_CIPHER_fetch(ctx, "DES-ECB", NULL);
		}
		ERR_clear_error();
	}
	return legacy.md4 && legacy.des;
}

int legacy_md4(const void *data, size_t len, uint8_t out[LEGACY_MD4_LEN])
{
	return legacy_load() && EVP_Digest(data, len, out, NULL, legacy.md4, NULL) == 1 ? 0
											: -ENOTSUP;
}

/* Seven bits in each octet; the eighth is parity, which nobody looks at. */
static void spread(const uint8_t key[LEGACY_DES_KEY_LEN], uint8_t out[8])
{
	uint64_t bits = 0;
	for (int i = 0; i < LEGACY_DES_KEY_LEN; i++)
		bits = bits << 8 | key[i];
	for (int i = 7; i >= 0; i--, bits >>= 7)
		out[i] = (uint8_t)(bits << 1);
	mem_wipe(&bits, sizeof(bits));
}

int legacy_des(const uint8_t key[LEGACY_DES_KEY_LEN], const uint8_t in[LEGACY_DES_LEN],
	       uint8_t out[LEGACY_DES_LEN])
{
	uint8_t wide[8];
	int len = 0;
	EVP_CIPHER_CTX *c = legacy_load() ? EVP_CIPHER_CTX_new() : NULL;
	spread(key, wide);
	bool ok = c && EVP_EncryptInit_ex2(c, legacy.des, wide, NULL, NULL) == 1 &&
		  EVP_CIPHER_CTX_set_padding(c, 0) == 1 &&
		  EVP_EncryptUpdate(c, out, &len, in, LEGACY_DES_LEN) == 1 && len == LEGACY_DES_LEN;
	EVP_CIPHER_CTX_free(c);
	mem_wipe(wide, sizeof(wide));
	return ok ? 0 : -ENOTSUP;
}
