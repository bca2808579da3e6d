/* SPDX-License-Identifier: MIT */
/*
 * A public key infrastructure for tests, made in memory: CAs, intermediates, leaves of every key
 * type, CRLs, and all of it as PEM or DER.
 *
 *	struct pki ca = pki_ca("O=Test, CN=CA");
 *	struct pki moon = pki_leaf(&ca, PKI_P256, "CN=moon", "DNS:moon.example.org");
 *	struct pki_text cert = pki_cert_pem(&moon), key = pki_key_pem(&moon);
 *	...
 *	pki_text_free(&cert); pki_free(&moon); ...
 *
 * Times are seconds from PKI_NOW_S, the tests' wall clock.  What fails ends the program: it is the
 * test's own fault.
 */
#ifndef TESTS_UNIT_PKI_H
#define TESTS_UNIT_PKI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "crypto/identity.h"

#define PKI_NOW_S  INT64_C(1750000000) /* 2025-06-15 */
#define PKI_NOW_US ((uint64_t)PKI_NOW_S * 1000000u)
#define PKI_DAY_S  INT64_C(86400)

enum pki_key {
	PKI_P256,
	PKI_P384,
	PKI_P521,
	PKI_ED25519,
	PKI_RSA2048,
	PKI_RSA3072,
	PKI_RSA_PSS, /* 2048 bits; the key itself says that it is for PSS only */
	PKI_RSA1024, /* what must be refused */
	PKI_SECP256K1,
	PKI_ED448,
};

/* A key and its certificate; owned by whoever asked for it. */
struct pki {
	EVP_PKEY *key;
	X509 *cert;
};

struct pki_text {
	char *data; /* with a NUL behind it that `len` does not count */
	size_t len;
};

/* Everything that is NULL or 0 has the default; the texts are those of openssl's configuration. */
struct pki_spec {
	enum pki_key key;
	const uint8_t *ed25519_seed;   /* 32 octets: this private key rather than a new one */
	const char *subject;	       /* "C=CH, O=Example, CN=moon"; "": none */
	const char *issuer;	       /* another name than the issuer has */
	const char *san;	       /* "DNS:moon.example.org,IP:192.0.2.1" */
	const char *basic_constraints; /* "critical,CA:TRUE,pathlen:0" */
	const char *key_usage;	       /* "critical,digitalSignature" */
	const char *ext_key_usage;     /* "serverAuth,1.3.6.1.5.5.7.3.17" */
	const char *name_constraints;  /* "critical,permitted;DNS:example.org" */
	const char *digest;	       /* "SHA256"; of an Ed25519 issuer none is used */
	const uint8_t *san_dns_raw;    /* a dNSName with just these octets */
	size_t san_dns_raw_len;
	int64_t not_before_s, not_after_s; /* both 0: a day before, ten years after */
	long serial;			   /* 0: the next number */
	long version;			   /* 0: v3; -1: v1 */
	bool critical_unknown;		   /* an extension that nobody knows, critical */
};

#define PKI_NEED(x)                                                                                \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "pki.h:%d: %s\n", __LINE__, #x);                           \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline void pki_free(struct pki *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->cert);
	*p = (struct pki){0};
}

static inline void pki_text_free(struct pki_text *t)
{
	free(t->data);
	*t = (struct pki_text){0};
}

/* --- keys and names */

