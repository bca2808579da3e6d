/* SPDX-License-Identifier: MIT */
/* The inside of sealing and opening: crypt.c has keys, schedules and batches, crypt_openssl.c and
 * crypt_mb.c do the work with their libraries. */
#ifndef CRYPTO_CRYPT_STATE_H
#define CRYPTO_CRYPT_STATE_H

#include <string.h>
#include "base/cursor.h"
#include "crypto/crypt.h"

#define ESP_FIXED_LEN	   8 /* SPI and sequence number */
#define CBC_IV_LEN	   16
#define AEAD_NONCE_LEN	   12
#define AEAD_AAD_MAX	   12
#define CRYPT_ICV_MAX	   64	      /* of the untruncated kind */
#define CRYPT_LEN_MAX	   (1u << 20) /* far above any packet, far below INT_MAX */
#define CRYPT_SCHEDULE_LEN 1024	      /* of the largest: AES-GCM's of ipsec-mb */

struct crypt {
	uint64_t id; /* crypt_id */
	const struct alg *encr, *integ;
	enum crypt_direction direction;
	uint16_t key_len;
	uint8_t icv_len;
	uint8_t key[]; /* for encryption with the salt at its end, then for integrity */
};

struct crypt_method;

/* What a library makes of a key. */
struct crypt_schedule {
	_Alignas(64) uint8_t room[CRYPT_SCHEDULE_LEN];
};

/* Whose schedule is in a place: apart from it, so that a look at this is in the cache. */
struct crypt_tag {
	uint64_t owner;	 /* id; 0: none */
	uint64_t wanted; /* id of the last that found another's here */
	const struct crypt_method *method;
};

struct crypt_method {
	/* s is clear, or one of this method's for another key. */
	bool (*make)(struct crypt_worker *w, const struct crypt *c, struct crypt_schedule *s);
	/* Frees what room points to and wipes it. */
	void (*clear)(struct crypt_schedule *s);
	/* Neighbours under one key whose lengths are right: ok is true, and is set to false where
	 * sealing or opening fails. */
	void (*seal)(struct crypt_worker *w, const struct crypt_schedule *s, struct crypt_op *ops,
		     size_t n);
	void (*open)(struct crypt_worker *w, const struct crypt_schedule *s, struct crypt_op *ops,
		     size_t n);
};

struct crypt_mb; /* crypt_mb.c */

struct crypt_worker {
	struct crypt_mb *mb; /* NULL: OpenSSL alone */
	char library[64];
	unsigned schedule_mask;
	/* One place for each low part of an id, and behind them one for a key that has no place of
	 * its own (yet). */
	struct crypt_schedule *schedules;
	struct crypt_tag *tags;
};

extern const struct crypt_method crypt_method_openssl;

/* NULL with err: not built in, or the processor lacks what it needs. */
struct crypt_mb *crypt_mb_new(struct err *err);
void crypt_mb_free(struct crypt_mb *mb);
bool crypt_mb_usable(void);
void crypt_mb_text(const struct crypt_mb *mb, char *out, size_t room);
/* NULL: leave it to OpenSSL. */
const struct crypt_method *crypt_mb_method(const struct crypt *c);

/* --- one packet's parts:
 *
 *   | SPI 4 | sequence 4 | IV | ciphertext: whole blocks | ICV |
 *   0                    8    8 + iv_len                 len - icv_len
 */

static inline bool crypt_is_aead(const struct crypt *c)
{
	return c->encr->kind == ALG_AEAD;
}

static inline uint8_t *crypt_iv(const struct crypt_op *op)
{
	return op->esp + ESP_FIXED_LEN;
}

static inline uint8_t *crypt_text(const struct crypt_op *op)
{
	return op->esp + ESP_FIXED_LEN + op->crypt->encr->iv_len;
}

static inline size_t crypt_text_len(const struct crypt_op *op)
{
	return op->len - ESP_FIXED_LEN - (size_t)op->crypt->encr->iv_len - op->crypt->icv_len;
}

static inline uint8_t *crypt_icv(const struct crypt_op *op)
{
	return op->esp + op->len - op->crypt->icv_len;
}

/* Salt and IV (RFC 4106 4, RFC 7634 2). */
static inline void crypt_nonce(const struct crypt_op *op, uint8_t nonce[AEAD_NONCE_LEN])
{
	const struct crypt *c = op->crypt;
	enum { SALT_LEN = 4, IV_LEN = 8 };
	memcpy(nonce, c->key + (c->encr->key_len - SALT_LEN), SALT_LEN);
	memcpy(nonce + SALT_LEN, crypt_iv(op), IV_LEN);
}

/* SPI, with ESN the high half, sequence number (RFC 4106 5, RFC 7634 2.1); returns the length. */
static inline size_t crypt_aad(const struct crypt_op *op, uint8_t aad[AEAD_AAD_MAX])
{
	struct writer w = writer_of(aad, AEAD_AAD_MAX);
	writer_bytes(&w, op->esp, 4);
	if (op->esn)
		writer_u32(&w, op->seq_hi);
	writer_bytes(&w, op->esp + 4, 4);
	return writer_len(&w);
}

#endif
