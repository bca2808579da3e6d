/* SPDX-License-Identifier: MIT */
/*
 * Sealing and opening with OpenSSL's providers.
 *
 * A schedule has a cipher context whose key schedule is made once, so that a packet only sets an
 * IV.  HMAC keeps the digest state after the inner and the outer pad (RFC 2104 section 4) and
 * copies it for each packet; that saves two blocks of hashing per packet and was measured to be
 * faster than EVP_MAC re-initialised from its cached key.
 *
 * ESN's high half is not sent (RFC 4303 2.2.1): HMAC covers the packet with the high half behind
 * it.
 */
#include <openssl/evp.h>
#include "base/mem.h"
#include "crypto/crypt_openssl.h"
#include "crypto/fetched.h"

#define HMAC_BLOCK_MAX 128

static bool make_cipher(const struct crypt *c, struct crypt_contexts *s)
{
	const struct alg *a = c->encr;
	if (!a->openssl_name[0])
		return true;
	if (!s->cipher)
		s->cipher = EVP_CIPHER_CTX_new();
	return s->cipher &&
	       EVP_CipherInit_ex2(s->cipher, fetched_cipher(a->openssl_name), c->key, NULL,
				  c->direction == CRYPT_SEAL ? 1 : 0, NULL) &&
	       EVP_CIPHER_CTX_set_padding(s->cipher, 0);
}

/* Digest state after one block of key XOR pad. */
static bool init_pad(EVP_MD_CTX *ctx, const EVP_MD *type, const uint8_t *key, size_t key_len,
		     uint8_t pad)
{
	uint8_t block[HMAC_BLOCK_MAX];
	int block_len = EVP_MD_get_block_size(type);
	if (block_len <= 0 || (size_t)block_len > sizeof(block) || key_len > (size_t)block_len)
		return false;
	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < key_len; i++)
		block[i] ^= key[i];
	bool ok =
	    EVP_DigestInit_ex2(ctx, type, NULL) && EVP_DigestUpdate(ctx, block, (size_t)block_len);
	mem_wipe(block, sizeof(block));
	return ok;
}

static bool make_hmac(const struct crypt *c, struct crypt_contexts *s)
{
	const struct alg *a = c->integ;
	if (!a)
		return true;
	const uint8_t *key = c->key + c->encr->key_len;
	const EVP_MD *type = fetched_digest(a->openssl_name);
	if (!s->work) {
		s->inner = EVP_MD_CTX_new();
		s->outer = EVP_MD_CTX_new();
		s->work = EVP_MD_CTX_new();
	}
	return type && s->inner && s->outer && s->work &&
	       init_pad(s->inner, type, key, a->key_len, 0x36) &&
	       init_pad(s->outer, type, key, a->key_len, 0x5c);
}

/* The library cleanses what it frees. */
void crypt_contexts_clear(struct crypt_contexts *s)
{
	EVP_CIPHER_CTX_free(s->cipher);
	EVP_MD_CTX_free(s->inner);
	EVP_MD_CTX_free(s->outer);
	EVP_MD_CTX_free(s->work);
	*s = (struct crypt_contexts){0};
}

bool crypt_contexts_make(const struct crypt *c, struct crypt_contexts *s)
{
	return make_cipher(c, s) && make_hmac(c, s);
}

/* --- one packet */

bool crypt_contexts_hmac(const struct crypt_contexts *s, const uint8_t *data, size_t len,
			 const uint32_t *seq_hi, uint8_t mac[EVP_MAX_MD_SIZE])
{
	uint8_t hi[4];
	struct writer w = writer_of(hi, sizeof(hi));
	writer_u32(&w, seq_hi ? *seq_hi : 0);
	unsigned mac_len = 0;
	return EVP_MD_CTX_copy_ex(s->work, s->inner) && EVP_DigestUpdate(s->work, data, len) &&
	       (!seq_hi || EVP_DigestUpdate(s->work, hi, sizeof(hi))) &&
	       EVP_DigestFinal_ex(s->work, mac, &mac_len) &&
	       EVP_MD_CTX_copy_ex(s->work, s->outer) && EVP_DigestUpdate(s->work, mac, mac_len) &&
	       EVP_DigestFinal_ex(s->work, mac, &mac_len);
}

static bool hmac(const struct crypt_contexts *s, const struct crypt_op *op,
		 uint8_t mac[EVP_MAX_MD_SIZE])
{
	return crypt_contexts_hmac(s, op->esp, op->len - op->crypt->icv_len,
				   op->esn ? &op->seq_hi : NULL, mac);
}

