/* SPDX-License-Identifier: MIT */
/*
 * Whom we believe: CAs and their CRLs.
 *
 * A struct cert_trust only grows; one with other contents is a new one.  It is used by one thread:
 * the constant one that the verification gets still fills its cache and notes which CA's signature
 * a CRL bears.  That signature is verified once for a CRL, not once for a peer.
 *
 * A CRL may come before its issuer is known (an intermediate that peers send), so it is kept, and
 * says nothing until an issuer of a verified chain fits it.  One past its nextUpdate is still
 * believed in what it revokes, since nobody is unrevoked by waiting; it no longer shows that the
 * others are good.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include "base/mem.h"
#include "crypto/cert_state.h"
#include "crypto/fetched.h"

#define AUTH_LEVEL 2 /* OpenSSL's: 112 bits of strength, no SHA-1 */

void cert_warm_up(void)
{
	/* Comparing a time with a certificate's converts it, and the C library reads the time
	 * zone's file before the first conversion, even to UTC. */
	tzset();
	cert_trust_free(cert_trust_new());
}

struct cert_trust *cert_trust_new(void)
{
	struct cert_trust *t = mem_zalloc(sizeof(*t));

	t->store = X509_STORE_new();
	t->cas = sk_X509_new_null();
	t->cache = mem_zalloc(CERT_CACHE_SLOTS * sizeof(struct cert_peer *));
	if (!t->store || !t->cas) {
		cert_trust_free(t);
		return NULL;
	}
	/* A CA that is given is believed, whoever issued it (RFC 5280 6.1.1 d). */
	X509_VERIFY_PARAM *param = X509_STORE_get0_param(t->store);
	(void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_depth(param, CERT_CHAIN_MAX);
	X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
	/* A common name is no DNS name here. */
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return t;
}

void cert_trust_free(struct cert_trust *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < CERT_CACHE_SLOTS; i++)
		cert_peer_free(t->cache[i]);
	while (t->crls) {
		struct cert_crl *c = t->crls;
		t->crls = c->next;
		X509_CRL_free(c->crl);
		X509_free(c->issuer);
		free(c);
	}
	X509_STORE_free(t->store);
	sk_X509_pop_free(t->cas, X509_free);
	free(t->hashes);
	free(t->cache);
	free(t);
}

void cert_trust_require_crl(struct cert_trust *t, bool strict)
{
	t->strict = strict;
}

/* --- CAs */

bool cert_is_ca(X509 *x)
{
	/* 1: version 3, basicConstraints CA, and no keyUsage that forbids it. */
	return X509_check_ca(x) == 1;
}

/* Of what the BIT STRING is in: the whole SubjectPublicKeyInfo. */
static int trust_hash_key(X509 *ca, uint8_t hash[20])
{
	uint8_t *der = NULL;
	unsigned n = 0;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(ca), &der);

	int ok =
	    len > 0 && EVP_Digest(der, (size_t)len, hash, &n, fetched_digest("SHA1"), NULL) == 1;
	OPENSSL_free(der);
	return ok && n == 20 ? 0 : -1;
}

static bool trust_has_ca(const struct cert_trust *t, const X509 *ca)
{
	for (int i = 0; i < sk_X509_num(t->cas); i++)
		if (X509_cmp(sk_X509_value(t->cas, i), ca) == 0)
			return true;
	return false;
}

static int trust_take_ca(struct cert_trust *t, X509 *ca, struct err *err)
{
	char name[CERT_NAME_MAX];
	struct err why = {{0}};

	if (trust_has_ca(t, ca))
		return 0;
	if (!cert_is_ca(ca))
		return err_set(err,
			       "certificate %s is not a CA's: basicConstraints or keyUsage "
			       "do not say so",
			       cert_name(ca, name));
	if (cert_key_kind(X509_get0_pubkey(ca), &why) == CERT_KEY_NONE)
		return err_set(err, "certificate %s: %s", cert_name(ca, name), why.text);
	uint8_t(*hashes)[20] = realloc(t->hashes, (t->ca_count + 1) * sizeof(*hashes));
	if (!hashes)
		return err_set(err, "certificate %s: no memory", cert_name(ca, name));
	t->hashes = hashes;
	if (trust_hash_key(ca, t->hashes[t->ca_count]) < 0 || !sk_X509_push(t->cas, ca))
		return err_set(err, "certificate %s: the cryptographic library refuses it",
			       cert_name(ca, name));
	X509_up_ref(ca);
	t->ca_count++;
	if (X509_STORE_add_cert(t->store, ca) != 1)
		return err_set(err, "certificate %s: the cryptographic library refuses it",
			       cert_name(ca, name));
	return 0;
}

