/* SPDX-License-Identifier: MIT */
/*
 * MS-CHAPv2 as functions.
 *
 * It stands on MD4 and single DES, which OpenSSL 3 keeps in its legacy provider.  The provider is
 * loaded into a library context of our own, so that no other code of the process finds them by
 * name; it's a file, so it must be loaded before the process is confined.  Context and algorithms
 * are needed until the process ends and are never given back.
 *
 * The method is weak: whoever sees an exchange can search the password, and DES is searched
 * entirely in a day.  In IKE only the server that proved itself by certificate sees it.
 */
#include "ike/mschap.h"

#include <pthread.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include "base/mem.h"
#include "base/utf8.h"
#include "crypto/prf.h"

#define SHA1_LEN    20
#define SHORT_LEN   8 /* of a challenge that DES encrypts */
#define DES_KEY_LEN 7 /* without parity */
#define PAD_LEN	    40

static struct {
	OSSL_LIB_CTX *ctx;
	EVP_MD *md4;
	EVP_CIPHER *des;
} legacy;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load_legacy(void)
{
	legacy.ctx = OSSL_LIB_CTX_new();
	if (legacy.ctx && OSSL_PROVIDER_load(legacy.ctx, "legacy")) {
		legacy.md4 = EVP_MD_fetch(legacy.ctx, "MD4", NULL);
		legacy.des = EVP_CIPHER_fetch(legacy.ctx, "DES-ECB", NULL);
	}
	ERR_clear_error();
}

bool mschap_load(void)
{
	pthread_once(&once, load_legacy);
	return legacy.md4 && legacy.des;
}

/* --- the pieces */

static int sha1(const struct chunk *parts, size_t count, uint8_t out[SHA1_LEN])
{
	size_t len;
	return digest_compute("SHA1", parts, count, out, &len);
}

static int md4(const uint8_t *data, size_t len, uint8_t out[MSCHAP_HASH_LEN])
{
	unsigned n = 0;
	bool ok = mschap_load() && EVP_Digest(data, len, out, &n, legacy.md4, NULL) == 1;
	if (!ok)
		ERR_clear_error();
	return ok && n == MSCHAP_HASH_LEN ? 0 : -1;
}

/* Seven bits in each octet's upper part; nobody looks at the parity. */
static void des_spread_key(const uint8_t key[DES_KEY_LEN], uint8_t out[DES_KEY_LEN + 1])
{
	uint64_t bits = 0;
	for (size_t i = 0; i < DES_KEY_LEN; i++)
		bits = bits << 8 | key[i];
	for (size_t i = 0; i <= DES_KEY_LEN; i++)
		out[i] = (uint8_t)(bits >> (49 - 7 * i) << 1);
}

static int des_encrypt(const uint8_t key[DES_KEY_LEN], const uint8_t clear[SHORT_LEN],
		       uint8_t out[SHORT_LEN])
{
	uint8_t spread[DES_KEY_LEN + 1], block[2 * SHORT_LEN];
	int len = 0;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

	des_spread_key(key, spread);
	bool ok = c && mschap_load() &&
		  EVP_EncryptInit_ex2(c, legacy.des, spread, NULL, NULL) == 1 &&
		  EVP_CIPHER_CTX_set_padding(c, 0) == 1 &&
		  EVP_EncryptUpdate(c, block, &len, clear, SHORT_LEN) == 1 && len == SHORT_LEN;
	EVP_CIPHER_CTX_free(c);
	if (ok)
		memcpy(out, block, SHORT_LEN);
	else
		ERR_clear_error();
	mem_wipe(spread, sizeof(spread));
	return ok ? 0 : -1;
}

/* RFC 2759 8.2: without the domain. */
static int short_challenge(const struct mschap *m, uint8_t out[SHORT_LEN])
{
	const char *slash = strrchr(m->user, '\\');
	const char *user = slash ? slash + 1 : m->user;
	const struct chunk parts[] = {{m->peer, MSCHAP_CHALLENGE_LEN},
				      {m->authenticator, MSCHAP_CHALLENGE_LEN},
				      {user, strlen(user)}};
	uint8_t hash[SHA1_LEN];
	if (sha1(parts, 3, hash) < 0)
		return -1;
	memcpy(out, hash, SHORT_LEN);
	return 0;
}

/* --- RFC 2759 */

