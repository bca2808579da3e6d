/* SPDX-License-Identifier: MIT */
/* The inside of sealing and opening: crypt.c has keys, schedules and batches, crypt_openssl.c and
 * crypt_mb.c do the work with their libraries. */
#ifndef CRYPTO_CRYPT_STATE_H
#define CRYPTO_CRYPT_STATE_H

#include <endian.h>
#include <string.h>
#include "base/cursor.h"
#include "crypto/crypt.h"

#define ESP_FIXED_LEN	   8 /* SPI and sequence number */
#define CRYPT_NUMBER_LEN   4 /* of it, right before the IV; in AH before the ICV */
#define CBC_IV_LEN	   16
#define CRYPT_IVS	   64 /* drawn by one call */
#define AEAD_NONCE_LEN	   12
#define CRYPT_ICV_MAX	   64	 /* of the untruncated kind */
#define CRYPT_LEN_MAX	   65535 /* of an IP packet; ipsec-mb counts in 16 bits */
#define CRYPT_SCHEDULE_LEN 1024	 /* of the largest: AES-GCM's of ipsec-mb */

struct crypt {
	uint64_t id; /* crypt_id */
	const struct alg *encr, *integ;
	enum crypt_direction direction;
	uint16_t key_len;
	uint8_t icv_len;
	bool ah;
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
	unsigned ivs_left; /* from the beginning of ivs */
	uint8_t ivs[CRYPT_IVS][CBC_IV_LEN];
};

extern const struct crypt_method crypt_method_openssl;
/* crypt_ah.c: with OpenSSL. */
extern const struct crypt_method crypt_method_ah;

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

/*
 * What an AEAD is given beside the packet: nonce, which is salt and IV (RFC 4106 4, RFC 7634 2),
 * and additional data, which is SPI, with ESN the high half, sequence number (RFC 4106 5, RFC
 * 7634 2.1).
 *
 * Libraries read each in one piece, and a processor that has just written it in several makes
 * them wait until all of that is in the cache: 15 ns.  So they are written in one piece too.
 */
typedef uint32_t crypt_words __attribute__((vector_size(16)));

struct crypt_beside {
	union {
		crypt_words words;
		uint8_t bytes[sizeof(crypt_words)]; /* AEAD_NONCE_LEN of them */
	} nonce;
	union {
		crypt_words words;
		uint8_t bytes[sizeof(crypt_words)];
	} aad;
	size_t aad_len;
};

static inline uint32_t crypt_word(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void crypt_beside(const struct crypt_op *op, struct crypt_beside *out)
{
	const struct crypt *c = op->crypt;
	const uint8_t *iv = crypt_iv(op), *salt = c->key + c->encr->key_len - c->encr->salt_len;
	uint32_t spi = crypt_word(op->esp), number = crypt_word(op->esp + 4);
	out->nonce.words = (crypt_words){crypt_word(salt), crypt_word(iv), crypt_word(iv + 4), 0};
	if (op->esn)
		out->aad.words = (crypt_words){spi, htobe32(op->seq_hi), number, 0};
	else
		out->aad.words = (crypt_words){spi, number, 0, 0};
	out->aad_len = op->esn ? 12 : 8;
}

#endif
