/* SPDX-License-Identifier: MIT */
/*
 * MD4 (RFC 1320) and DES, which MS-CHAPv2 (RFC 2759) is made of and nothing else here may use: they
 * protect nothing any more.
 */
#ifndef CRYPTO_LEGACY_H
#define CRYPTO_LEGACY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEGACY_MD4_LEN	   16
#define LEGACY_DES_KEY_LEN 7 /* 56 bits, without parity */
#define LEGACY_DES_LEN	   8

/* Loads them; the first use does so too.  False: the library has no such provider here (a file of
 * its own, out of a confined process's reach). */
bool legacy_load(void);
/* 0 or -ENOTSUP. */
int legacy_md4(const void *data, size_t len, uint8_t out[LEGACY_MD4_LEN])
    __attribute__((warn_unused_result));
/* One block. */
int legacy_des(const uint8_t key[LEGACY_DES_KEY_LEN], const uint8_t in[LEGACY_DES_LEN],
	       uint8_t out[LEGACY_DES_LEN]) __attribute__((warn_unused_result));

#endif
