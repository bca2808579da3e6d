/* SPDX-License-Identifier: MIT */
/* Pseudorandom functions of IKEv2 (RFC 7296 2.13): HMAC-SHA-2 (RFC 4868), HMAC-SHA-1 (RFC 2104) for
 * old peers only, and prf+. */
#ifndef CRYPTO_PRF_H
#define CRYPTO_PRF_H

#include <stddef.h>
#include <stdint.h>

#define PRF_LEN_MAX 64

struct prf {
	const char *name;	  /* "prfsha256", strongSwan's word */
	const char *openssl_name; /* digest */
	uint16_t ike_id;	  /* 5, 6, 7; 2 */
	uint8_t len;		  /* bytes of output and preferred key */
};
const struct prf *prf_by_id(uint16_t ike_id); /* NULL: not ours */
const struct prf *prf_by_name(const char *name);

struct chunk {
	const void *data;
	size_t len;
};
/* prf(key, parts one after the other).  0, or -1: the library failed. */
int prf_compute(const struct prf *p, const void *key, size_t key_len, const struct chunk *parts,
		size_t count, uint8_t out[PRF_LEN_MAX]) __attribute__((warn_unused_result));
/* prf+ (RFC 7296 2.13) into `len` bytes (at most 255 outputs, and 16 parts of a seed). */
int prf_plus(const struct prf *p, const void *key, size_t key_len, const struct chunk *seed,
	     size_t count, uint8_t *out, size_t len) __attribute__((warn_unused_result));
/* Plain digest: "SHA1", "SHA256", ...  0 or -1. */
int digest_compute(const char *openssl_name, const struct chunk *parts, size_t count, uint8_t *out,
		   size_t *out_len) __attribute__((warn_unused_result));

#endif