int cert_trust_add_ca(struct cert_trust *t, const void *data, size_t len, struct err *err)
{
	STACK_OF(X509) *all = cert_parse_all(data, len, err);
	int rc = all ? 0 : -1;

	for (int i = 0; rc == 0 && i < sk_X509_num(all); i++)
		rc = trust_take_ca(t, sk_X509_value(all, i), err);
	sk_X509_pop_free(all, X509_free);
	ERR_clear_error();
	return rc;
}

size_t cert_trust_hashes(const struct cert_trust *t, uint8_t *out, size_t room)
{
	size_t n = t->ca_count < room / 20 ? t->ca_count : room / 20;

	if (n)
		memcpy(out, t->hashes, n * 20);
	return n * 20;
}

/* --- CRLs */

static bool same_key(const X509 *a, const X509 *b)
{
	X509_ALGOR *x, *y;
	const unsigned char *p, *q;
	int p_len, q_len;

	X509_PUBKEY_get0_param(NULL, &p, &p_len, &x, X509_get_X509_PUBKEY(a));
	X509_PUBKEY_get0_param(NULL, &q, &q_len, &y, X509_get_X509_PUBKEY(b));
	return p_len == q_len && !memcmp(p, q, (size_t)p_len) && X509_ALGOR_cmp(x, y) == 0;
}

/* Did this certificate's key sign the CRL?  Its name fits. */
static bool crl_is_of(struct cert_crl *c, X509 *issuer)
{
	if (c->issuer && (c->issuer == issuer || same_key(c->issuer, issuer)))
		return true;
	if (!(X509_get_key_usage(issuer) & KU_CRL_SIGN))
		return false;
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	bool ok = key && X509_CRL_verify(c->crl, key) == 1;
	ERR_clear_error();
	if (ok) {
		X509_free(c->issuer);
		X509_up_ref(issuer);
		c->issuer = issuer;
	}
	return ok;
}

/* Extensions that change what the list means: we know none of them. */
static int crl_check_extensions(X509_CRL *crl, const char *name, struct err *err)
{
	char oid[64];

	for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
		X509_EXTENSION *e = X509_CRL_get_ext(crl, i);
		if (!X509_EXTENSION_get_critical(e))
			continue;
		OBJ_obj2txt(oid, sizeof(oid), X509_EXTENSION_get_object(e), 0);
		return err_set(err,
			       "CRL of %s: it has the critical extension %s, which is not "
			       "supported",
			       name, oid);
	}
	STACK_OF(X509_REVOKED) *list = X509_CRL_get_REVOKED(crl);
	for (int i = 0; list && i < sk_X509_REVOKED_num(list); i++) {
		X509_REVOKED *r = sk_X509_REVOKED_value(list, i);
		if (X509_REVOKED_get_ext_by_critical(r, 1, -1) >= 0)
			return err_set(err, "CRL of %s: an entry has a critical extension", name);
	}
	return 0;
}

static int crl_check(X509_CRL *crl, const char *name, struct err *err)
{
	const X509_ALGOR *alg;
	struct err why = {{0}};

	X509_CRL_get0_signature(crl, NULL, &alg);
	if (!cert_digest_is_good(alg, &why))
		return err_set(err, "CRL of %s: %s", name, why.text);
	if (!X509_CRL_get0_nextUpdate(crl))
		return err_set(err, "CRL of %s: it has no nextUpdate", name);
	return crl_check_extensions(crl, name, err);
}

/* Is a CA of that name known that did not sign it, and none that did? */
static bool crl_is_forged(const struct cert_trust *t, struct cert_crl *c)
{
	bool known = false;

	for (int i = 0; i < sk_X509_num(t->cas); i++) {
		X509 *ca = sk_X509_value(t->cas, i);
		if (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(c->crl)) != 0)
			continue;
		known = true;
		if (crl_is_of(c, ca))
			return false;
	}
	return known;
}

