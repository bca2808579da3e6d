/* SPDX-License-Identifier: MIT */
/*
 * The registry of packet algorithms.
 *
 * One constant table says everything the rest of the program knows about an algorithm: its
 * lengths (RFC 3602, 4106, 4543, 4868, 2404, 7634, 2410), its IKEv2 transform id (IANA), and
 * whether it may be used (RFC 8221).  Algorithms that may never be used are listed too, so that
 * whoever configures one reads why and what to write instead, not "unknown".
 *
 * Constant data, any thread.
 */
#include "crypto/alg.h"

#include <strings.h>
#include "base/mem.h"

#define WHY_COUNTER_AES                                                                            \
	"AES-GCM breaks when a nonce is used twice under one key, and a restart with configured "  \
	"keys would repeat nonces (RFC 4106 section 2); write aes128-cbc or aes256-cbc with "      \
	"hmac-sha-256-128 instead"
#define WHY_COUNTER_CHACHA                                                                         \
	"ChaCha20-Poly1305 breaks when a nonce is used twice under one key, and a restart with "   \
	"configured keys would repeat nonces (as RFC 4106 section 2 says of counter modes; "       \
	"RFC 7634); write aes256-cbc with hmac-sha-256-128 instead"
#define WHY_COUNTER_GMAC                                                                           \
	"AES-GMAC breaks when a nonce is used twice under one key, and a restart with configured " \
	"keys would repeat nonces (RFC 4106 section 2, RFC 4543 section 9); write null (or "       \
	"aes256-cbc, which encrypts as well) with hmac-sha-256-128 instead"
#define WHY_DES                                                                                    \
	"DES can be broken by trying all its keys and must not be used (RFC 8221 section 5); "     \
	"write aes128-cbc or aes256-cbc instead"
#define WHY_MD5                                                                                    \
	"HMAC-MD5 is outdated and must not be used (RFC 8221 section 6); "                         \
	"write hmac-sha-256-128 instead"

static const struct alg algs[] = {
    {.name = "aes128-cbc",
     .openssl_name = "AES-128-CBC",
     .kind = ALG_ENCRYPTION,
     .key_len = 16,
     .iv_len = 16,
     .block_len = 16,
     .ike_id = 12,
     .ike_key_bits = 128},
    {.name = "aes192-cbc",
     .openssl_name = "AES-192-CBC",
     .kind = ALG_ENCRYPTION,
     .key_len = 24,
     .iv_len = 16,
     .block_len = 16,
     .ike_id = 12,
     .ike_key_bits = 192},
    {.name = "aes256-cbc",
     .openssl_name = "AES-256-CBC",
     .kind = ALG_ENCRYPTION,
     .key_len = 32,
     .iv_len = 16,
     .block_len = 16,
     .ike_id = 12,
     .ike_key_bits = 256},
    {.name = "null", .openssl_name = "", .kind = ALG_ENCRYPTION, .block_len = 4, .ike_id = 11},
    {.name = "aes128-gcm",
     .openssl_name = "AES-128-GCM",
     .kind = ALG_AEAD,
     .status = ALG_KEYS_MUST_BE_FRESH,
     .why = WHY_COUNTER_AES,
     .key_len = 20,
     .salt_len = 4,
     .iv_len = 8,
     .block_len = 4,
     .icv_len = 16,
     .ike_id = 20,
     .ike_key_bits = 128},
    {.name = "aes192-gcm",
     .openssl_name = "AES-192-GCM",
     .kind = ALG_AEAD,
     .status = ALG_KEYS_MUST_BE_FRESH,
     .why = WHY_COUNTER_AES,
     .key_len = 28,
     .salt_len = 4,
     .iv_len = 8,
     .block_len = 4,
     .icv_len = 16,
     .ike_id = 20,
     .ike_key_bits = 192},
    {.name = "aes256-gcm",
     .openssl_name = "AES-256-GCM",
     .kind = ALG_AEAD,
     .status = ALG_KEYS_MUST_BE_FRESH,
     .why = WHY_COUNTER_AES,
     .key_len = 36,
     .salt_len = 4,
     .iv_len = 8,
     .block_len = 4,
     .icv_len = 16,
     .ike_id = 20,
     .ike_key_bits = 256},
    {.name = "chacha20-poly1305",
     .openssl_name = "ChaCha20-Poly1305",
     .kind = ALG_AEAD,
     .status = ALG_KEYS_MUST_BE_FRESH,
     .why = WHY_COUNTER_CHACHA,
     .key_len = 36,
     .salt_len = 4,
     .iv_len = 8,
     .block_len = 4,
     .icv_len = 16,
     .ike_id = 28},
    {.name = "aes128-gmac",
     .openssl_name = "AES-128-GCM",
     .kind = ALG_AEAD,
     .status = ALG_KEYS_MUST_BE_FRESH,
     .why = WHY_COUNTER_GMAC,
     .encrypts_nothing = true,
     .key_len = 20,
     .salt_len = 4,
     .iv_len = 8,
     .block_len = 4,
     .icv_len = 16,
     .ike_id = 21,
     .ike_key_bits = 128},
    {.name = "aes192-gmac",
     .openssl_name = "AES-192-GCM",
     .kind = ALG_AEAD,
     .status = ALG_KEYS_MUST_BE_FRESH,
     .why = WHY_COUNTER_GMAC,
     .encrypts_nothing = true,
     .key_len = 28,
     .salt_len = 4,
     .iv_len = 8,
     .block_len = 4,
     .icv_len = 16,
     .ike_id = 21,
     .ike_key_bits = 192},
    {.name = "aes256-gmac",
     .openssl_name = "AES-256-GCM",
     .kind = ALG_AEAD,
     .status = ALG_KEYS_MUST_BE_FRESH,
     .why = WHY_COUNTER_GMAC,
     .encrypts_nothing = true,
     .key_len = 36,
     .salt_len = 4,
     .iv_len = 8,
     .block_len = 4,
     .icv_len = 16,
     .ike_id = 21,
     .ike_key_bits = 256},
    {.name = "hmac-sha-256-128",
     .openssl_name = "SHA2-256",
     .kind = ALG_INTEGRITY,
     .key_len = 32,
     .block_len = 4,
     .icv_len = 16,
     .ike_id = 12},
    {.name = "hmac-sha-384-192",
     .openssl_name = "SHA2-384",
     .kind = ALG_INTEGRITY,
     .key_len = 48,
     .block_len = 4,
     .icv_len = 24,
     .ike_id = 13},
    {.name = "hmac-sha-512-256",
     .openssl_name = "SHA2-512",
     .kind = ALG_INTEGRITY,
     .key_len = 64,
     .block_len = 4,
     .icv_len = 32,
     .ike_id = 14},
    {.name = "hmac-sha-1-96",
     .openssl_name = "SHA1",
     .kind = ALG_INTEGRITY,
     .key_len = 20,
     .block_len = 4,
     .icv_len = 12,
     .ike_id = 2},
    {.name = "des-cbc",
     .openssl_name = "DES-CBC",
     .kind = ALG_ENCRYPTION,
     .status = ALG_FORBIDDEN,
     .why = WHY_DES,
     .key_len = 8,
     .iv_len = 8,
     .block_len = 8,
     .ike_id = 2},
    {.name = "hmac-md5-96",
     .openssl_name = "MD5",
     .kind = ALG_INTEGRITY,
     .status = ALG_FORBIDDEN,
     .why = WHY_MD5,
     .key_len = 16,
     .block_len = 4,
     .icv_len = 12,
     .ike_id = 1},
};

