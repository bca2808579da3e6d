/* SPDX-License-Identifier: MIT */
/* The arithmetic of MS-CHAPv2: RFC 2759 section 8, and the keys of RFC 3079 section 3. */
#ifndef IKE_MSCHAP_H
#define IKE_MSCHAP_H

#include <stdbool.h>
#include <stdint.h>

#define MSCHAP_CHALLENGE_LEN	16
#define MSCHAP_HASH_LEN		16
#define MSCHAP_RESPONSE_LEN	24
#define MSCHAP_PROOF_LEN	20 /* the authenticator response, as octets */
#define MSCHAP_PASSWORD_CHARS	256
#define MSCHAP_MASTER_KEY_LEN	16
#define MSCHAP_SESSION_KEYS_LEN 32

/* Loads MD4 and DES, once for the process; later it's cheap.  False: the cryptographic library has
 * no legacy provider. */
bool mschap_load(void);

/* What a side knows before the response: the challenges (RFC 2759 4) and the user, a domain before
 * a backslash included.  Borrowed. */
struct mschap {
	const uint8_t *authenticator, *peer; /* challenges */
	const char *user;
};

/* All of these: 0, or -1 when the library failed. */

/* NtPasswordHash.  password: UTF-8; one that is malformed or too long: -1 too. */
int mschap_nt_hash(const char *password, uint8_t out[MSCHAP_HASH_LEN])
    __attribute__((warn_unused_result));
/* GenerateNTResponse. */
int mschap_response(const struct mschap *m, const uint8_t nt_hash[MSCHAP_HASH_LEN],
		    uint8_t out[MSCHAP_RESPONSE_LEN]) __attribute__((warn_unused_result));
/* GenerateAuthenticatorResponse: the octets behind "S=". */
int mschap_proof(const struct mschap *m, const uint8_t nt_hash[MSCHAP_HASH_LEN],
		 const uint8_t response[MSCHAP_RESPONSE_LEN], uint8_t out[MSCHAP_PROOF_LEN])
    __attribute__((warn_unused_result));
/* RFC 3079 3.4 GetMasterKey. */
int mschap_master_key(const uint8_t nt_hash[MSCHAP_HASH_LEN],
		      const uint8_t response[MSCHAP_RESPONSE_LEN],
		      uint8_t out[MSCHAP_MASTER_KEY_LEN]) __attribute__((warn_unused_result));
/* The server's receive key and send key of 128 bits, one behind the other: how EAP's MSK begins. */
int mschap_session_keys(const uint8_t master[MSCHAP_MASTER_KEY_LEN],
			uint8_t out[MSCHAP_SESSION_KEYS_LEN]) __attribute__((warn_unused_result));

#endif
