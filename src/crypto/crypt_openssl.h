/* SPDX-License-Identifier: MIT */
/* OpenSSL's contexts for one key: also for the few packets for which ipsec-mb is the slower one. */
#ifndef CRYPTO_CRYPT_OPENSSL_H
#define CRYPTO_CRYPT_OPENSSL_H

#include <openssl/evp.h>
#include "crypto/crypt_state.h"

struct crypt_contexts { /* zero: clear */
	EVP_CIPHER_CTX *cipher;
	EVP_MD_CTX *inner, *outer, *work; /* HMAC */
};

/* Of a key, in place of another one or in a clear one. */
bool crypt_contexts_make(const struct crypt *c, struct crypt_contexts *s)
    __attribute__((warn_unused_result));
void crypt_contexts_clear(struct crypt_contexts *s);
/* A packet whose length is right, with its IV. */
bool crypt_contexts_seal(const struct crypt_contexts *s, const struct crypt_op *op)
    __attribute__((warn_unused_result));
bool crypt_contexts_open(const struct crypt_contexts *s, const struct crypt_op *op)
    __attribute__((warn_unused_result));

/* HMAC of `data`, and of the high half of a packet's number behind it (NULL: none). */
bool crypt_contexts_hmac(const struct crypt_contexts *s, const uint8_t *data, size_t len,
			 const uint32_t *seq_hi, uint8_t mac[EVP_MAX_MD_SIZE])
    __attribute__((warn_unused_result));

#endif
