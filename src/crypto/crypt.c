/* SPDX-License-Identifier: MIT */
/*
 * Sealing and opening ESP packets with OpenSSL's providers.
 *
 * What the packet looks like to this file:
 *
 *   | SPI 4 | sequence 4 | IV | ciphertext: whole blocks | ICV |
 *   0                    8    8 + iv_len                 len - icv_len
 *
 * A struct crypt keeps a schedule: a cipher context whose key schedule is made once, so that a
 * packet only sets an IV.  HMAC keeps the digest state after the inner and the outer pad (RFC 2104
 * section 4) and copies it for each packet; that saves two blocks of hashing per packet and was
 * measured to be faster than EVP_MAC re-initialised from its cached key.
 *
 * The schedule is made with the first packet, and may be taken away from an SA that rests: it is a
 * kilobyte and more, and a home server has many SAs that carry nothing for now.
 *
 * ESN's high half is not sent (RFC 4303 2.2.1): HMAC covers the packet with the high half behind
 * it; an AEAD's additional data are SPI, high half, low half (RFC 4106 section 5, RFC 7634
 * section 2.1).
 *
 * Ownership: a struct crypt owns its schedule and is used by one thread at a time; another may take
 * the schedule away (crypt_rest), so that it is looked up once for each packet.  The caller owns
 * the packets.  Nothing here is global.
 */
#include "crypto/crypt.h"

#include <stdatomic.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include "base/cursor.h"
#include "base/mem.h"

#define ESP_FIXED_LEN  8 /* SPI and sequence number */
#define CBC_IV_LEN     16
#define AEAD_NONCE_LEN 12
#define AEAD_AAD_MAX   12
#define HMAC_BLOCK_MAX 128
#define CRYPT_CHUNK    64	  /* IVs drawn by one call */
#define CRYPT_LEN_MAX  (1u << 20) /* far above any packet, far below INT_MAX */

struct crypt_schedule {
	EVP_CIPHER_CTX *cipher;		  /* NULL: null encryption */
	EVP_MD_CTX *inner, *outer, *work; /* HMAC; NULL for an AEAD */
};

struct crypt {
	const struct alg *encr, *integ;
	enum crypt_direction direction;
	_Atomic(struct crypt_schedule *) schedule; /* NULL: none is made */
	size_t key_len;
	uint8_t key[];
};

size_t crypt_key_len(const struct alg *encr, const struct alg *integ)
{
	return (size_t)encr->key_len + (integ ? integ->key_len : 0u);
}

static bool crypt_icv_by_aead(const struct crypt *c)
{
	return c->encr->kind == ALG_AEAD;
}

static size_t crypt_icv_len(const struct crypt *c)
{
	return c->integ ? c->integ->icv_len : c->encr->icv_len;
}

/* --- creation */

static int crypt_check_pair(const struct alg *encr, const struct alg *integ, size_t key_len,
			    struct err *err)
{
	if (encr->kind == ALG_INTEGRITY)
		return err_set(err, "%s is an integrity algorithm, not an encryption", encr->name);
	if (encr->status == ALG_FORBIDDEN)
		return err_set(err, "%s: %s", encr->name, encr->why);
	if (encr->kind == ALG_AEAD && integ)
		return err_set(err, "%s protects integrity itself: leave %s away", encr->name,
			       integ->name);
	if (encr->kind == ALG_ENCRYPTION && !integ)
		return err_set(err, "%s needs an integrity algorithm: add hmac-sha-256-128",
			       encr->name);
	if (integ && integ->kind != ALG_INTEGRITY)
		return err_set(err, "%s is not an integrity algorithm: use hmac-sha-256-128",
			       integ->name);
	if (integ && integ->status == ALG_FORBIDDEN)
		return err_set(err, "%s: %s", integ->name, integ->why);
	size_t want = crypt_key_len(encr, integ);
	if (key_len != want)
		return err_set(err, "the key for %s%s%s must have %zu bytes, not %zu", encr->name,
			       integ ? " with " : "", integ ? integ->name : "", want, key_len);
	return 0;
}

/* The library keeps what was fetched before: this is a look into a table. */
static int crypt_check_library(const struct alg *encr, const struct alg *integ, struct err *err)
{
	bool has = true;
	if (encr->openssl_name[0]) {
		EVP_CIPHER *type = EVP_CIPHER_fetch(NULL, encr->openssl_name, NULL);
		has = type != NULL;
		EVP_CIPHER_free(type);
	}
	if (!has)
		return err_set(err, "%s: the cryptographic library does not have it", encr->name);
	if (integ) {
		EVP_MD *type = EVP_MD_fetch(NULL, integ->openssl_name, NULL);
		has = type != NULL;
		EVP_MD_free(type);
	}
	if (!has)
		return err_set(err, "%s: the cryptographic library does not have it", integ->name);
	return 0;
}

