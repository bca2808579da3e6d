/* SPDX-License-Identifier: MIT */
/* HMAC-SHA-256 truncated to 128 bits, for the MN-HA authentication extension. */
#ifndef CRYPTO_MAC_H
#define CRYPTO_MAC_H

#include <stddef.h>
#include <stdint.h>

#define MAC_LEN 16

/* 0 or -1 (the library failed). */
int mac_compute(const uint8_t *key, size_t key_len, const void *data, size_t len,
		uint8_t out[MAC_LEN]) __attribute__((warn_unused_result));

/* Unpredictable bytes; ends the process when the system has none. */
void random_bytes(void *out, size_t len);

#endif
