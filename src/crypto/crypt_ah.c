/* SPDX-License-Identifier: MIT */
/*
 * Authentication of AH's packets (RFC 4302) with OpenSSL.
 *
 * What an ICV covers is around it: the packet from its outer IP header on, whose mutable fields the
 * caller set to zero, with zeros in place of the ICV, then with ESN the high half of the number,
 * which is not sent (3.3.3.2).  HMAC hashes that; AES-GMAC (RFC 4543 4) takes it as additional data
 * and has its IV before its tag in the ICV's place, where both count as zero: the IV is in the
 * nonce.
 */
#include <openssl/evp.h>
#include "base/mem.h"
#include "crypto/crypt_openssl.h"

#define AH_ICV_MAX (8 + CRYPT_ICV_MAX)

static bool gmac(const struct crypt_contexts *s, const struct crypt_op *op, const uint8_t iv[8],
		 uint8_t mac[EVP_MAX_MD_SIZE])
{
	const struct crypt *c = op->crypt;
	uint8_t nonce[AEAD_NONCE_LEN], hi[4], nothing[16];
	int n = 0;
	struct writer w = writer_of(nonce, sizeof(nonce));
	writer_bytes(&w, c->key + c->encr->key_len - c->encr->salt_len, c->encr->salt_len);
	writer_bytes(&w, iv, 8);
	w = writer_of(hi, sizeof(hi));
	writer_u32(&w, op->seq_hi);
	/* The direction of GCM changes nothing where there is no text, and only this one tells the
	 * tag. */
	return EVP_CipherInit_ex2(s->cipher, NULL, NULL, nonce, 1, NULL) &&
	       EVP_CipherUpdate(s->cipher, NULL, &n, op->esp, (int)op->len) &&
	       (!op->esn || EVP_CipherUpdate(s->cipher, NULL, &n, hi, sizeof(hi))) &&
	       EVP_CipherFinal_ex(s->cipher, nothing, &n) &&
	       EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_GET_TAG, c->icv_len, mac) > 0;
}

/* Of a packet with zeros for the ICV. */
static bool compute(const struct crypt_contexts *s, const struct crypt_op *op, const uint8_t *iv,
		    uint8_t mac[EVP_MAX_MD_SIZE])
{
	if (crypt_is_aead(op->crypt))
		return gmac(s, op, iv, mac);
	return crypt_contexts_hmac(s, op->esp, op->len, op->esn ? &op->seq_hi : NULL, mac);
}

static bool ah_seal(const struct crypt_contexts *s, const struct crypt_op *op)
{
	const struct crypt *c = op->crypt;
	uint8_t iv[8] = {0}, mac[EVP_MAX_MD_SIZE], *icv = op->esp + op->icv_at;
	size_t iv_len = c->encr->iv_len;
	memcpy(iv, icv, iv_len);
	memset(icv, 0, iv_len + c->icv_len);
	if (!compute(s, op, iv, mac))
		return false;
	memcpy(icv, iv, iv_len);
	memcpy(icv + iv_len, mac, c->icv_len);
	return true;
}

/* The packet is left as it was either way. */
static bool ah_open(const struct crypt_contexts *s, const struct crypt_op *op)
{
	const struct crypt *c = op->crypt;
	uint8_t was[AH_ICV_MAX], mac[EVP_MAX_MD_SIZE], *icv = op->esp + op->icv_at;
	size_t iv_len = c->encr->iv_len, len = iv_len + c->icv_len;
	memcpy(was, icv, len);
	memset(icv, 0, len);
	bool ok = compute(s, op, was, mac) && mem_equal(mac, was + iv_len, c->icv_len);
	memcpy(icv, was, len);
	return ok;
}

/* --- as a method */

static bool ah_make(struct crypt_worker *w, const struct crypt *c, struct crypt_schedule *s)
{
	(void)w;
	return crypt_contexts_make(c, (struct crypt_contexts *)(void *)s->room);
}

static void ah_clear(struct crypt_schedule *s)
{
	crypt_contexts_clear((struct crypt_contexts *)(void *)s->room);
}

static void ah_seal_all(struct crypt_worker *w, const struct crypt_schedule *s,
			struct crypt_op *ops, size_t n)
{
	(void)w;
	for (size_t i = 0; i < n; i++)
		ops[i].ok = ah_seal((const void *)s->room, &ops[i]);
}

static void ah_open_all(struct crypt_worker *w, const struct crypt_schedule *s,
			struct crypt_op *ops, size_t n)
{
	(void)w;
	for (size_t i = 0; i < n; i++)
		ops[i].ok = ah_open((const void *)s->room, &ops[i]);
}

const struct crypt_method crypt_method_ah = {
    .make = ah_make,
    .clear = ah_clear,
    .seal = ah_seal_all,
    .open = ah_open_all,
};