static bool crypt_make_cipher(const struct crypt *c, struct crypt_schedule *s)
{
	const struct alg *a = c->encr;
	if (!a->openssl_name[0])
		return true;
	int seal = c->direction == CRYPT_SEAL ? 1 : 0;
	EVP_CIPHER *type = EVP_CIPHER_fetch(NULL, a->openssl_name, NULL);
	s->cipher = EVP_CIPHER_CTX_new();
	bool ok = type && s->cipher &&
		  EVP_CipherInit_ex2(s->cipher, type, c->key, NULL, seal, NULL) &&
		  EVP_CIPHER_CTX_set_padding(s->cipher, 0);
	EVP_CIPHER_free(type);
	return ok;
}

/* Digest state after one block of key XOR pad. */
static bool crypt_init_pad(EVP_MD_CTX *ctx, const EVP_MD *type, const uint8_t *key, size_t key_len,
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

static bool crypt_make_hmac(const struct crypt *c, struct crypt_schedule *s)
{
	const struct alg *a = c->integ;
	if (!a)
		return true;
	const uint8_t *key = c->key + c->encr->key_len;
	EVP_MD *type = EVP_MD_fetch(NULL, a->openssl_name, NULL);
	s->inner = EVP_MD_CTX_new();
	s->outer = EVP_MD_CTX_new();
	s->work = EVP_MD_CTX_new();
	bool ok = type && s->inner && s->outer && s->work &&
		  crypt_init_pad(s->inner, type, key, a->key_len, 0x36) &&
		  crypt_init_pad(s->outer, type, key, a->key_len, 0x5c);
	EVP_MD_free(type);
	return ok;
}

/* The library cleanses what it frees. */
void crypt_schedule_free(struct crypt_schedule *s)
{
	if (!s)
		return;
	EVP_CIPHER_CTX_free(s->cipher);
	EVP_MD_CTX_free(s->inner);
	EVP_MD_CTX_free(s->outer);
	EVP_MD_CTX_free(s->work);
	free(s);
}

/* NULL: out of memory, as a rule; the packet is not to be had, the next one tries again. */
static struct crypt_schedule *crypt_make(struct crypt *c)
{
	struct crypt_schedule *s = calloc(1, sizeof(*s));
	if (s && (!crypt_make_cipher(c, s) || !crypt_make_hmac(c, s))) {
		crypt_schedule_free(s);
		s = NULL;
	}
	atomic_store_explicit(&c->schedule, s, memory_order_release);
	return s;
}

static struct crypt_schedule *crypt_schedule_of(struct crypt *c)
{
	struct crypt_schedule *s = atomic_load_explicit(&c->schedule, memory_order_acquire);
	return s ? s : crypt_make(c);
}

struct crypt_schedule *crypt_rest(struct crypt *c)
{
	return atomic_exchange_explicit(&c->schedule, NULL, memory_order_acq_rel);
}

struct crypt *crypt_new(const struct alg *encr, const struct alg *integ, const uint8_t *key,
			size_t key_len, enum crypt_direction direction, struct err *err)
{
	if (crypt_check_pair(encr, integ, key_len, err) != 0 ||
	    crypt_check_library(encr, integ, err) != 0)
		return NULL;
	struct crypt *c = mem_zalloc(sizeof(*c) + key_len);
	c->encr = encr;
	c->integ = integ;
	c->direction = direction;
	c->key_len = key_len;
	memcpy(c->key, key, key_len);
	return c;
}

void crypt_free(struct crypt *c)
{
	if (!c)
		return;
	crypt_schedule_free(crypt_rest(c));
	mem_wipe(c, sizeof(*c) + c->key_len);
	free(c);
}

/* --- one packet's parts */

struct parts {
	uint8_t *iv;
	uint8_t *text; /* cipher or plain */
	size_t text_len;
	uint8_t *icv;
};

/* false: no whole, non-empty number of blocks fits in this length. */
static bool crypt_cut(const struct crypt_op *op, struct parts *out)
{
	const struct crypt *c = op->crypt;
	size_t ahead = ESP_FIXED_LEN + (size_t)c->encr->iv_len;
	size_t around = ahead + crypt_icv_len(c);
	if (op->len > CRYPT_LEN_MAX || op->len <= around)
		return false;
	size_t text_len = op->len - around;
	if (text_len % c->encr->block_len != 0)
		return false;
	*out = (struct parts){
	    .iv = op->esp + ESP_FIXED_LEN,
	    .text = op->esp + ahead,
	    .text_len = text_len,
	    .icv = op->esp + ahead + text_len,
	};
	return true;
}

static bool crypt_hmac(const struct crypt_op *op, const struct crypt_schedule *s,
		       size_t covered_len, uint8_t mac[EVP_MAX_MD_SIZE])
{
	uint8_t hi[4];
	struct writer w = writer_of(hi, sizeof(hi));
	writer_u32(&w, op->seq_hi);
	unsigned mac_len = 0;
	return EVP_MD_CTX_copy_ex(s->work, s->inner) &&
	       EVP_DigestUpdate(s->work, op->esp, covered_len) &&
	       (!op->esn || EVP_DigestUpdate(s->work, hi, sizeof(hi))) &&
	       EVP_DigestFinal_ex(s->work, mac, &mac_len) &&
	       EVP_MD_CTX_copy_ex(s->work, s->outer) && EVP_DigestUpdate(s->work, mac, mac_len) &&
	       EVP_DigestFinal_ex(s->work, mac, &mac_len);
}

/* Whole blocks in place; the direction is the context's own. */
static bool crypt_cbc(const struct crypt_schedule *s, const struct parts *p)
{
	if (!s->cipher)
		return true;
	int n = 0;
	return EVP_CipherInit_ex2(s->cipher, NULL, NULL, p->iv, -1, NULL) &&
	       EVP_CipherUpdate(s->cipher, p->text, &n, p->text, (int)p->text_len) &&
	       (size_t)n == p->text_len;
}

static size_t crypt_aead_aad(const struct crypt_op *op, uint8_t aad[AEAD_AAD_MAX])
{
	struct writer w = writer_of(aad, AEAD_AAD_MAX);
	writer_bytes(&w, op->esp, 4);
	if (op->esn)
		writer_u32(&w, op->seq_hi);
	writer_bytes(&w, op->esp + 4, 4);
	return writer_len(&w);
}

static bool crypt_aead(const struct crypt_op *op, const struct crypt_schedule *s,
		       const struct parts *p)
{
	const struct crypt *c = op->crypt;
	const struct alg *a = c->encr;
	bool seal = c->direction == CRYPT_SEAL;
	int icv_len = a->icv_len;
	uint8_t nonce[AEAD_NONCE_LEN], aad[AEAD_AAD_MAX];
	/* The salt is at the key's end. */
	memcpy(nonce, c->key + (a->key_len - a->salt_len), a->salt_len);
	memcpy(nonce + a->salt_len, p->iv, sizeof(nonce) - a->salt_len);
	size_t aad_len = crypt_aead_aad(op, aad);
	int n = 0, last = 0;
	return EVP_CipherInit_ex2(s->cipher, NULL, NULL, nonce, -1, NULL) &&
	       (seal ||
		EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_SET_TAG, icv_len, p->icv) > 0) &&
	       EVP_CipherUpdate(s->cipher, NULL, &n, aad, (int)aad_len) &&
	       EVP_CipherUpdate(s->cipher, p->text, &n, p->text, (int)p->text_len) &&
	       EVP_CipherFinal_ex(s->cipher, p->text + n, &last) &&
	       (!seal ||
		EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_GET_TAG, icv_len, p->icv) > 0);
}

