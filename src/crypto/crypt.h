/* SPDX-License-Identifier: MIT */
/*
 * Sealing and opening ESP packets, in batches.
 *
 * A struct crypt is one direction's key schedule for one SA.  It holds library state that is
 * changed by use: one thread uses it at a time.  That state is made with the first packet; nothing
 * is allocated for those after it.
 *
 * Packets are whole ESP packets in place: SPI, sequence, room for the IV, payload with
 * padding and trailer, room for the ICV.  RFC 4303 (3.3.2, ESN 2.2.1), RFC 3602, RFC 4106,
 * RFC 7634, RFC 4868, RFC 2404, RFC 2410.
 */
#ifndef CRYPTO_CRYPT_H
#define CRYPTO_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "crypto/alg.h"

struct crypt;

enum crypt_direction { CRYPT_SEAL, CRYPT_OPEN };

/* Bytes of key that encr and integ want together: encryption key (with salt for an AEAD),
 * then integrity key.  integ is NULL exactly for an AEAD. */
size_t crypt_key_len(const struct alg *encr, const struct alg *integ);

/* NULL with err set: key_len is not crypt_key_len(), an algorithm is forbidden, or the
 * library refuses.  The key is copied; the caller wipes its own. */
struct crypt *crypt_new(const struct alg *encr, const struct alg *integ, const uint8_t *key,
			size_t key_len, enum crypt_direction direction, struct err *err);
void crypt_free(struct crypt *c); /* wipes; NULL allowed */

/* What the library needs for packets is made with the first one.  This takes it away, from any
 * thread; the next packet makes it again.  NULL: there is none.  It may be in use by the thread of
 * the packets until that has left the call it was in: crypt_schedule_free is for then. */
struct crypt_schedule;
struct crypt_schedule *crypt_rest(struct crypt *c) __attribute__((warn_unused_result));
void crypt_schedule_free(struct crypt_schedule *s); /* NULL allowed */

struct crypt_op {
	struct crypt *crypt;
	uint8_t *esp;	 /* the packet, from its SPI */
	uint32_t len;	 /* to the end of the ICV */
	uint32_t seq_hi; /* high half of the sequence number, used when esn */
	bool esn;
	bool ok; /* set by both calls */
};

/* Fills in IVs and ICVs and encrypts.  CBC's IVs are unpredictable; AEAD's are the 64-bit
 * sequence number, which never repeats under one key (seq_hi 0 when not esn). */
void crypt_seal(struct crypt_op *ops, size_t n);

/* Verifies, then decrypts in place; a packet whose ICV is wrong is left as it was (an AEAD's
 * bytes may be garbage) with ok = false.  Also false: too short, not a multiple of the block. */
void crypt_open(struct crypt_op *ops, size_t n);

#endif
