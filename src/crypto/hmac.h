/* SPDX-License-Identifier: MIT */
/*
 * HMAC (RFC 2104) over several parts, by digest states: the state after a key's inner and outer
 * pad is made once and copied for each message.  Owned by one thread at a time.
 */
#ifndef CRYPTO_HMAC_H
#define CRYPTO_HMAC_H

#include <stdbool.h>
#include <openssl/evp.h>
#include "crypto/prf.h"

#define HMAC_LEN_MAX 64

struct hmac {
	EVP_MD_CTX *inner, *outer, *work;
};
/* Any key length (longer than a block: hashed first).  False: the library failed.  The caller calls
 * hmac_end either way. */
bool hmac_begin(struct hmac *h, const EVP_MD *md, const void *key, size_t key_len);
/* The digest's whole length. */
bool hmac_compute(struct hmac *h, const struct chunk *parts, size_t count,
		  uint8_t out[HMAC_LEN_MAX]);
void hmac_end(struct hmac *h); /* wipes */

/* One message under a key: cheaper than the three above. */
bool hmac_once(const EVP_MD *md, const void *key, size_t key_len, const struct chunk *parts,
	       size_t count, uint8_t out[HMAC_LEN_MAX]);

#endif
