/* SPDX-License-Identifier: MIT */
/*
 * Digests and ciphers that are fetched once.
 *
 * The tables are filled under pthread_once and constant from then on.  They are never given back:
 * the process needs them until its end.
 */
#include "crypto/fetched.h"

#include <pthread.h>
#include <strings.h>
#include "base/mem.h"

static struct {
	const char *name, *alias; /* alias: the word without "2-" that RFCs use */
	EVP_MD *md;
} digests[] = {
    {.name = "SHA2-256", .alias = "SHA256"},
    {.name = "SHA2-384", .alias = "SHA384"},
    {.name = "SHA2-512", .alias = "SHA512"},
    {.name = "SHA1", .alias = "SHA-1"},
};

static struct {
	const char *name;
	EVP_CIPHER *cipher;
} ciphers[] = {
    {.name = "AES-128-GCM"},	   {.name = "AES-192-GCM"}, {.name = "AES-256-GCM"},
    {.name = "AES-128-CBC"},	   {.name = "AES-192-CBC"}, {.name = "AES-256-CBC"},
    {.name = "ChaCha20-Poly1305"},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetched_fill(void)
{
	for (size_t i = 0; i < ARRAY_LEN(digests); i++)
		digests[i].md = EVP_MD_fetch(NULL, digests[i].name, NULL);
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
		ciphers[i].cipher = EVP_CIPHER_fetch(NULL, ciphers[i].name, NULL);
}

const EVP_MD *fetched_digest(const char *openssl_name)
{
	pthread_once(&once, fetched_fill);
	for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
		if (strcasecmp(openssl_name, digests[i].name) == 0 ||
		    strcasecmp(openssl_name, digests[i].alias) == 0)
			return digests[i].md;
	}
	return NULL;
}

const EVP_CIPHER *fetched_cipher(const char *openssl_name)
{
	pthread_once(&once, fetched_fill);
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
		if (strcasecmp(openssl_name, ciphers[i].name) == 0)
			return ciphers[i].cipher;
	}
	return NULL;
}