int mschap_nt_hash(const char *password, uint8_t out[MSCHAP_HASH_LEN])
{
	uint8_t wide[2 * MSCHAP_PASSWORD_CHARS]; /* UTF-16, little-endian */
	struct reader r = reader_of(password, strlen(password));
	size_t len = 0;
	int rc = -1;

	while (reader_left(&r) && !r.failed) {
		uint32_t c = utf8_read(&r);
		uint16_t units[2] = {(uint16_t)c, 0};
		size_t count = 1;
		if (c > 0xffff) {
			units[0] = (uint16_t)(0xd800 + ((c - 0x10000) >> 10));
			units[1] = (uint16_t)(0xdc00 + ((c - 0x10000) & 0x3ff));
			count = 2;
		}
		if (len + 2 * count > sizeof(wide))
			goto out;
		for (size_t i = 0; i < count; i++) {
			wide[len++] = (uint8_t)units[i];
			wide[len++] = (uint8_t)(units[i] >> 8);
		}
	}
	if (!r.failed)
		rc = md4(wide, len, out);
out:
	mem_wipe(wide, sizeof(wide));
	return rc;
}

int mschap_response(const struct mschap *m, const uint8_t nt_hash[MSCHAP_HASH_LEN],
		    uint8_t out[MSCHAP_RESPONSE_LEN])
{
	uint8_t keys[3 * DES_KEY_LEN] = {0}, challenge[SHORT_LEN];
	int rc = short_challenge(m, challenge);

	memcpy(keys, nt_hash, MSCHAP_HASH_LEN);
	for (size_t i = 0; rc == 0 && i < 3; i++)
		rc = des_encrypt(keys + i * DES_KEY_LEN, challenge, out + i * SHORT_LEN);
	mem_wipe(keys, sizeof(keys));
	return rc;
}

int mschap_proof(const struct mschap *m, const uint8_t nt_hash[MSCHAP_HASH_LEN],
		 const uint8_t response[MSCHAP_RESPONSE_LEN], uint8_t out[MSCHAP_PROOF_LEN])
{
	static const char magic_1[] = "Magic server to client signing constant";
	static const char magic_2[] = "Pad to make it do more than one iteration";
	uint8_t hash_hash[MSCHAP_HASH_LEN], digest[SHA1_LEN], challenge[SHORT_LEN];
	const struct chunk first[] = {{hash_hash, sizeof(hash_hash)},
				      {response, MSCHAP_RESPONSE_LEN},
				      {magic_1, sizeof(magic_1) - 1}};
	const struct chunk second[] = {{digest, sizeof(digest)},
				       {challenge, sizeof(challenge)},
				       {magic_2, sizeof(magic_2) - 1}};
	int rc = md4(nt_hash, MSCHAP_HASH_LEN, hash_hash);
	if (rc == 0)
		rc = sha1(first, 3, digest);
	if (rc == 0)
		rc = short_challenge(m, challenge);
	if (rc == 0)
		rc = sha1(second, 3, out);
	mem_wipe(hash_hash, sizeof(hash_hash));
	return rc;
}

/* --- RFC 3079 */

int mschap_master_key(const uint8_t nt_hash[MSCHAP_HASH_LEN],
		      const uint8_t response[MSCHAP_RESPONSE_LEN],
		      uint8_t out[MSCHAP_MASTER_KEY_LEN])
{
	static const char magic[] = "This is the MPPE Master Key";
	uint8_t hash_hash[MSCHAP_HASH_LEN], digest[SHA1_LEN];
	const struct chunk parts[] = {{hash_hash, sizeof(hash_hash)},
				      {response, MSCHAP_RESPONSE_LEN},
				      {magic, sizeof(magic) - 1}};
	int rc = md4(nt_hash, MSCHAP_HASH_LEN, hash_hash);
	if (rc == 0)
		rc = sha1(parts, 3, digest);
	if (rc == 0)
		memcpy(out, digest, MSCHAP_MASTER_KEY_LEN);
	mem_wipe(hash_hash, sizeof(hash_hash));
	mem_wipe(digest, sizeof(digest));
	return rc;
}

int mschap_session_keys(const uint8_t master[MSCHAP_MASTER_KEY_LEN],
			uint8_t out[MSCHAP_SESSION_KEYS_LEN])
{
	static const char *const magics[] = {
	    "On the client side, this is the send key; on the server side, it is the receive key.",
	    "On the client side, this is the receive key; on the server side, it is the send key.",
	};
	uint8_t pad_1[PAD_LEN] = {0}, pad_2[PAD_LEN], digest[SHA1_LEN];
	int rc = 0;

	memset(pad_2, 0xf2, sizeof(pad_2));
	for (size_t i = 0; rc == 0 && i < 2; i++) {
		const struct chunk parts[] = {{master, MSCHAP_MASTER_KEY_LEN},
					      {pad_1, sizeof(pad_1)},
					      {magics[i], strlen(magics[i])},
					      {pad_2, sizeof(pad_2)}};
		rc = sha1(parts, 4, digest);
		memcpy(out + i * MSCHAP_MASTER_KEY_LEN, digest, MSCHAP_MASTER_KEY_LEN);
	}
	mem_wipe(digest, sizeof(digest));
	return rc;
}