static inline EVP_PKEY *pki_key_new(enum pki_key kind)
{
	static const struct {
		const char *type, *group;
		unsigned bits;
	} kinds[] = {
	    [PKI_P256] = {"EC", "P-256", 0},	      [PKI_P384] = {"EC", "P-384", 0},
	    [PKI_P521] = {"EC", "P-521", 0},	      [PKI_ED25519] = {"ED25519", NULL, 0},
	    [PKI_RSA2048] = {"RSA", NULL, 2048},      [PKI_RSA3072] = {"RSA", NULL, 3072},
	    [PKI_RSA_PSS] = {"RSA-PSS", NULL, 2048},  [PKI_RSA1024] = {"RSA", NULL, 1024},
	    [PKI_SECP256K1] = {"EC", "secp256k1", 0}, [PKI_ED448] = {"ED448", NULL, 0},
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kinds[kind].type, NULL);
	EVP_PKEY *key = NULL;

	PKI_NEED(ctx && EVP_PKEY_keygen_init(ctx) == 1);
	if (kinds[kind].group)
		PKI_NEED(EVP_PKEY_CTX_set_group_name(ctx, kinds[kind].group) == 1);
	if (kinds[kind].bits)
		PKI_NEED(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)kinds[kind].bits) == 1);
	PKI_NEED(EVP_PKEY_generate(ctx, &key) == 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static inline X509_NAME *pki_name(const char *text)
{
	X509_NAME *name = X509_NAME_new();
	struct err err = {{0}};

	if (!*text)
		return name;
	X509_NAME_free(name);
	struct identity *i = identity_parse(text, &err);
	if (!i || i->type != IDENTITY_DN) {
		fprintf(stderr, "pki.h: %s: %s\n", text, err.text);
		abort();
	}
	const unsigned char *p = i->data;
	name = d2i_X509_NAME(NULL, &p, i->len);
	PKI_NEED(name);
	free(i);
	return name;
}

/* --- certificates */

static inline void pki_extend(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
	if (!value)
		return;
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	PKI_NEED(e && X509_add_ext(cert, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static inline void pki_extend_raw(X509 *cert, const struct pki_spec *s)
{
	if (s->critical_unknown) {
		ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.32473.99", 1);
		ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
		PKI_NEED(ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05", 2) == 1);
		X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
		PKI_NEED(e && X509_add_ext(cert, e, -1) == 1);
		X509_EXTENSION_free(e);
		ASN1_OCTET_STRING_free(value);
		ASN1_OBJECT_free(oid);
	}
	if (s->san_dns_raw) {
		GENERAL_NAMES *names = GENERAL_NAMES_new();
		GENERAL_NAME *name = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();
		PKI_NEED(ASN1_STRING_set(text, s->san_dns_raw, (int)s->san_dns_raw_len) == 1);
		GENERAL_NAME_set0_value(name, GEN_DNS, text);
		PKI_NEED(sk_GENERAL_NAME_push(names, name) == 1);
		PKI_NEED(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1);
		GENERAL_NAMES_free(names);
	}
}

static inline const EVP_MD *pki_digest(const EVP_PKEY *signer, const char *name)
{
	if (EVP_PKEY_is_a(signer, "ED25519") || EVP_PKEY_is_a(signer, "ED448"))
		return NULL;
	const EVP_MD *md = EVP_get_digestbyname(name ? name : "SHA256");
	PKI_NEED(md);
	return md;
}

static inline void pki_set_times(X509 *cert, const struct pki_spec *s)
{
	int64_t before = s->not_before_s, after = s->not_after_s;

	if (!before && !after) {
		before = -PKI_DAY_S;
		after = 3650 * PKI_DAY_S;
	}
	PKI_NEED(ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(PKI_NOW_S + before)));
	PKI_NEED(ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(PKI_NOW_S + after)));
}

/* issuer NULL: signed by itself. */
static inline struct pki pki_make(const struct pki_spec *s, const struct pki *issuer)
{
	static long serial = 1000;
	struct pki p = {.cert = X509_new()};
	X509_NAME *subject = pki_name(s->subject ? s->subject : "CN=test");
	X509V3_CTX ctx;

	p.key = s->ed25519_seed
		    ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, s->ed25519_seed, 32)
		    : pki_key_new(s->key);
	const struct pki *by = issuer ? issuer : &p;
	PKI_NEED(p.cert && p.key && X509_set_version(p.cert, s->version < 0 ? 0 : 2) == 1);
	PKI_NEED(ASN1_INTEGER_set(X509_get_serialNumber(p.cert), s->serial ? s->serial : ++serial));
	PKI_NEED(X509_set_subject_name(p.cert, subject) == 1);
	X509_NAME *other = s->issuer ? pki_name(s->issuer) : NULL;
	PKI_NEED(X509_set_issuer_name(p.cert, other ? other : X509_get_subject_name(by->cert)) ==
		 1);
	PKI_NEED(X509_set_pubkey(p.cert, p.key) == 1);
	pki_set_times(p.cert, s);
	X509V3_set_ctx(&ctx, by->cert, p.cert, NULL, NULL, 0);
	pki_extend(p.cert, &ctx, NID_basic_constraints, s->basic_constraints);
	pki_extend(p.cert, &ctx, NID_key_usage, s->key_usage);
	pki_extend(p.cert, &ctx, NID_ext_key_usage, s->ext_key_usage);
	pki_extend(p.cert, &ctx, NID_name_constraints, s->name_constraints);
	pki_extend(p.cert, &ctx, NID_subject_alt_name, s->san);
	if (s->version >= 0)
		pki_extend(p.cert, &ctx, NID_subject_key_identifier, "hash");
	pki_extend_raw(p.cert, s);
	PKI_NEED(X509_sign(p.cert, by->key, pki_digest(by->key, s->digest)) > 0);
	X509_NAME_free(subject);
	X509_NAME_free(other);
	return p;
}

/* A root. */
static inline struct pki pki_ca(const char *subject)
{
	struct pki_spec s = {.subject = subject,
			     .basic_constraints = "critical,CA:TRUE",
			     .key_usage = "critical,keyCertSign,cRLSign"};
	return pki_make(&s, NULL);
}

static inline struct pki pki_intermediate(const struct pki *ca, const char *subject)
{
	struct pki_spec s = {.subject = subject,
			     .basic_constraints = "critical,CA:TRUE",
			     .key_usage = "critical,keyCertSign,cRLSign"};
	return pki_make(&s, ca);
}

static inline struct pki pki_leaf(const struct pki *ca, enum pki_key key, const char *subject,
				  const char *san)
{
	struct pki_spec s = {
	    .key = key, .subject = subject, .san = san, .key_usage = "critical,digitalSignature"};
	return pki_make(&s, ca);
}

/* --- CRLs */

struct pki_crl_spec {
	int64_t this_update_s, next_update_s; /* both 0: a day before, thirty days after */
	bool no_next_update;
	const char *digest;
	const X509 *revoked[8]; /* up to the first NULL */
	bool user_certs_only;	/* an issuingDistributionPoint, critical */
};

static inline X509_CRL *pki_crl(const struct pki *issuer, const struct pki_crl_spec *s)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_new();
	int64_t this_s = s->this_update_s, next_s = s->next_update_s;

	if (!this_s && !next_s) {
		this_s = -PKI_DAY_S;
		next_s = 30 * PKI_DAY_S;
	}
	PKI_NEED(crl && t && X509_CRL_set_version(crl, 1) == 1);
	PKI_NEED(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->cert)) == 1);
	PKI_NEED(ASN1_TIME_set(t, (time_t)(PKI_NOW_S + this_s)));
	PKI_NEED(X509_CRL_set1_lastUpdate(crl, t) == 1);
	for (size_t i = 0; i < 8 && s->revoked[i]; i++) {
		X509_REVOKED *r = X509_REVOKED_new();
		PKI_NEED(X509_REVOKED_set_revocationDate(r, t) == 1);
		PKI_NEED(X509_REVOKED_set_serialNumber(
			     r, (ASN1_INTEGER *)(uintptr_t)X509_get0_serialNumber(s->revoked[i])) ==
			 1);
		PKI_NEED(X509_CRL_add0_revoked(crl, r) == 1);
	}
	PKI_NEED(ASN1_TIME_set(t, (time_t)(PKI_NOW_S + next_s)));
	if (!s->no_next_update)
		PKI_NEED(X509_CRL_set1_nextUpdate(crl, t) == 1);
	if (s->user_certs_only) {
		ISSUING_DIST_POINT *idp = ISSUING_DIST_POINT_new();
		idp->onlyuser = 0xff;
		PKI_NEED(X509_CRL_add1_ext_i2d(crl, NID_issuing_distribution_point, idp, 1, 0) ==
			 1);
		ISSUING_DIST_POINT_free(idp);
	}
	PKI_NEED(X509_CRL_sort(crl) == 1);
	PKI_NEED(X509_CRL_sign(crl, issuer->key, pki_digest(issuer->key, s->digest)) > 0);
	ASN1_TIME_free(t);
	return crl;
}

