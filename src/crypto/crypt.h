/* SPDX-License-Identifier: MIT */
/*
 * Sealing and opening ESP packets, in batches.
 *
 * A struct crypt is one direction's key of one SA: it never changes, and any thread may use it.  A
 * struct crypt_worker is what one thread needs to use keys: the library's state, and a table of key
 * schedules that is bounded however many SAs there are.  Sealing and opening allocate nothing where
 * intel-ipsec-mb does them; OpenSSL allocates when a key takes the place of another algorithm's.
 *
 * Packets are whole ESP packets in place: SPI, sequence, room for the IV, payload with
 * padding and trailer, room for the ICV.  Or they are protected by AH: outer IP header with what
 * is mutable zero, authentication header with room for the ICV, payload.  RFC 4303 (3.3.2,
 * ESN 2.2.1), RFC 3602, RFC 4106, RFC 7634, RFC 4543, RFC 4868, RFC 2404, RFC 2410.
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
/* The same for AH (RFC 4302): integ is an integrity algorithm, or AES-GMAC (RFC 4543 4). */
struct crypt *crypt_new_ah(const struct alg *integ, const uint8_t *key, size_t key_len,
			   enum crypt_direction direction, struct err *err);
/* Wipes; NULL allowed.  Workers that used it forget it first (crypt_worker_forget). */
void crypt_free(struct crypt *c);

/* What it was made with; for AH integ alone counts (AES-GMAC: encr). */
const struct alg *crypt_encr(const struct crypt *c);
const struct alg *crypt_integ(const struct crypt *c); /* NULL: none */
/* It lies in more than one cache line. */
bool crypt_is_long(const struct crypt *c);
/* Never that of another, also when this one is gone. */
uint64_t crypt_id(const struct crypt *c);

/* Whose code does it: ipsec-mb where it was built in and the processor has AES instructions,
 * OpenSSL everywhere. */
enum crypt_library { CRYPT_LIBRARY_BEST, CRYPT_LIBRARY_OPENSSL, CRYPT_LIBRARY_IPSEC_MB };

/* May be asked of crypt_worker_new here. */
bool crypt_library_usable(enum crypt_library library);

struct crypt_worker;

#define CRYPT_SCHEDULES                                                                            \
	4096 /* that a worker keeps unless told otherwise: 4.3 MiB when all used                   \
	      */

/* schedules: a power of two; 0: CRYPT_SCHEDULES.  NULL with err: the library is not usable here. */
struct crypt_worker *crypt_worker_new(enum crypt_library library, unsigned schedules,
				      struct err *err);
void crypt_worker_free(struct crypt_worker *w); /* wipes; NULL allowed */
/* "intel-ipsec-mb 1.3.0, AVX-512" or "OpenSSL 3.0.17": what does AES-GCM. */
const char *crypt_worker_library(const struct crypt_worker *w);
/* Wipes what the worker made of the key with this id.  Of the worker's thread. */
void crypt_worker_forget(struct crypt_worker *w, uint64_t id);

struct crypt_op {
	const struct crypt *crypt;
	uint8_t *esp;	 /* the packet, from its SPI; AH: from its outer IP header */
	uint32_t len;	 /* to the end of the ICV */
	uint32_t seq_hi; /* high half of the sequence number, used when esn */
	bool esn;
	bool ok; /* set by both calls */
	/* AH: where in the packet the ICV is, which what it covers is around; its key is one of
	 * crypt_new_ah.  0: ESP. */
	uint16_t icv_at;
};

/* Fills in IVs and ICVs and encrypts.  CBC's IVs are unpredictable; AEAD's are the 64-bit
 * sequence number, which never repeats under one key (seq_hi 0 when not esn).  Neighbours under
 * one key are sealed together. */
void crypt_seal(struct crypt_worker *w, struct crypt_op *ops, size_t n);

/* Verifies, then decrypts in place; a packet whose ICV is wrong is left as it was (an AEAD's
 * bytes may be garbage) with ok = false.  Also false: too short, not a multiple of the block. */
void crypt_open(struct crypt_worker *w, struct crypt_op *ops, size_t n);

#endif
