/* SPDX-License-Identifier: MIT */
/*
 * One certificate: reading it from memory, what it is called, whom it names, what its key is.
 *
 * OpenSSL's error queue is emptied here after everything that may have filled it: nobody above
 * looks into it, and TLS would take a leftover for its own failure.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include "base/mem.h"
#include "crypto/cert_state.h"
#include "crypto/dn.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192 /* a signature must fit CERT_SIGNATURE_MAX, and cost little */

/* --- keys and digests */

static enum cert_key_kind key_kind_rsa(const EVP_PKEY *key, struct err *err)
{
	int bits = EVP_PKEY_get_bits(key);

	if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) {
		err_set(err, "its key is RSA with %d bits: %d to %d are good", bits, RSA_BITS_MIN,
			RSA_BITS_MAX);
		return CERT_KEY_NONE;
	}
	return EVP_PKEY_is_a(key, "RSA-PSS") ? CERT_KEY_RSA_PSS : CERT_KEY_RSA;
}

static enum cert_key_kind key_kind_ec(const EVP_PKEY *key, struct err *err)
{
	static const struct {
		const char *group;
		enum cert_key_kind kind;
	} groups[] = {
	    {SN_X9_62_prime256v1, CERT_KEY_P256},
	    {SN_secp384r1, CERT_KEY_P384},
	    {SN_secp521r1, CERT_KEY_P521},
	};
	char name[64] = "";
	int spelled_out = 0;

	(void)EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
				     &spelled_out);
	(void)EVP_PKEY_get_group_name(key, name, sizeof(name), NULL);
	for (size_t i = 0; !spelled_out && i < ARRAY_LEN(groups); i++)
		if (!strcmp(name, groups[i].group))
			return groups[i].kind;
	err_set(err, "its key's curve is %s: P-256, P-384 and P-521 are good",
		spelled_out ? "spelled out"
		: *name	    ? name
			    : "unknown");
	return CERT_KEY_NONE;
}

enum cert_key_kind cert_key_kind(const EVP_PKEY *key, struct err *err)
{
	enum cert_key_kind kind = CERT_KEY_NONE;

	if (!key)
		err_set(err, "its key is malformed or of a kind nobody knows");
	else if (EVP_PKEY_is_a(key, "EC"))
		kind = key_kind_ec(key, err);
	else if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
		kind = key_kind_rsa(key, err);
	else if (EVP_PKEY_is_a(key, "ED25519"))
		kind = CERT_KEY_ED25519;
	else
		err_set(err, "its key is %s: RSA, ECDSA and Ed25519 are good",
			EVP_PKEY_get0_type_name(key));
	ERR_clear_error();
	return kind;
}

const char *cert_key_kind_text(enum cert_key_kind kind)
{
	static const char *const texts[] = {
	    [CERT_KEY_NONE] = "no key",	     [CERT_KEY_RSA] = "RSA",
	    [CERT_KEY_RSA_PSS] = "RSA-PSS",  [CERT_KEY_P256] = "ECDSA P-256",
	    [CERT_KEY_P384] = "ECDSA P-384", [CERT_KEY_P521] = "ECDSA P-521",
	    [CERT_KEY_ED25519] = "Ed25519",
	};
	return texts[kind];
}

/* The digest of RSASSA-PSS is in its parameters; absent it is SHA-1 (RFC 4055 3.1). */
static int pss_digest_nid(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *oid;
	const void *value;
	int type, nid = NID_sha1;

	X509_ALGOR_get0(NULL, &type, &value, alg);
	RSA_PSS_PARAMS *p = type == V_ASN1_SEQUENCE
				? ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS))
				: NULL;
	if (p && p->hashAlgorithm) {
		X509_ALGOR_get0(&oid, NULL, NULL, p->hashAlgorithm);
		nid = OBJ_obj2nid(oid);
	}
	RSA_PSS_PARAMS_free(p);
	return nid;
}

bool cert_digest_is_good(const X509_ALGOR *alg, struct err *err)
{
	const ASN1_OBJECT *oid;
	int md = NID_undef;

	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	int nid = OBJ_obj2nid(oid);
	if (nid == NID_ED25519 || nid == NID_ED448)
		return true;
	if (nid == NID_rsassaPss)
		md = pss_digest_nid(alg);
	else
		(void)OBJ_find_sigid_algs(nid, &md, NULL);
	ERR_clear_error();
	if (md == NID_sha256 || md == NID_sha384 || md == NID_sha512)
		return true;
	err_set(err, "it is signed with %s: SHA-256, SHA-384 and SHA-512 are good",
		md != NID_undef	   ? OBJ_nid2sn(md)
		: nid != NID_undef ? OBJ_nid2sn(nid)
				   : "an algorithm nobody knows");
	return false;
}

/* --- reading */

X509 *cert_parse_der(const uint8_t *der, size_t len)
{
	const unsigned char *p = der;

	if (len == 0 || len > UINT16_MAX)
		return NULL;
	X509 *x = d2i_X509(NULL, &p, (long)len);
	ERR_clear_error();
	if (x && p != der + len) {
		X509_free(x);
		return NULL;
	}
	return x;
}

int cert_no_password(char *buf, int room, int writing, void *arg)
{
	(void)buf, (void)room, (void)writing, (void)arg;
	return -1;
}

