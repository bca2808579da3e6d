/* SPDX-License-Identifier: MIT */
/*
 * HMAC-SHA-256 truncated to 128 bits (RFC 2104, RFC 6234), for the MN-HA authentication
 * extension, and random bytes.
 *
 * Control side only: the library allocates.  Any thread.
 */
#include "crypto/mac.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include "base/mem.h"

int mac_compute(const uint8_t *key, size_t key_len, const void *data, size_t len,
		uint8_t out[MAC_LEN])
{
	uint8_t whole[32];
	size_t whole_len = 0;
	/* A null key pointer means "no key" to the library, not an empty one. */
	const uint8_t *k = key_len ? key : (const uint8_t *)"";
	if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA2-256", NULL, k, key_len, data, len, whole,
		       sizeof(whole), &whole_len) ||
	    whole_len != sizeof(whole))
		return -1;
	memcpy(out, whole, MAC_LEN);
	mem_wipe(whole, sizeof(whole));
	return 0;
}

void random_bytes(void *out, size_t len)
{
	uint8_t *p = out;
	while (len > 0) {
		int part = len > INT_MAX ? INT_MAX : (int)len;
		if (RAND_bytes(p, part) != 1) {
			/* Going on with predictable bytes would be worse than ending. */
			fputs("crypto: the system gives no random numbers; ending\n", stderr);
			abort();
		}
		p += part;
		len -= (size_t)part;
	}
}
