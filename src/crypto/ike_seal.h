/* SPDX-License-Identifier: MIT */
/*
 * Protection of IKE messages: the SK and SKF payloads (RFC 7296 3.14, RFC 5282 for AEAD,
 * RFC 7383).  No state is kept: keys are raw, so that an idle IKE SA costs its keys and no more.
 */
#ifndef CRYPTO_IKE_SEAL_H
#define CRYPTO_IKE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "crypto/alg.h"

#define IKE_SEAL_KEY_MAX 36 /* encryption key with salt */
#define IKE_SEAL_MAC_MAX 64

/* One direction of an IKE SA.  integ NULL exactly for an AEAD. */
struct ike_seal {
	const struct alg *encr, *integ;
	uint8_t encr_key[IKE_SEAL_KEY_MAX]; /* alg->key_len: salt at its end (RFC 5282 7.1) */
	uint8_t integ_key[IKE_SEAL_MAC_MAX];
};
/* Bytes of key each part of the IKE SA wants. */
size_t ike_seal_encr_key_len(const struct alg *encr);
size_t ike_seal_integ_key_len(const struct alg *integ); /* 0 for NULL */
/* Octets that sealing adds to `len` octets of payloads: IV, padding, pad length, ICV. */
size_t ike_seal_overhead(const struct ike_seal *s, size_t len);

/* `msg` holds the message up to the SK payload's body (header_len: IKE header, generic header and,
 * for SKF, the fragment's numbers, all with their final lengths already), then room for the IV,
 * then `inner_len` octets of payloads at msg + header_len + iv_len.  Fills in IV, padding and ICV;
 * returns the message's whole length, header_len + inner_len + overhead.  0: the library failed or
 * `room` is short.  `iv_counter` makes the AEAD's IV: never twice the same under one key. */
size_t ike_seal(const struct ike_seal *s, uint8_t *msg, size_t room, size_t header_len,
		size_t inner_len, uint64_t iv_counter) __attribute__((warn_unused_result));

/* msg_len octets whose first header_len are the headers as above.  Verifies, then decrypts in
 * place; gives where the payloads are.  False: not authentic; msg may be garbage then, so give a
 * copy of what must be kept. */
bool ike_open(const struct ike_seal *s, uint8_t *msg, size_t msg_len, size_t header_len,
	      uint8_t **inner, size_t *inner_len) __attribute__((warn_unused_result));

#endif
