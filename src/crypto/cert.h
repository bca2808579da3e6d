/* SPDX-License-Identifier: MIT */
/*
 * Certificates and signatures for IKE authentication (RFC 7296 2.15, RFC 7427, RFC 4945).
 *
 * All material is given as PEM (or DER) bytes that the caller read: nothing here opens a file.
 * A cert_own, and a cert_trust with all its cert_peers, are used by one thread at a time; a
 * cert_peer may outlive its cert_trust.
 * Own keys: RSA (2048 bits and more), ECDSA P-256, P-384, P-521, Ed25519.
 */
#ifndef CRYPTO_CERT_H
#define CRYPTO_CERT_H

#include "base/clock.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "crypto/prf.h"

/* AUTH methods (RFC 7296 3.8, RFC 4754, RFC 7427). */
enum cert_auth_method {
	CERT_AUTH_RSA_SHA1 = 1, /* RSASSA-PKCS1-v1_5 with SHA-1: verified never, made never */
	CERT_AUTH_ECDSA_256 = 9,
	CERT_AUTH_ECDSA_384 = 10,
	CERT_AUTH_ECDSA_521 = 11,
	CERT_AUTH_DIGITAL_SIGNATURE = 14,
};
/* RFC 7427 hash identifiers, as bits 1 << id: SHA2-256 2, 384 3, 512 4, Identity (Ed25519) 5. */
#define CERT_HASH_SHA256   (1u << 2)
#define CERT_HASH_SHA384   (1u << 3)
#define CERT_HASH_SHA512   (1u << 4)
#define CERT_HASH_IDENTITY (1u << 5)
#define CERT_HASHES_ALL                                                                            \
	(CERT_HASH_SHA256 | CERT_HASH_SHA384 | CERT_HASH_SHA512 | CERT_HASH_IDENTITY)

/* Loads what certificates load lazily (part of crypto_warm_up). */
void cert_warm_up(void);

#define CERT_SIGNATURE_MAX 2048
#define CERT_CHAIN_MAX	   8

/* --- what proves us */
struct cert_own;
/* cert: our certificate, then its chain without the root.  The key must fit it.  NULL with err. */
struct cert_own *cert_own_new(const void *cert, size_t cert_len, const void *key, size_t key_len,
			      struct err *err);
void cert_own_free(struct cert_own *o);
/* DER of the i-th certificate, ours first; NULL past the end.  Borrowed. */
const uint8_t *cert_own_der(const struct cert_own *o, unsigned i, size_t *len);
bool cert_own_has_identity(const struct cert_own *o, const struct identity *i);
/* The subject as an identity of type DN (owned by the caller); NULL: empty or too long. */
struct identity *cert_own_subject(const struct cert_own *o);
bool cert_own_is_rsa(const struct cert_own *o);

/* Signs the parts.  peer_hashes: bits the peer announced (0: it knows RFC 7296's methods only:
 * ECDSA goes by method 9..11, RSA and Ed25519 are refused).  rsa_pss: PSS rather than PKCS #1.
 * Gives the method, and the AUTH payload's data: for method 14 the ASN.1 length octet,
 * AlgorithmIdentifier and signature.  0, or -1 with err. */
int cert_sign(const struct cert_own *o, uint32_t peer_hashes, bool rsa_pss,
	      const struct chunk *parts, size_t count, uint8_t *method,
	      uint8_t out[CERT_SIGNATURE_MAX], size_t *out_len, struct err *err)
    __attribute__((warn_unused_result));

/* --- whom we believe */
struct cert_trust;
struct cert_trust *cert_trust_new(void);
void cert_trust_free(struct cert_trust *t);
/* PEM (several) or DER.  0, or -1 with err. */
int cert_trust_add_ca(struct cert_trust *t, const void *data, size_t len, struct err *err);
/* PEM (several) or DER.  A CRL counts when its issuer's signature fits.  Past its nextUpdate it
 * still revokes what it lists, and no longer shows that the others are good. */
int cert_trust_add_crl(struct cert_trust *t, const void *data, size_t len, struct err *err);
/* strict: a certificate whose issuer has no current CRL is refused.  Default: no. */
void cert_trust_require_crl(struct cert_trust *t, bool strict);
/* SHA-1 of the CAs' SubjectPublicKeyInfo, for CERTREQ (RFC 7296 3.7); returns octets written. */
size_t cert_trust_hashes(const struct cert_trust *t, uint8_t *out, size_t room);

/* A peer's certificate that was verified up to a CA. */
struct cert_peer;
struct cert_der {
	const uint8_t *data;
	size_t len;
};
/* certs[0] is the peer's, the others may help.  Checked: chain to a CA of t (any CA that was added,
 * a root or not), times against wall_us, basicConstraints, keyUsage, key and digest sizes (RSA >=
 * 2048, no MD5 or SHA-1), name constraints, CRLs, and extendedKeyUsage when present (any,
 * id-kp-ipsecIKE, serverAuth or clientAuth).  NULL with err: says which certificate and why, e.g.
 * "certificate CN=... expired". */
struct cert_peer *cert_verify(const struct cert_trust *t, const struct cert_der *certs,
			      size_t count, uint64_t wall_us, struct err *err);
void cert_peer_free(struct cert_peer *p);
/* The identity is the subject (DN) or a subjectAltName of its type; wildcards in certificates are
 * not believed. */
bool cert_peer_has_identity(const struct cert_peer *p, const struct identity *i);
/* allowed_hashes: bits we announced.  Verifies an AUTH payload's data of a method; SHA-1 never. */
bool cert_peer_verify(const struct cert_peer *p, uint8_t method, const uint8_t *auth,
		      size_t auth_len, uint32_t allowed_hashes, const struct chunk *parts,
		      size_t count, struct err *err) __attribute__((warn_unused_result));

#endif
