/* SPDX-License-Identifier: MIT */
/*
 * HMAC by digest states.
 *
 *   HMAC(K, m) = H(K ^ opad | H(K ^ ipad | m))       K padded with zeros to the block's length
 *
 * The library's EVP_MAC fetches the digest again whenever it gets a key; for messages of a few
 * hundred bytes that costs more than the hashing.  Digest contexts keep their digest.  A key that
 * serves many messages (prf+) keeps the two states behind the pads; a key that serves one message
 * runs through a single context.
 */
#include "crypto/hmac.h"

#include <string.h>
#include "base/mem.h"

#define BLOCK_MAX 128 /* SHA-384 and SHA-512 */
#define INNER_PAD 0x36
#define OUTER_PAD 0x5c

struct pads {
	uint8_t block[BLOCK_MAX];
	size_t len;
};

/* The key as one block; `work` is used for a long one. */
static bool hmac_block(struct pads *p, EVP_MD_CTX *work, const EVP_MD *md, const void *key,
		       size_t key_len)
{
	int block_len = EVP_MD_get_block_size(md);
	if (block_len <= 0 || (size_t)block_len > sizeof(p->block))
		return false;
	memset(p->block, 0, sizeof(p->block));
	p->len = (size_t)block_len;
	if (key_len > p->len)
		return EVP_DigestInit_ex2(work, md, NULL) && EVP_DigestUpdate(work, key, key_len) &&
		       EVP_DigestFinal_ex(work, p->block, NULL);
	if (key_len)
		memcpy(p->block, key, key_len);
	return true;
}

/* Starts ctx with the block XOR pad; the block is as before afterwards. */
static bool hmac_pad(struct pads *p, EVP_MD_CTX *ctx, const EVP_MD *md, uint8_t pad)
{
	for (size_t i = 0; i < p->len; i++)
		p->block[i] ^= pad;
	bool ok = EVP_DigestInit_ex2(ctx, md, NULL) && EVP_DigestUpdate(ctx, p->block, p->len);
	for (size_t i = 0; i < p->len; i++)
		p->block[i] ^= pad;
	return ok;
}

static bool hmac_parts(EVP_MD_CTX *ctx, const struct chunk *parts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len && !EVP_DigestUpdate(ctx, parts[i].data, parts[i].len))
			return false;
	}
	return true;
}

bool hmac_begin(struct hmac *h, const EVP_MD *md, const void *key, size_t key_len)
{
	struct pads p;
	h->inner = EVP_MD_CTX_new();
	h->outer = EVP_MD_CTX_new();
	h->work = EVP_MD_CTX_new();
	bool ok = h->inner && h->outer && h->work && md &&
		  hmac_block(&p, h->work, md, key, key_len) &&
		  hmac_pad(&p, h->inner, md, INNER_PAD) && hmac_pad(&p, h->outer, md, OUTER_PAD);
	mem_wipe(&p, sizeof(p));
	return ok;
}

bool hmac_compute(struct hmac *h, const struct chunk *parts, size_t count,
		  uint8_t out[HMAC_LEN_MAX])
{
	unsigned len = 0;
	return EVP_MD_CTX_copy_ex(h->work, h->inner) && hmac_parts(h->work, parts, count) &&
	       EVP_DigestFinal_ex(h->work, out, &len) && EVP_MD_CTX_copy_ex(h->work, h->outer) &&
	       EVP_DigestUpdate(h->work, out, len) && EVP_DigestFinal_ex(h->work, out, NULL);
}

void hmac_end(struct hmac *h)
{
	/* The library cleanses what it frees. */
	EVP_MD_CTX_free(h->inner);
	EVP_MD_CTX_free(h->outer);
	EVP_MD_CTX_free(h->work);
	*h = (struct hmac){0};
}

bool hmac_once(const EVP_MD *md, const void *key, size_t key_len, const struct chunk *parts,
	       size_t count, uint8_t out[HMAC_LEN_MAX])
{
	struct pads p;
	unsigned len = 0;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && md && hmac_block(&p, ctx, md, key, key_len) &&
		  hmac_pad(&p, ctx, md, INNER_PAD) && hmac_parts(ctx, parts, count) &&
		  EVP_DigestFinal_ex(ctx, out, &len) && hmac_pad(&p, ctx, md, OUTER_PAD) &&
		  EVP_DigestUpdate(ctx, out, len) && EVP_DigestFinal_ex(ctx, out, NULL);
	EVP_MD_CTX_free(ctx);
	mem_wipe(&p, sizeof(p));
	return ok;
}
