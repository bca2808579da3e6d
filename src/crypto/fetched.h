/* SPDX-License-Identifier: MIT */
/*
 * The digests and ciphers of IKE, fetched from the library's providers once for the process: a
 * fetch costs more than the hashing of a short message.  Borrowed for ever; any thread.
 */
#ifndef CRYPTO_FETCHED_H
#define CRYPTO_FETCHED_H

#include <openssl/evp.h>

/* By the library's name as struct alg and struct prf have it ("SHA2-256", "SHA1", "AES-128-GCM").
 * NULL: not one of IKE's, or the library does not have it. */
const EVP_MD *fetched_digest(const char *openssl_name);
const EVP_CIPHER *fetched_cipher(const char *openssl_name);

#endif
