/* SPDX-License-Identifier: MIT */
/*
 * The crypto benchmark.
 *
 *   crypto.c       what is measured and what is printed
 *   crypto_bare.c  the libraries called without anything of ours around them
 */
#ifndef BENCH_CRYPTO_H
#define BENCH_CRYPTO_H

#include "bench.h"
#include "crypto/crypt.h"

#define BARE_NONCE_LEN 12
#define BARE_AAD_LEN   12
#define BARE_MAC_MAX   64

/* A packet with everything that is to be known about it worked out before. */
struct bare_packet {
	uint8_t *esp, *iv, *text, *icv;
	uint32_t len, text_len;
	uint32_t hashed_len; /* by HMAC: ESN's high half is where the ICV comes */
	uint8_t nonce[BARE_NONCE_LEN], aad[BARE_AAD_LEN];
	uint8_t mac[BARE_MAC_MAX];
};

struct bare;

/* NULL: the library is not here.  integ is NULL for an AEAD. */
struct bare *bare_new(enum crypt_library library, const struct alg *encr, const struct alg *integ,
		      const uint8_t *key, enum crypt_direction direction);
void bare_free(struct bare *b);
/* Seals, or opens with the ICV computed anew in mac[] (OpenSSL's AEAD compares it itself). */
void bare_run(struct bare *b, struct bare_packet *packets, unsigned n);

#endif
