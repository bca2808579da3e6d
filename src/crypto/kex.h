/* SPDX-License-Identifier: MIT */
/*
 * Key exchange of IKEv2: MODP groups 14, 15, 16 (RFC 3526), ECP groups 19, 20, 21 (RFC 5903),
 * Curve25519, group 31 (RFC 8031).  Values are as the KE payload has them: MODP padded to the
 * prime's length, ECP as x | y without the point format, x25519 as its 32 octets.
 */
#ifndef CRYPTO_KEX_H
#define CRYPTO_KEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEX_PUBLIC_MAX 512
#define KEX_SECRET_MAX 512

struct kex_group {
	const char *name; /* "x25519", "ecp256", "modp2048": strongSwan's words */
	uint16_t ike_id;
	uint16_t public_len; /* bytes of a public value */
	uint16_t secret_len; /* of the shared one */
};
const struct kex_group *kex_by_id(uint16_t ike_id); /* NULL: not ours */
const struct kex_group *kex_by_name(const char *name);

struct kex; /* a fresh private value */
/* NULL: the library failed. */
struct kex *kex_new(const struct kex_group *g);
/* With values that are known, for published vectors.  ECP, MODP: the secret value big-endian and
 * its public value (public_len bytes); x25519: the 32 octets of the secret, public_value NULL. */
struct kex *kex_new_given(const struct kex_group *g, const uint8_t *secret, size_t secret_len,
			  const uint8_t *public_value);
void kex_free(struct kex *k); /* wipes; NULL allowed */
const struct kex_group *kex_group_of(const struct kex *k);
/* public_len bytes. */
int kex_public(const struct kex *k, uint8_t out[KEX_PUBLIC_MAX])
    __attribute__((warn_unused_result));
/* secret_len bytes.  -1: the peer's value has a wrong length, is no point of the curve, is 0, 1 or
 * p - 1, or gives the all-zero secret (RFC 6989, RFC 7748 6.1). */
int kex_shared(const struct kex *k, const uint8_t *peer, size_t len, uint8_t out[KEX_SECRET_MAX])
    __attribute__((warn_unused_result));

#endif
