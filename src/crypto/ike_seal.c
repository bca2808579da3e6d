/* SPDX-License-Identifier: MIT */
/*
 * Protection of IKE messages.
 *
 *   | IKE header | generic header (fragment's numbers) | IV | payloads | padding | n 1 | ICV |
 *   0                                         header_len   encrypted: ----------------
 *
 * n is the length of the padding.  CBC (RFC 7296 3.14): an unpredictable IV, padding to whole
 * blocks, and an HMAC over everything before the ICV.  AEAD (RFC 5282): the nonce is the salt at
 * the key's end and the 8 octets of the IV; the additional data are the headers, for a fragment
 * with its numbers (RFC 7383 2.5); no padding is needed, n is 0.
 *
 * A message costs a cipher context.  Keeping contexts would cost a kilobyte for each direction of
 * each idle IKE SA and save well under a microsecond per message.
 *
 * No state: any thread.
 */
#include "crypto/ike_seal.h"

#include <string.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include "base/cursor.h"
#include "base/mem.h"
#include "crypto/fetched.h"
#include "crypto/hmac.h"

#define AEAD_NONCE_LEN 12
#define SALT_MAX       4
#define SEAL_LEN_MAX   (1u << 20) /* far above any message, far below INT_MAX */

size_t ike_seal_encr_key_len(const struct alg *encr)
{
	return encr->key_len;
}

size_t ike_seal_integ_key_len(const struct alg *integ)
{
	return integ ? integ->key_len : 0;
}

static bool ike_seal_is_aead(const struct ike_seal *s)
{
	return s->encr->kind == ALG_AEAD;
}

static size_t ike_seal_icv_len(const struct ike_seal *s)
{
	return s->integ ? s->integ->icv_len : s->encr->icv_len;
}

/* The granularity of padding: RFC 5282 3 asks an AEAD for none, unlike ESP. */
static size_t ike_seal_block_len(const struct ike_seal *s)
{
	return ike_seal_is_aead(s) ? 1 : s->encr->block_len;
}

/* Of padding, without the octet that tells it. */
static size_t ike_seal_pad_len(const struct ike_seal *s, size_t len)
{
	size_t block = ike_seal_block_len(s);
	return (block - (len + 1) % block) % block;
}

size_t ike_seal_overhead(const struct ike_seal *s, size_t len)
{
	return s->encr->iv_len + ike_seal_pad_len(s, len) + 1 + ike_seal_icv_len(s);
}

/* An AEAD alone, or a cipher in CBC mode with an HMAC; never without encryption or integrity. */
static bool ike_seal_is_sound(const struct ike_seal *s)
{
	if (!s->encr || s->encr->status == ALG_FORBIDDEN || s->encr->key_len > IKE_SEAL_KEY_MAX)
		return false;
	if (ike_seal_is_aead(s))
		return !s->integ && s->encr->salt_len <= SALT_MAX &&
		       s->encr->salt_len + s->encr->iv_len == AEAD_NONCE_LEN;
	return s->encr->kind == ALG_ENCRYPTION && s->encr->iv_len && s->integ &&
	       s->integ->kind == ALG_INTEGRITY && s->integ->status != ALG_FORBIDDEN &&
	       s->integ->key_len <= IKE_SEAL_MAC_MAX;
}

/* --- the parts of a message */

struct parts {
	uint8_t *msg, *iv, *text, *icv;
	size_t header_len, text_len;
};

static struct parts ike_seal_cut(const struct ike_seal *s, uint8_t *msg, size_t header_len,
				 size_t text_len)
{
	uint8_t *iv = msg + header_len, *text = iv + s->encr->iv_len;
	return (struct parts){.msg = msg,
			      .iv = iv,
			      .text = text,
			      .icv = text + text_len,
			      .header_len = header_len,
			      .text_len = text_len};
}

static bool ike_seal_mac(const struct ike_seal *s, const struct parts *p, uint8_t mac[HMAC_LEN_MAX])
{
	struct chunk covered = {.data = p->msg, .len = (size_t)(p->icv - p->msg)};
	return hmac_once(fetched_digest(s->integ->openssl_name), s->integ_key, s->integ->key_len,
			 &covered, 1, mac);
}

/* --- the cipher, in place */

static bool ike_seal_cbc(const struct ike_seal *s, EVP_CIPHER_CTX *ctx, const EVP_CIPHER *type,
			 const struct parts *p, bool seal)
{
	int n = 0;
	return EVP_CipherInit_ex2(ctx, type, s->encr_key, p->iv, seal, NULL) &&
	       EVP_CIPHER_CTX_set_padding(ctx, 0) &&
	       EVP_CipherUpdate(ctx, p->text, &n, p->text, (int)p->text_len) &&
	       (size_t)n == p->text_len;
}