/* Whole blocks in place; the direction is the context's own. */
static bool cbc(const struct crypt_contexts *s, const struct crypt_op *op)
{
	if (!op->crypt->encr->openssl_name[0])
		return true;
	int n = 0, len = (int)crypt_text_len(op);
	return EVP_CipherInit_ex2(s->cipher, NULL, NULL, crypt_iv(op), -1, NULL) &&
	       EVP_CipherUpdate(s->cipher, crypt_text(op), &n, crypt_text(op), len) && n == len;
}

static bool aead(const struct crypt_contexts *s, const struct crypt_op *op)
{
	bool seal = op->crypt->direction == CRYPT_SEAL;
	int icv_len = op->crypt->icv_len;
	uint8_t *text = crypt_text(op), *icv = crypt_icv(op);
	struct crypt_beside in;
	crypt_beside(op, &in);
	int n = 0, last = 0;
	return EVP_CipherInit_ex2(s->cipher, NULL, NULL, in.nonce.bytes, -1, NULL) &&
	       (seal || EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_SET_TAG, icv_len, icv) > 0) &&
	       EVP_CipherUpdate(s->cipher, NULL, &n, in.aad.bytes, (int)in.aad_len) &&
	       EVP_CipherUpdate(s->cipher, text, &n, text, (int)crypt_text_len(op)) &&
	       EVP_CipherFinal_ex(s->cipher, text + n, &last) &&
	       (!seal || EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_GET_TAG, icv_len, icv) > 0);
}

/* All but the ICV is additional data, with ESN the high half between SPI and the rest (RFC 4543
 * 3.3). */
static bool gmac(const struct crypt_contexts *s, const struct crypt_op *op)
{
	bool seal = op->crypt->direction == CRYPT_SEAL;
	int icv_len = op->crypt->icv_len, n = 0;
	uint8_t *icv = crypt_icv(op), nothing[16];
	struct crypt_beside in;
	crypt_beside(op, &in);
	return EVP_CipherInit_ex2(s->cipher, NULL, NULL, in.nonce.bytes, -1, NULL) &&
	       (seal || EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_SET_TAG, icv_len, icv) > 0) &&
	       EVP_CipherUpdate(s->cipher, NULL, &n, in.aad.bytes, (int)in.aad_len) &&
	       EVP_CipherUpdate(s->cipher, NULL, &n, crypt_iv(op), (int)(icv - crypt_iv(op))) &&
	       EVP_CipherFinal_ex(s->cipher, nothing, &n) &&
	       (!seal || EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_GET_TAG, icv_len, icv) > 0);
}

static bool aead_or_gmac(const struct crypt_contexts *s, const struct crypt_op *op)
{
	return op->crypt->encr->encrypts_nothing ? gmac(s, op) : aead(s, op);
}

bool crypt_contexts_seal(const struct crypt_contexts *s, const struct crypt_op *op)
{
	if (crypt_is_aead(op->crypt))
		return aead_or_gmac(s, op);
	uint8_t mac[EVP_MAX_MD_SIZE];
	if (!cbc(s, op) || !hmac(s, op, mac))
		return false;
	memcpy(crypt_icv(op), mac, op->crypt->icv_len);
	return true;
}

bool crypt_contexts_open(const struct crypt_contexts *s, const struct crypt_op *op)
{
	if (crypt_is_aead(op->crypt))
		return aead_or_gmac(s, op);
	uint8_t mac[EVP_MAX_MD_SIZE];
	return hmac(s, op, mac) && mem_equal(mac, crypt_icv(op), op->crypt->icv_len) && cbc(s, op);
}

/* --- as a method */

static struct crypt_contexts *contexts(struct crypt_schedule *s)
{
	_Static_assert(sizeof(struct crypt_contexts) <= CRYPT_SCHEDULE_LEN, "room");
	return (struct crypt_contexts *)(void *)s->room;
}

static bool openssl_make(struct crypt_worker *w, const struct crypt *c, struct crypt_schedule *s)
{
	(void)w;
	return crypt_contexts_make(c, contexts(s));
}

static void openssl_clear(struct crypt_schedule *s)
{
	crypt_contexts_clear(contexts(s));
}

static void openssl_seal(struct crypt_worker *w, const struct crypt_schedule *s,
			 struct crypt_op *ops, size_t n)
{
	(void)w;
	const struct crypt_contexts *contexts = (const void *)s->room;
	for (size_t i = 0; i < n; i++)
		ops[i].ok = crypt_contexts_seal(contexts, &ops[i]);
}

static void openssl_open(struct crypt_worker *w, const struct crypt_schedule *s,
			 struct crypt_op *ops, size_t n)
{
	(void)w;
	const struct crypt_contexts *contexts = (const void *)s->room;
	for (size_t i = 0; i < n; i++)
		ops[i].ok = crypt_contexts_open(contexts, &ops[i]);
}

const struct crypt_method crypt_method_openssl = {
    .make = openssl_make,
    .clear = openssl_clear,
    .seal = openssl_seal,
    .open = openssl_open,
};