/* --- as bytes */

static inline struct pki_text pki_text_of(BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);
	struct pki_text t = {.data = malloc((size_t)len + 1), .len = (size_t)len};

	PKI_NEED(t.data);
	memcpy(t.data, data, t.len);
	t.data[t.len] = '\0';
	BIO_free(bio);
	return t;
}

static inline struct pki_text pki_cert_pem(const struct pki *p)
{
	BIO *bio = BIO_new(BIO_s_mem());
	PKI_NEED(PEM_write_bio_X509(bio, p->cert) == 1);
	return pki_text_of(bio);
}

static inline struct pki_text pki_cert_der(const struct pki *p)
{
	BIO *bio = BIO_new(BIO_s_mem());
	PKI_NEED(i2d_X509_bio(bio, p->cert) == 1);
	return pki_text_of(bio);
}

/* PKCS #8; password NULL: not encrypted. */
static inline struct pki_text pki_key_pem_with(const struct pki *p, const char *password)
{
	BIO *bio = BIO_new(BIO_s_mem());
	PKI_NEED(PEM_write_bio_PKCS8PrivateKey(bio, p->key, password ? EVP_aes_256_cbc() : NULL,
					       password, password ? (int)strlen(password) : 0, NULL,
					       NULL) == 1);
	return pki_text_of(bio);
}

static inline struct pki_text pki_key_pem(const struct pki *p)
{
	return pki_key_pem_with(p, NULL);
}

static inline struct pki_text pki_crl_pem(const struct pki *issuer, const struct pki_crl_spec *s)
{
	X509_CRL *crl = pki_crl(issuer, s);
	BIO *bio = BIO_new(BIO_s_mem());
	PKI_NEED(PEM_write_bio_X509_CRL(bio, crl) == 1);
	X509_CRL_free(crl);
	return pki_text_of(bio);
}

/* Appends b to a. */
static inline void pki_text_add(struct pki_text *a, const struct pki_text *b)
{
	a->data = realloc(a->data, a->len + b->len + 1);
	PKI_NEED(a->data);
	memcpy(a->data + a->len, b->data, b->len + 1);
	a->len += b->len;
}

#endif
