/* SPDX-License-Identifier: MIT */
/* What the files behind cert.h share; nobody else includes it. */
#ifndef CRYPTO_CERT_STATE_H
#define CRYPTO_CERT_STATE_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "crypto/cert.h"

#define CERT_NAME_MAX  160
#define CERT_TIME_MAX  32
#define CERT_PRINT_LEN 32 /* SHA-256 of a certificate */

/* --- cert_x509.c: one certificate */

enum cert_key_kind {
	CERT_KEY_NONE,
	CERT_KEY_RSA,
	CERT_KEY_RSA_PSS, /* the key itself forbids PKCS #1 */
	CERT_KEY_P256,
	CERT_KEY_P384,
	CERT_KEY_P521,
	CERT_KEY_ED25519,
};
/* NONE, with err ("RSA with 1024 bits"): a key that is weak or not ours.  key may be NULL. */
enum cert_key_kind cert_key_kind(const EVP_PKEY *key, struct err *err);
/* "RSA", "ECDSA P-256", ... */
const char *cert_key_kind_text(enum cert_key_kind kind);
/* Does a signature algorithm of a certificate or CRL hash with SHA-2?  Else err ("SHA1"). */
bool cert_digest_is_good(const X509_ALGOR *alg, struct err *err);

/* One certificate that fills the octets; NULL: malformed. */
X509 *cert_parse_der(const uint8_t *der, size_t len);
/* PEM (any number, other blocks skipped) or one of DER; at least one.  NULL with err. */
STACK_OF(X509) * cert_parse_all(const void *data, size_t len, struct err *err);
/* For OpenSSL's readers of PEM: never asks a terminal for a password. */
int cert_no_password(char *buf, int room, int writing, void *arg);

/* The subject, or the serial number when that is empty.  Returns buf. */
const char *cert_name(const X509 *x, char buf[CERT_NAME_MAX]);
const char *cert_issuer_name(const X509 *x, char buf[CERT_NAME_MAX]);
const char *cert_dn_text(const X509_NAME *name, char buf[CERT_NAME_MAX]);
/* san: the certificate's subjectAltName, or NULL. */
bool cert_has_identity(const X509 *x, const GENERAL_NAMES *san, const struct identity *i);
/* Owned by the caller; NULL: none, or malformed, or twice. */
GENERAL_NAMES *cert_alt_names(const X509 *x);
/* Since 1970; before it, and malformed, 0. */
uint64_t cert_time_us(const ASN1_TIME *t);
const char *cert_time_text(const ASN1_TIME *t, char buf[CERT_TIME_MAX]);

/* --- cert_sign.c */

/* Verifies an AUTH payload's data by a certificate's key; `name` is for err. */
bool cert_key_verify(EVP_PKEY *key, enum cert_key_kind kind, const char *name, uint8_t method,
		     const struct chunk *auth, uint32_t allowed_hashes, const struct chunk *parts,
		     size_t count, struct err *err) __attribute__((warn_unused_result));

struct cert_own {
	X509 *certs[CERT_CHAIN_MAX];
	uint8_t *der[CERT_CHAIN_MAX];
	size_t der_len[CERT_CHAIN_MAX];
	unsigned count;
	EVP_PKEY *key;
	enum cert_key_kind kind;
	EVP_PKEY_CTX *ecdsa; /* made once: setting one up costs a fifth of a signature */
	GENERAL_NAMES *san;
};

/* --- cert_trust.c and cert_verify.c */

/* Verified once; shared by the cache and those who hold it. */
struct cert_peer {
	unsigned refs;
	uint8_t print[CERT_PRINT_LEN]; /* SHA-256 of the certificate */
	STACK_OF(X509) * chain;	       /* the peer's first, the trusted CA last */
	X509 *cert;		       /* borrowed from the chain */
	EVP_PKEY *key;		       /* borrowed from the certificate */
	enum cert_key_kind kind;
	GENERAL_NAMES *san;
	uint64_t from_us, until_us; /* when every certificate of the chain is valid */
};

struct cert_crl {
	struct cert_crl *next;
	X509_CRL *crl;
	uint64_t from_us, until_us;
	X509 *issuer; /* whose signature fits; NULL: not found yet */
};

#define CERT_CACHE_SLOTS 512

struct cert_trust {
	X509_STORE *store;
	STACK_OF(X509) * cas;
	uint8_t (*hashes)[20]; /* of each CA's SubjectPublicKeyInfo */
	size_t ca_count;
	struct cert_crl *crls;
	bool strict;
	/* Verified certificates, by their print.  A setup's greatest cost beside the mathematics is
	 * OpenSSL's decoding of a public key, and terminals come back. */
	struct cert_peer **cache;
};

/* Is the certificate a CA's, by basicConstraints and keyUsage? */
bool cert_is_ca(X509 *x);
/* No CRL revokes one of the chain (and, strict, each has one).  -1 with err. */
int cert_trust_check_crls(const struct cert_trust *t, const STACK_OF(X509) * chain,
			  uint64_t wall_us, struct err *err) __attribute__((warn_unused_result));

#endif