/* --- batches */

static bool crypt_seal_one(const struct crypt_op *op, const uint8_t *random_iv)
{
	struct crypt *c = op->crypt;
	const struct crypt_schedule *s;
	struct parts p;
	if (c->direction != CRYPT_SEAL || !crypt_cut(op, &p) || !(s = crypt_schedule_of(c)))
		return false;
	if (crypt_icv_by_aead(c)) {
		struct writer w = writer_of(p.iv, c->encr->iv_len);
		writer_u32(&w, op->esn ? op->seq_hi : 0);
		writer_bytes(&w, op->esp + 4, 4);
		return crypt_aead(op, s, &p);
	}
	if (c->encr->iv_len == CBC_IV_LEN)
		memcpy(p.iv, random_iv, CBC_IV_LEN);
	uint8_t mac[EVP_MAX_MD_SIZE];
	if (!crypt_cbc(s, &p) || !crypt_hmac(op, s, (size_t)(p.icv - op->esp), mac))
		return false;
	memcpy(p.icv, mac, c->integ->icv_len);
	return true;
}

static void crypt_seal_chunk(struct crypt_op *ops, size_t n)
{
	uint8_t ivs[CRYPT_CHUNK][CBC_IV_LEN];
	int wanted = 0, used = 0;
	for (size_t i = 0; i < n; i++)
		wanted += ops[i].crypt->encr->iv_len == CBC_IV_LEN;
	bool have = wanted == 0 || RAND_bytes(ivs[0], wanted * CBC_IV_LEN) == 1;
	for (size_t i = 0; i < n; i++) {
		bool needs = ops[i].crypt->encr->iv_len == CBC_IV_LEN;
		ops[i].ok = (have || !needs) && crypt_seal_one(&ops[i], ivs[needs ? used : 0]);
		used += needs;
	}
}

void crypt_seal(struct crypt_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i += CRYPT_CHUNK)
		crypt_seal_chunk(ops + i, n - i < CRYPT_CHUNK ? n - i : CRYPT_CHUNK);
}

static bool crypt_open_one(const struct crypt_op *op)
{
	struct crypt *c = op->crypt;
	const struct crypt_schedule *s;
	struct parts p;
	if (c->direction != CRYPT_OPEN || !crypt_cut(op, &p) || !(s = crypt_schedule_of(c)))
		return false;
	if (crypt_icv_by_aead(c))
		return crypt_aead(op, s, &p);
	uint8_t mac[EVP_MAX_MD_SIZE];
	return crypt_hmac(op, s, (size_t)(p.icv - op->esp), mac) &&
	       mem_equal(mac, p.icv, c->integ->icv_len) && crypt_cbc(s, &p);
}

void crypt_open(struct crypt_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ops[i].ok = crypt_open_one(&ops[i]);
}