/* What other people's configurations call them. */
static const struct {
	const char *alias, *name;
} aliases[] = {
    {"aes128", "aes128-cbc"},
    {"aes-128-cbc", "aes128-cbc"},
    {"aes-cbc-128", "aes128-cbc"},
    {"aes192", "aes192-cbc"},
    {"aes-192-cbc", "aes192-cbc"},
    {"aes-cbc-192", "aes192-cbc"},
    {"aes256", "aes256-cbc"},
    {"aes-256-cbc", "aes256-cbc"},
    {"aes-cbc-256", "aes256-cbc"},
    {"aes-128-gcm", "aes128-gcm"},
    {"aes-gcm-128", "aes128-gcm"},
    {"aes128gcm16", "aes128-gcm"},
    {"aes-192-gcm", "aes192-gcm"},
    {"aes-gcm-192", "aes192-gcm"},
    {"aes192gcm16", "aes192-gcm"},
    {"aes-256-gcm", "aes256-gcm"},
    {"aes-gcm-256", "aes256-gcm"},
    {"aes256gcm16", "aes256-gcm"},
    {"chacha20poly1305", "chacha20-poly1305"},
    {"aes128gmac", "aes128-gmac"},
    {"aes-128-gmac", "aes128-gmac"},
    {"aes192gmac", "aes192-gmac"},
    {"aes-192-gmac", "aes192-gmac"},
    {"aes256gmac", "aes256-gmac"},
    {"aes-256-gmac", "aes256-gmac"},
    {"sha1", "hmac-sha-1-96"},
    {"hmac-sha1-96", "hmac-sha-1-96"},
    {"sha256", "hmac-sha-256-128"},
    {"hmac-sha256-128", "hmac-sha-256-128"},
    {"hmac-sha2-256-128", "hmac-sha-256-128"},
    {"sha384", "hmac-sha-384-192"},
    {"hmac-sha384-192", "hmac-sha-384-192"},
    {"hmac-sha2-384-192", "hmac-sha-384-192"},
    {"sha512", "hmac-sha-512-256"},
    {"hmac-sha512-256", "hmac-sha-512-256"},
    {"hmac-sha2-512-256", "hmac-sha-512-256"},
    {"des", "des-cbc"},
    {"md5", "hmac-md5-96"},
    {"hmac-md5", "hmac-md5-96"},
};

const struct alg *alg_at(size_t i)
{
	return i < ARRAY_LEN(algs) ? &algs[i] : NULL;
}

const struct alg *alg_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
		if (strcasecmp(name, aliases[i].alias) == 0) {
			name = aliases[i].name;
			break;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		if (strcasecmp(name, algs[i].name) == 0)
			return &algs[i];
	}
	return NULL;
}