static bool ike_seal_aead(const struct ike_seal *s, EVP_CIPHER_CTX *ctx, const EVP_CIPHER *type,
			  const struct parts *p, bool seal)
{
	int n = 0, last = 0, icv_len = s->encr->icv_len;
	uint8_t nonce[AEAD_NONCE_LEN];
	struct writer w = writer_of(nonce, sizeof(nonce));
	writer_bytes(&w, s->encr_key + (s->encr->key_len - s->encr->salt_len), s->encr->salt_len);
	writer_bytes(&w, p->iv, s->encr->iv_len);
	return !w.failed && EVP_CipherInit_ex2(ctx, type, s->encr_key, nonce, seal, NULL) &&
	       (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, icv_len, p->icv) > 0) &&
	       EVP_CipherUpdate(ctx, NULL, &n, p->msg, (int)p->header_len) &&
	       EVP_CipherUpdate(ctx, p->text, &n, p->text, (int)p->text_len) &&
	       EVP_CipherFinal_ex(ctx, p->text + n, &last) &&
	       (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, icv_len, p->icv) > 0);
}

static bool ike_seal_cipher(const struct ike_seal *s, const struct parts *p, bool seal)
{
	const EVP_CIPHER *type = fetched_cipher(s->encr->openssl_name);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool ok = type && ctx &&
		  (ike_seal_is_aead(s) ? ike_seal_aead(s, ctx, type, p, seal)
				       : ike_seal_cbc(s, ctx, type, p, seal));
	EVP_CIPHER_CTX_free(ctx); /* cleanses the key schedule */
	if (!ok)
		ERR_clear_error();
	return ok;
}

/* --- messages */

size_t ike_seal(const struct ike_seal *s, uint8_t *msg, size_t room, size_t header_len,
		size_t inner_len, uint64_t iv_counter)
{
	if (!ike_seal_is_sound(s) || room > SEAL_LEN_MAX || header_len > room || inner_len > room)
		return 0;
	size_t whole = header_len + inner_len + ike_seal_overhead(s, inner_len);
	if (whole > room)
		return 0;
	size_t pad_len = ike_seal_pad_len(s, inner_len);
	struct parts p = ike_seal_cut(s, msg, header_len, inner_len + pad_len + 1);
	memset(p.text + inner_len, 0, pad_len);
	p.text[p.text_len - 1] = (uint8_t)pad_len;
	if (ike_seal_is_aead(s)) {
		struct writer w = writer_of(p.iv, s->encr->iv_len);
		writer_u64(&w, iv_counter);
		return !w.failed && ike_seal_cipher(s, &p, true) ? whole : 0;
	}
	uint8_t mac[HMAC_LEN_MAX];
	if (RAND_bytes(p.iv, s->encr->iv_len) != 1 || !ike_seal_cipher(s, &p, true) ||
	    !ike_seal_mac(s, &p, mac))
		return 0;
	memcpy(p.icv, mac, s->integ->icv_len);
	return whole;
}

static bool ike_open_verified(const struct ike_seal *s, const struct parts *p)
{
	if (ike_seal_is_aead(s))
		return ike_seal_cipher(s, p, false);
	uint8_t mac[HMAC_LEN_MAX];
	return ike_seal_mac(s, p, mac) && mem_equal(mac, p->icv, s->integ->icv_len) &&
	       ike_seal_cipher(s, p, false);
}

bool ike_open(const struct ike_seal *s, uint8_t *msg, size_t msg_len, size_t header_len,
	      uint8_t **inner, size_t *inner_len)
{
	if (!ike_seal_is_sound(s) || msg_len > SEAL_LEN_MAX || header_len > msg_len)
		return false;
	size_t around = header_len + s->encr->iv_len + ike_seal_icv_len(s);
	if (msg_len <= around)
		return false;
	size_t text_len = msg_len - around;
	if (text_len % ike_seal_block_len(s) != 0)
		return false;
	struct parts p = ike_seal_cut(s, msg, header_len, text_len);
	if (!ike_open_verified(s, &p))
		return false;
	size_t pad_len = p.text[text_len - 1];
	if (pad_len + 1 > text_len)
		return false;
	*inner = p.text;
	*inner_len = text_len - pad_len - 1;
	return true;
}