/* Those that can be read; false: then came a malformed one. */
static bool parse_pem(BIO *bio, STACK_OF(X509) * all)
{
	X509 *x;

	while ((x = PEM_read_bio_X509(bio, NULL, cert_no_password, NULL))) {
		if (!sk_X509_push(all, x)) {
			X509_free(x);
			return false;
		}
	}
	unsigned long e = ERR_peek_last_error();
	ERR_clear_error();
	return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

STACK_OF(X509) * cert_parse_all(const void *data, size_t len, struct err *err)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	BIO *bio = len && len < INT32_MAX ? BIO_new_mem_buf(data, (int)len) : NULL;
	bool whole = true;

	if (all && bio && *(const uint8_t *)data == 0x30) {
		X509 *x = cert_parse_der(data, len);
		whole = x && sk_X509_push(all, x);
	} else if (all && bio) {
		whole = parse_pem(bio, all);
	}
	int count = all ? sk_X509_num(all) : 0;
	BIO_free(bio);
	if (whole && count > 0)
		return all;
	if (whole)
		err_set(err, "there is no certificate in it (PEM or DER)");
	else
		err_set(err, "certificate number %d in it is malformed", count + 1);
	sk_X509_pop_free(all, X509_free);
	return NULL;
}

/* --- names */

const char *cert_dn_text(const X509_NAME *name, char buf[CERT_NAME_MAX])
{
	const unsigned char *der = NULL;
	size_t len = 0;

	if (X509_NAME_get0_der(name, &der, &len) != 1 || !der)
		len = 0;
	return dn_format(der, len, buf, CERT_NAME_MAX);
}

const char *cert_name(const X509 *x, char buf[CERT_NAME_MAX])
{
	const X509_NAME *subject = X509_get_subject_name(x);

	if (X509_NAME_entry_count(subject) > 0)
		return cert_dn_text(subject, buf);
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	const uint8_t *p = ASN1_STRING_get0_data(serial);
	int at = snprintf(buf, CERT_NAME_MAX, "with serial number ");
	for (int i = 0; i < ASN1_STRING_length(serial) && i < 20; i++)
		at += snprintf(buf + at, CERT_NAME_MAX - (size_t)at, "%02x", p[i]);
	return buf;
}

const char *cert_issuer_name(const X509 *x, char buf[CERT_NAME_MAX])
{
	return cert_dn_text(X509_get_issuer_name(x), buf);
}

static bool dn_is(const X509_NAME *name, const struct identity *i)
{
	const unsigned char *der = NULL;
	size_t len = 0;

	if (X509_NAME_get0_der(name, &der, &len) != 1 || !der)
		return false;
	return dn_equal(der, len, i->data, i->len);
}

/* The identity's type, and its octets, of a subjectAltName; NONE: it is none of IKE's. */
static uint8_t alt_name_type(const GENERAL_NAME *g, const ASN1_STRING **octets)
{
	int kind;
	const void *value = GENERAL_NAME_get0_value(g, &kind);

	*octets = value;
	switch (kind) {
	case GEN_DNS:
		return IDENTITY_FQDN;
	case GEN_EMAIL:
		return IDENTITY_EMAIL;
	case GEN_IPADD:
		return ASN1_STRING_length(value) == 4 ? IDENTITY_IP4 : IDENTITY_IP6;
	}
	return IDENTITY_NONE;
}

static bool alt_name_is(const GENERAL_NAME *g, const struct identity *i)
{
	const ASN1_STRING *octets;

	if (g->type == GEN_DIRNAME)
		return i->type == IDENTITY_DN && dn_is(g->d.directoryName, i);
	uint8_t type = alt_name_type(g, &octets);
	if (type == IDENTITY_NONE || type != i->type)
		return false;
	const uint8_t *data = ASN1_STRING_get0_data(octets);
	size_t len = (size_t)ASN1_STRING_length(octets);
	if (!identity_is_valid(type, data, len))
		return false;
	struct identity *named = identity_new(type, data, len);
	/* identity_matches, not identity_equal: a "*" in a certificate is not believed. */
	bool same = named && identity_equal(named, i) && identity_matches(named, i);
	free(named);
	return same;
}

bool cert_has_identity(const X509 *x, const GENERAL_NAMES *san, const struct identity *i)
{
	if (!identity_is_valid(i->type, i->data, i->len))
		return false;
	if (i->type == IDENTITY_DN && dn_is(X509_get_subject_name(x), i))
		return true;
	for (int n = 0; san && n < sk_GENERAL_NAME_num(san); n++)
		if (alt_name_is(sk_GENERAL_NAME_value(san, n), i))
			return true;
	return false;
}

GENERAL_NAMES *cert_alt_names(const X509 *x)
{
	GENERAL_NAMES *san = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	ERR_clear_error();
	return san;
}

/* --- times */

/* Days from 1970-01-01 (proleptic Gregorian): years that begin in March have their leap day last.
 */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t m = month <= 2 ? month + 9 : month - 3;
	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

/* Without gmtime and timegm, which read the time zone's file. */
uint64_t cert_time_us(const ASN1_TIME *t)
{
	struct tm tm;

	if (!t || ASN1_TIME_to_tm(t, &tm) != 1) {
		ERR_clear_error();
		return 0;
	}
	int64_t s = days_of(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) * 86400;
	s += tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
	return s > 0 ? (uint64_t)s * 1000000u : 0;
}

const char *cert_time_text(const ASN1_TIME *t, char buf[CERT_TIME_MAX])
{
	struct tm tm;

	if (!t || ASN1_TIME_to_tm(t, &tm) != 1) {
		ERR_clear_error();
		snprintf(buf, CERT_TIME_MAX, "no time");
		return buf;
	}
	unsigned year = (unsigned)(tm.tm_year + 1900) % 10000u;
	snprintf(buf, CERT_TIME_MAX, "%04u-%02u-%02u %02u:%02u UTC", year,
		 (unsigned)(tm.tm_mon + 1) % 100u, (unsigned)tm.tm_mday % 100u,
		 (unsigned)tm.tm_hour % 100u, (unsigned)tm.tm_min % 100u);
	return buf;
}
