/* SPDX-License-Identifier: MIT */
/* The registry of packet algorithms: what they are called, how long their parts are, and
 * whether they may be used. */
#ifndef CRYPTO_ALG_H
#define CRYPTO_ALG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum alg_kind { ALG_ENCRYPTION, ALG_AEAD, ALG_INTEGRITY };

enum alg_status {
	ALG_USABLE,
	ALG_KEYS_MUST_BE_FRESH, /* counter modes: never with configured keys (RFC 4106 2) */
	ALG_FORBIDDEN,		/* RFC 8221 MUST NOT */
};

struct alg {
	const char *name;	  /* "aes128-cbc", "aes256-gcm", "hmac-sha-256-128", "null", ... */
	const char *openssl_name; /* of the cipher or digest */
	enum alg_kind kind;
	enum alg_status status;
	const char *why;       /* when it may not be used (always or with configured keys) */
	bool encrypts_nothing; /* an AEAD that has additional data alone: AES-GMAC (RFC 4543) */
	uint8_t key_len;       /* bytes; AEAD: salt included */
	uint8_t salt_len;
	uint8_t iv_len;
	uint8_t block_len; /* padding granularity: 16 for CBC, 4 otherwise */
	uint8_t icv_len;   /* 0 for plain encryption */
	uint16_t ike_id;   /* IANA IKEv2 transform id */
	uint16_t ike_key_bits;
};

/* By name (also the aliases "aes-128-cbc", "sha256", ...); NULL when unknown. */
const struct alg *alg_find(const char *name);
/* i = 0, 1, ...; NULL past the end. */
const struct alg *alg_at(size_t i);

#endif