/* Takes the CRL. */
static int trust_take_crl(struct cert_trust *t, X509_CRL *crl, struct err *err)
{
	struct cert_crl *c = mem_zalloc(sizeof(*c));
	char name[CERT_NAME_MAX];

	c->crl = crl;
	cert_dn_text(X509_CRL_get_issuer(crl), name);
	if (crl_check(crl, name, err) < 0)
		goto fail;
	(void)X509_CRL_sort(crl);
	c->from_us = cert_time_us(X509_CRL_get0_lastUpdate(crl));
	c->until_us = cert_time_us(X509_CRL_get0_nextUpdate(crl));
	if (crl_is_forged(t, c)) {
		err_set(err, "CRL of %s: the CA's signature of it is wrong", name);
		goto fail;
	}
	c->next = t->crls;
	t->crls = c;
	return 0;
fail:
	X509_CRL_free(crl);
	free(c);
	return -1;
}

static int trust_read_crls(struct cert_trust *t, BIO *bio, struct err *err)
{
	X509_CRL *crl;
	unsigned count = 0;

	for (; (crl = PEM_read_bio_X509_CRL(bio, NULL, cert_no_password, NULL)); count++)
		if (trust_take_crl(t, crl, err) < 0)
			return -1;
	unsigned long e = ERR_peek_last_error();
	if (ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
		return err_set(err, "CRL number %u in it is malformed", count + 1);
	return count ? 0 : err_set(err, "there is no CRL in it (PEM or DER)");
}

int cert_trust_add_crl(struct cert_trust *t, const void *data, size_t len, struct err *err)
{
	int rc = -1;

	if (len == 0 || len > INT32_MAX)
		return err_set(err, "there is no CRL in it (PEM or DER)");
	if (*(const uint8_t *)data == 0x30) {
		const unsigned char *p = data;
		X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)len);
		if (crl && p == (const unsigned char *)data + len) {
			rc = trust_take_crl(t, crl, err);
		} else {
			X509_CRL_free(crl);
			err_set(err, "the CRL is malformed");
		}
	} else {
		BIO *bio = BIO_new_mem_buf(data, (int)len);
		rc = bio ? trust_read_crls(t, bio, err) : -1;
		BIO_free(bio);
	}
	ERR_clear_error();
	return rc;
}

/* --- revocation */

struct crl_answer {
	bool revoked;
	bool current;		       /* a CRL that is good now covers it */
	const struct cert_crl *newest; /* of those that are outdated */
};

static struct crl_answer crl_ask(const struct cert_trust *t, X509 *x, X509 *issuer,
				 uint64_t wall_us)
{
	struct crl_answer a = {0};
	X509_REVOKED *entry;

	for (struct cert_crl *c = t->crls; c; c = c->next) {
		if (X509_NAME_cmp(X509_CRL_get_issuer(c->crl), X509_get_issuer_name(x)) != 0 ||
		    !crl_is_of(c, issuer))
			continue;
		if (X509_CRL_get0_by_serial(c->crl, &entry, X509_get_serialNumber(x)) == 1)
			a.revoked = true;
		if (wall_us >= c->from_us && wall_us < c->until_us)
			a.current = true;
		else if (wall_us >= c->until_us && (!a.newest || c->until_us > a.newest->until_us))
			a.newest = c;
	}
	return a;
}

static int trust_check_crl(const struct cert_trust *t, X509 *x, X509 *issuer, uint64_t wall_us,
			   struct err *err)
{
	char name[CERT_NAME_MAX], by[CERT_NAME_MAX], when[CERT_TIME_MAX];
	struct crl_answer a = crl_ask(t, x, issuer, wall_us);

	if (a.revoked)
		return err_set(err, "certificate %s is revoked by %s", cert_name(x, name),
			       cert_name(issuer, by));
	if (a.current || !t->strict)
		return 0;
	if (a.newest)
		return err_set(err, "certificate %s: the CRL of %s is outdated since %s",
			       cert_name(x, name), cert_name(issuer, by),
			       cert_time_text(X509_CRL_get0_nextUpdate(a.newest->crl), when));
	return err_set(err, "certificate %s: there is no CRL of %s", cert_name(x, name),
		       cert_name(issuer, by));
}

int cert_trust_check_crls(const struct cert_trust *t, const STACK_OF(X509) * chain,
			  uint64_t wall_us, struct err *err)
{
	/* The last is believed because it was given. */
	for (int i = 0; i + 1 < sk_X509_num(chain); i++)
		if (trust_check_crl(t, sk_X509_value(chain, i), sk_X509_value(chain, i + 1),
				    wall_us, err) < 0)
			return -1;
	return 0;
}
